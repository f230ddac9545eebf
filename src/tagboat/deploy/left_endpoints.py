"""The endpoints that an ingress routes to no more, until it has answered all requests there."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from tagboat.core.endpoint import Endpoint
from tagboat.core.route import Route

_QUIET_COUNTS = 2


class LeftEndpoints:
    """Endpoints that were routed to, with the quiet counts in a row of each.

    One request may fall between the choice of its instance and its count.
    """

    def __init__(self) -> None:
        self._routed: dict[str, frozenset[Endpoint]] = {}
        self._quiet: dict[Endpoint, int] = {}

    def route(self, stage_id: str, routes: Sequence[Route]) -> None:
        """Note where the requests of a stage go from now on."""
        self._change({**self._routed, stage_id: _endpoints_of(routes)})

    def route_all(
        self, routes: Mapping[str, Sequence[Route]], earlier: Collection[Endpoint] = ()
    ) -> None:
        """Note where all requests go from now on; some may be under way at `earlier` ones."""
        self._change({stage_id: _endpoints_of(some) for stage_id, some in routes.items()})
        self._quiet |= dict.fromkeys(earlier, 0)

    async def count(self, in_flight: Callable[[Endpoint], Awaitable[int]]) -> dict[str, int]:
        """Return the requests under way at those left, at least 1 until none is left for sure."""
        found: dict[str, int] = {}
        for endpoint in tuple(self._quiet):
            count = await in_flight(endpoint)
            if endpoint not in self._quiet:
                continue  # it is routed to again
            self._quiet[endpoint] = 0 if count else self._quiet[endpoint] + 1
            if self._quiet[endpoint] >= _QUIET_COUNTS:
                del self._quiet[endpoint]
            else:
                found[str(endpoint)] = max(count, 1)
        return found

    def _change(self, routed: dict[str, frozenset[Endpoint]]) -> None:
        before = frozenset[Endpoint]().union(*self._routed.values())
        after = frozenset[Endpoint]().union(*routed.values())
        self._routed = routed
        kept = {one: quiet for one, quiet in self._quiet.items() if one not in after}
        self._quiet = dict.fromkeys(before - after, 0) | kept


def _endpoints_of(routes: Sequence[Route]) -> frozenset[Endpoint]:
    return frozenset(route.endpoint for route in routes if route.endpoint is not None)
