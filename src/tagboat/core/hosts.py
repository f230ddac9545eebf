"""Which hosts stages claim: those that come of their names, which end with the base domain, and their own domains."""

from dataclasses import dataclass

from tagboat.core.catalog import Project, Stage
from tagboat.core.naming import stage_host


@dataclass(frozen=True, slots=True)
class HostClaim:
    """The stage claims `host`: all of a domain of its own, else (`is_domain` False) what stands before the base domain."""

    stage_id: str
    host: str
    is_domain: bool


def claims_of(project: Project, stage: Stage) -> list[HostClaim]:
    """What a stage claims for as long as it is configured so, whether or not anything is live in it."""
    own = HostClaim(stage.id, host_label(project.name, stage.name), is_domain=False)
    return [
        own,
        *(HostClaim(stage.id, domain, is_domain=True) for domain in dict.fromkeys(stage.domains)),
    ]


def host_label(project: str, stage: str) -> str:
    """What stands before the base domain in the host of a stage of these names."""
    return stage_host(project, stage, "").removesuffix(".")


def full_host(claim: HostClaim, base_domain: str) -> str:
    """The host claimed, where stages' own hosts end with `base_domain`."""
    return claim.host if claim.is_domain else f"{claim.host}.{base_domain}"


def looked_up_as(host: str, base_domain: str) -> tuple[str, ...]:
    """The texts under which claims to `host` may be on record."""
    label = host.removesuffix(f".{base_domain}")
    return (host,) if label == host else (host, label)
