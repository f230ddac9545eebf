"""Principals: the account, token or program that asks for something, and its role."""

from enum import StrEnum

from msgspec import Struct

from tagboat.core.errors import ForbiddenError


class Role(StrEnum):
    """A set of rights. Of viewer, deployer and admin each includes those before it.

    A viewer reads all but secrets and the webhook's URL; a deployer also gives orders to stages; an
    admin changes everything. `metrics` reads the metrics and nothing else.
    """

    METRICS = "metrics"
    VIEWER = "viewer"
    DEPLOYER = "deployer"
    ADMIN = "admin"

    def includes(self, needed: "Role") -> bool:
        """Return whether the rights of `needed` are among those of this role."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


class PrincipalKind(StrEnum):
    """The way in which a principal is known."""

    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105 - the name of a kind
    ADMIN_TOKEN = "admin-token"  # noqa: S105 - the name of a kind
    LOCAL = "local"
    WEBHOOK = "webhook"
    POLL = "poll"
    SERVER = "server"


class Principal(Struct, frozen=True, kw_only=True):
    """The one that asks for something.

    `name` is that of the account or token; `id` its id, None for the others. `projects` are the ids
    of the projects that it may act on, None for all. `address` is the IP address that the request
    came from, empty where there is none. `session_id` is the session of a browser, else None.
    """

    kind: PrincipalKind
    name: str
    role: Role
    id: str | None = None
    projects: frozenset[str] | None = None
    address: str = ""
    session_id: str | None = None

    def check_role(self, needed: Role) -> None:
        """Raise ForbiddenError where the rights of `needed` are not among the principal's."""
        if not self.role.includes(needed):
            remedy = self._remedy or "an admin can change that"
            raise ForbiddenError(
                f"this needs the role {needed}, and {self.name} has the role {self.role}; {remedy}"
            )

    def check_project(self, project_id: str) -> None:
        """Raise ForbiddenError where the principal may not act on the project."""
        if self.projects is not None and project_id not in self.projects:
            remedy = self._remedy or "an admin can allow it on the page Users"
            raise ForbiddenError(f"{self.name} may not act on this project; {remedy}")

    @property
    def _remedy(self) -> str:
        """The remedy for a token whose rights are too few, which cannot change; else empty."""
        is_token = self.kind is PrincipalKind.TOKEN
        return "an admin can make another token with 'tagboat tokens create'" if is_token else ""


SERVER = Principal(kind=PrincipalKind.SERVER, name="Tagboat", role=Role.ADMIN)
"""The server itself: what happens by its own rules."""
