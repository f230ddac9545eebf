"""No ingress: every instance is reached at its own endpoint."""

from collections.abc import Collection, Mapping, Sequence

from tagboat.core.catalog import Project, Stage
from tagboat.core.request_counts import CodeClasses, ProcessCounts
from tagboat.core.route import Route, Target


class NoIngress:
    """An ingress that routes nothing. `why` is the reason, empty where this was chosen."""

    routes_traffic = False

    def __init__(self, why: str = "") -> None:
        self.why = why

    async def trouble(self) -> str | None:
        """Return why there is no ingress, None where that was chosen."""
        return self.why or None

    def address(self, project: Project, stage: Stage) -> str | None:  # noqa: ARG002 - the port's
        """Return None: no stage has its own address."""
        return None

    async def apply_routes(self, routes: Collection[Route]) -> None:
        """Do nothing."""

    async def change_routes(self, routes: Collection[Route], gone: Collection[str]) -> None:
        """Do nothing."""

    async def in_flight(self, target: Target) -> int:  # noqa: ARG002 - the port's signature
        """Return 0: no request comes this way."""
        return 0

    async def count_requests(
        self,
        targets: Sequence[Target],  # noqa: ARG002 - the port's signature
        hosts: Collection[str],  # noqa: ARG002 - the port's signature
    ) -> Sequence[ProcessCounts]:
        """Return nothing: no request comes this way."""
        return ()

    async def code_classes(self) -> Mapping[str, CodeClasses]:
        """Return nothing."""
        return {}
