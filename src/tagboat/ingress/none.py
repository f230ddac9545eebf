"""No ingress: every instance is reached at its own loopback address."""

from collections.abc import Collection

from tagboat.core.catalog import Project, Stage
from tagboat.core.route import Route


class NoIngress:
    """Implements `Ingress` by leading no traffic anywhere. `why` says why nobody has chosen that, empty where somebody has."""

    def __init__(self, why: str = "") -> None:
        self.why = why

    async def trouble(self) -> str | None:
        """Why there is none, None where that was chosen."""
        return self.why or None

    def address(self, project: Project, stage: Stage) -> str | None:  # noqa: ARG002 - the port's signature
        """None: no stage has an address of its own."""
        return None

    async def lead(self, routes: Collection[Route]) -> None:
        """Do nothing."""

    async def change(self, routes: Collection[Route], gone: Collection[str]) -> None:
        """Do nothing."""

    async def in_flight(self, port: int) -> int:  # noqa: ARG002 - the port's signature
        """0: nothing came through here."""
        return 0
