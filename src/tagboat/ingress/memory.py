"""An ingress that is only a memory: for tests, and for trying Tagboat without HAProxy.

It passes the contract tests of the real one (tests/contract/test_ingress.py). A test begins and
ends requests by hand.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from tagboat.core.catalog import Project, Stage
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import IngressError
from tagboat.core.request_counts import (
    CodeClasses,
    EarlyEnd,
    EndedBy,
    InstanceCounts,
    ProcessCounts,
)
from tagboat.core.route import Route, RouteState, Target
from tagboat.core.values import replace
from tagboat.ingress.address import StageAddresses
from tagboat.ingress.counting import counting_key
from tagboat.ingress.pools import Pool
from tagboat.ingress.routing import (
    POOLED,
    RoutingMap,
    changed_map,
    pools_of,
    routing_map,
)

_SERVER_ERROR = 500


class MemoryIngress:
    """Holds routes and requests. `journal` has the routes after each change, in order.

    Endpoints that are `dead` get no request as long as another one of the instance is not.
    """

    routes_traffic = True

    def __init__(
        self, *, base_domain: str = "localhost", port: int = 80, public_url: str = ""
    ) -> None:
        self.journal: list[RoutingMap] = []
        self.process = 1
        self._turn = 0
        self.started_at = datetime.min.replace(tzinfo=UTC)
        self.dead: set[Endpoint] = set()
        self._requests: dict[int, tuple[str, str]] = {}
        self._pools: Mapping[str, Pool] = {}
        self._addresses = StageAddresses(base_domain=base_domain, port=port, public_url=public_url)
        self._routes: RoutingMap = {}
        self._changed = asyncio.Condition()
        self._in_flight: Counter[str] = Counter()
        self._counts: dict[str, InstanceCounts] = {}
        self._answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._turned_away: Counter[str] = Counter()
        self._failures: dict[str, list[IngressError]] = {}

    @property
    def routes(self) -> Mapping[str, str]:
        """The routes in force, as `RoutingMap` has them."""
        return self._routes

    def fail(self, call: str, error: IngressError) -> None:
        """Make the next call of the method `call` raise `error`, after failures set before.

        A `change_routes` also fails in the place of the next `apply_routes`, if it comes first.
        """
        self._failures.setdefault(call, []).append(error)

    async def begin(self, host: str) -> int | None:
        """Begin a request and return its port, None without one; wait while the host is held."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._routes.get(host) != RouteState.HELD)
        way = self._routes.get(host, RouteState.NONE)
        if way in {RouteState.NONE, RouteState.PORTLESS, RouteState.STOPPED}:
            if host in self._routes:
                self._turned_away[host] += 1
                self._answers[host]["5xx"] += 1
            return None
        key, _, rest = way.partition("/")
        port = self._alive(self._pools[key]).port if rest.endswith(POOLED) else int(key)
        self._requests[port] = key, host
        self._in_flight[key] += 1
        return port

    def _alive(self, pool: Pool) -> Endpoint:
        self._turn += 1
        alive = [one for one in pool.endpoints if one not in self.dead]
        return alive[self._turn % len(alive)]

    def end(self, port: int, status: int = 200, by: EndedBy = EndedBy.NOBODY) -> None:
        """End a request that `begin` routed to `port`: with an answer, or by a side before one."""
        key, host = self._requests[port]
        self._in_flight[key] -= 1
        counts = self._counts.get(key, InstanceCounts())
        number = counts.early_ends + 1
        if by is not EndedBy.NOBODY:
            self._counts[key] = replace(
                counts,
                early_ends=number,
                known_ends=(*counts.known_ends, EarlyEnd(number, by, answered=False)),
            )
            return
        self._answers[host][f"{status // 100}xx"] += 1
        if status < _SERVER_ERROR:
            self._counts[key] = replace(counts, answers=counts.answers + 1)
        else:
            end = EarlyEnd(number, EndedBy.ERROR, answered=True)
            self._counts[key] = replace(
                counts,
                errors=counts.errors + 1,
                early_ends=number,
                known_ends=(*counts.known_ends, end),
            )

    def restart(self, now: datetime) -> None:
        """Forget all counts, as another process does."""
        self.process += 1
        self.started_at = now
        self._counts.clear()
        self._turned_away.clear()

    def address(self, project: Project, stage: Stage) -> str | None:
        """Return the URL at which the stage would answer."""
        return self._addresses.of(project.name, stage.name)

    async def apply_routes(self, routes: Collection[Route]) -> None:
        """Take over the routes."""
        self._fail_if_told("apply_routes")
        self._pools = pools_of(routes)
        await self._take_over(routing_map(routes))

    async def change_routes(self, routes: Collection[Route], gone: Collection[str]) -> None:
        """Take over some routes and leave the others."""
        self._fail_if_told("change_routes")
        self._fail_if_told("apply_routes")
        self._pools = {**self._pools, **pools_of(routes)}
        await self._take_over(changed_map(self._routes, routing_map(routes), gone))

    async def _take_over(self, wanted: RoutingMap) -> None:
        self.journal.append(wanted)
        async with self._changed:
            self._routes = wanted
            self._changed.notify_all()

    async def in_flight(self, target: Target) -> int:
        """Return the number of requests that were begun there and not ended."""
        self._fail_if_told("in_flight")
        return self._in_flight[counting_key(target)]

    async def count_requests(
        self, targets: Sequence[Target], hosts: Collection[str]
    ) -> Sequence[ProcessCounts]:
        """Return the counts of the one process that there is."""
        self._fail_if_told("count_requests")
        found = {
            one.instance: replace(
                self._counts.get(counting_key(one), InstanceCounts()),
                in_flight=self._in_flight[counting_key(one)],
            )
            for one in targets
        }
        turned_away = sum(self._turned_away[host] for host in hosts)
        return [
            ProcessCounts(
                process=str(self.process),
                started_at=self.started_at,
                instances=found,
                turned_away=turned_away,
            )
        ]

    async def code_classes(self) -> Mapping[str, CodeClasses]:
        """Return the answers by host."""
        self._fail_if_told("code_classes")
        return self._answers

    def _fail_if_told(self, call: str) -> None:
        if failures := self._failures.get(call):
            raise failures.pop(0)
