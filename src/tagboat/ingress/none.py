"""No ingress: every instance is reached at its own loopback address."""

from tagboat.core.catalog import Project, Stage


class NoIngress:
    """Implements `Ingress` by leading no traffic anywhere."""

    def address(self, project: Project, stage: Stage) -> str | None:  # noqa: ARG002 - the port's signature
        """None: no stage has an address of its own."""
        return None
