"""Hosts that stages claim: those of their names, below the base domain, and their domains."""

from msgspec import Struct

from tagboat.core.catalog import Project, Stage
from tagboat.core.naming import stage_host


class HostClaim(Struct, frozen=True):
    """A claim of a stage to `host`: a whole domain, else the part before the base domain."""

    stage_id: str
    host: str
    is_domain: bool


def claims_of(project: Project, stage: Stage) -> list[HostClaim]:
    """Return the claims of a stage, as it is configured, whether or not anything is live."""
    own = HostClaim(stage.id, host_label(project.name, stage.name), is_domain=False)
    return [
        own,
        *(HostClaim(stage.id, domain, is_domain=True) for domain in dict.fromkeys(stage.domains)),
    ]


def host_label(project: str, stage: str) -> str:
    """Return the part before the base domain in the host of a stage of these names."""
    return stage_host(project, stage, "").removesuffix(".")


def full_host(claim: HostClaim, base_domain: str) -> str:
    """Return the whole host of a claim."""
    return claim.host if claim.is_domain else f"{claim.host}.{base_domain}"


def looked_up_as(host: str, base_domain: str) -> tuple[str, ...]:
    """Return the texts under which claims to `host` may be on record."""
    label = host.removesuffix(f".{base_domain}")
    return (host,) if label == host else (host, label)
