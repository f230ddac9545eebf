"""The ingress: the program that routes requests to instances."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from tagboat.core.catalog import Project, Stage
from tagboat.core.request_counts import CodeClasses, ProcessCounts
from tagboat.core.route import Route, Target


class Ingress(Protocol):
    """Routes requests to instances. All calls raise IngressUnavailableError.

    - `routes_traffic` is False for the null object: no request is routed or counted, and instances
      are reached at their own endpoints.
    - `address` is the URL at which a stage answers, None where it has none.
    - `apply_routes` makes traffic follow exactly `routes`, and returns once the ingress has
      confirmed it. A host without a route is answered with an error page; requests under way end
      where they began. A route that cannot be applied, because of its host or endpoints, is left
      out; of two for one host the first counts.
    - `change_routes` does this for the hosts of `routes`, and removes those in `gone`; all others
      stay. `apply_routes` comes first, and again after a change that failed.
    - `in_flight` counts the requests that an instance has yet to answer, 0 for one that had none.
    - `count_requests` returns the counts of these instances by each process of the ingress, and of
      the requests for `hosts` that it answered itself, because there was no instance.
    - `code_classes` returns all answers by host.

    After an IngressUnavailableError, any mixture of old and new routes may be in force.
    """

    @property
    def routes_traffic(self) -> bool: ...

    def address(self, project: Project, stage: Stage) -> str | None: ...
    async def apply_routes(self, routes: Collection[Route]) -> None: ...
    async def change_routes(self, routes: Collection[Route], gone: Collection[str]) -> None: ...
    async def in_flight(self, target: Target) -> int: ...
    async def count_requests(
        self, targets: Sequence[Target], hosts: Collection[str]
    ) -> Sequence[ProcessCounts]: ...
    async def code_classes(self) -> Mapping[str, CodeClasses]: ...
