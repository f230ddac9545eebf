"""An ingress that is only a memory: for tests, and for trying Tagboat without HAProxy.

It passes the contract tests of the real one (tests/contract/test_ingress.py). A test begins and
ends requests by hand.
"""

import asyncio
from collections.abc import Collection, Mapping

from tagboat.core.catalog import Project, Stage
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import IngressError
from tagboat.core.route import Route, RouteState
from tagboat.ingress.address import StageAddresses
from tagboat.ingress.routing import RoutingMap, changed_map, routing_map


class MemoryIngress:
    """Holds routes and requests. `journal` has the routes after each change, in order."""

    routes_traffic = True

    def __init__(
        self, *, base_domain: str = "localhost", port: int = 80, public_url: str = ""
    ) -> None:
        self.journal: list[RoutingMap] = []
        self._addresses = StageAddresses(base_domain=base_domain, port=port, public_url=public_url)
        self._routes: RoutingMap = {}
        self._changed = asyncio.Condition()
        self._in_flight: dict[int, int] = {}
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
        if way in {RouteState.NONE, RouteState.PORTLESS}:
            return None
        port = int(way.partition("/")[0])
        self._in_flight[port] = self._in_flight.get(port, 0) + 1
        return port

    def end(self, port: int) -> None:
        """End a request that `begin` routed to `port`."""
        self._in_flight[port] -= 1

    def address(self, project: Project, stage: Stage) -> str | None:
        """Return the URL at which the stage would answer."""
        return self._addresses.of(project.name, stage.name)

    async def apply_routes(self, routes: Collection[Route]) -> None:
        """Take over the routes."""
        self._fail_if_told("apply_routes")
        await self._take_over(routing_map(routes))

    async def change_routes(self, routes: Collection[Route], gone: Collection[str]) -> None:
        """Take over some routes and leave the others."""
        self._fail_if_told("change_routes")
        self._fail_if_told("apply_routes")
        await self._take_over(changed_map(self._routes, routing_map(routes), gone))

    async def _take_over(self, wanted: RoutingMap) -> None:
        self.journal.append(wanted)
        async with self._changed:
            self._routes = wanted
            self._changed.notify_all()

    async def in_flight(self, endpoint: Endpoint) -> int:
        """Return the number of requests that were begun there and not ended."""
        self._fail_if_told("in_flight")
        return self._in_flight.get(endpoint.port, 0)

    def _fail_if_told(self, call: str) -> None:
        if failures := self._failures.get(call):
            raise failures.pop(0)
