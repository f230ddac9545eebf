"""The instances that an ingress routes to no more, until they have answered all requests."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from tagboat.core.route import Route, Target

_QUIET_COUNTS = 2


class LeftInstances:
    """Instances that were routed to, with the quiet counts in a row of each.

    One request may fall between the choice of its instance and its count.
    """

    def __init__(self) -> None:
        self._routed: dict[str, dict[str, Target]] = {}
        self._left: dict[str, Target] = {}
        self._quiet: dict[str, int] = {}

    def route(self, stage_id: str, routes: Sequence[Route]) -> None:
        """Note where the requests of a stage go from now on."""
        self._change({**self._routed, stage_id: _targets_of(routes)})

    def route_all(
        self, routes: Mapping[str, Sequence[Route]], earlier: Collection[Target] = ()
    ) -> None:
        """Note where all requests go from now on; some may be under way at `earlier` ones."""
        self._change(
            {stage_id: _targets_of(some) for stage_id, some in routes.items()},
            {one.instance: one for one in earlier},
        )

    async def count(self, in_flight: Callable[[Target], Awaitable[int]]) -> dict[str, int]:
        """Return the requests under way at those left, at least 1 until none is left for sure."""
        found: dict[str, int] = {}
        for key, target in tuple(self._left.items()):
            count = await in_flight(target)
            if key not in self._left:
                continue  # it is routed to again
            self._quiet[key] = 0 if count else self._quiet.get(key, 0) + 1
            if self._quiet[key] >= _QUIET_COUNTS:
                del self._left[key], self._quiet[key]
            else:
                found[key] = max(count, 1)
        return found

    def _change(
        self, routed: dict[str, dict[str, Target]], earlier: Mapping[str, Target] | None = None
    ) -> None:
        before = {key: one for some in self._routed.values() for key, one in some.items()}
        after = {key for some in routed.values() for key in some}
        self._routed = routed
        left = {**self._left, **before, **(earlier or {})}
        self._left = {key: one for key, one in left.items() if key not in after}
        self._quiet = {key: quiet for key, quiet in self._quiet.items() if key in self._left}


def _targets_of(routes: Sequence[Route]) -> dict[str, Target]:
    targets = [route.target for route in routes if route.target is not None]
    return {one.instance: one for one in targets}
