"""Ownership of containers: labels name a deploy, and its record proves that it has made them.

Labels alone prove nothing: a container made from an image that was committed from one of Tagboat's
has them, too.
"""

from tagboat.core.errors import NotFoundError
from tagboat.core.ports import Reader
from tagboat.core.workload import WorkloadStatus

ROLE = "tagboat.role"
INSTANCE, RELEASE, ONE_OFF = "instance", "release", "run"
CLAIM = "tagboat.claim"
"""Label with the number of the claim by which a container was made."""
RUN = "tagboat.run"
"""Label with the id of a one-off command."""
_CLAIM_DIGITS = 10


def own_labels(installation: str) -> dict[str, str]:
    """Return the labels by which what this installation makes on an engine is told from others."""
    return {"tagboat.managed": "true", "tagboat.installation": installation}


def role_of(container: WorkloadStatus) -> str:
    """Return the role of a container; older releases had it in the name alone."""
    return container.labels.get(ROLE) or (
        RELEASE if container.name.endswith("-release") else INSTANCE
    )


def claim_of(container: WorkloadStatus) -> int:
    """Return the number of the claim by which it was made; 0 for one of an older release."""
    said = container.labels.get(CLAIM, "")
    # At most as long as the numbers of the database: a label can say anything.
    return int(said) if said.isascii() and said.isdecimal() and len(said) < _CLAIM_DIGITS else 0


def release_container(container: str) -> str:
    """Return the name for the release command of the deploy whose instance is `container`."""
    return f"{container}-release"


def made_here(reader: Reader, container: WorkloadStatus, deleted: str = "") -> bool:
    """Return whether a deploy on record has made it.

    It is known by its id, or by its name where the id is not on record yet. `deleted` is the name
    of the container of a deploy that was deleted.
    """
    try:
        deploy = reader.deploy(container.labels.get("tagboat.deploy", ""))
    except NotFoundError:
        return bool(deleted) and container.name in {deleted, release_container(deleted)}
    made = reader.instance_of(deploy.id)
    name = made.container if made is not None else deploy.container
    if role_of(container) == RELEASE:
        return _is_recorded(container, deploy.release_id, release_container(name))
    return _is_recorded(container, made.container_id if made is not None else "", name)


def _is_recorded(container: WorkloadStatus, on_record: str, name: str) -> bool:
    # Once an id is on record, the name proves nothing: anybody can give it to a container.
    return container.id == on_record if on_record else bool(name) and container.name == name
