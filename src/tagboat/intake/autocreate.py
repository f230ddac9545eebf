"""Making a project of an image never seen before, from what the image says of itself."""

from datetime import datetime
from functools import partial

from tagboat.core.catalog import Project, Stage
from tagboat.core.hosts import host_label
from tagboat.core.ids import new_id
from tagboat.core.image import ImageInfo, ImageName
from tagboat.core.inspection import healthcheck_of, port_of
from tagboat.core.naming import unique_name
from tagboat.core.ports import Tx
from tagboat.core.protocol import AppProtocol, protocol_of
from tagboat.core.tags import parse_tag_pattern

FIRST_STAGE = "dev"


def make_project(tx: Tx, image: ImageName, info: ImageInfo | None, now: datetime) -> Project:
    """Add a project for `image` and its stage `dev`; without `info` the first deploy's pull will fill in the rest.

    An image that keeps data waits for a person: what has that data by now may be running elsewhere on the machine.
    """
    project = Project(
        id=new_id(),
        name=unique_name(image.last_part, partial(_is_taken, tx)),
        image=image,
        port=port_of(info) if info else 0,
        healthcheck=healthcheck_of(info) if info else "",
        protocol=protocol_of(info.labels) if info else AppProtocol.HTTP,
        inspected=info is not None,
        created_at=now,
    )
    tx.add_project(project)
    tx.add_stage(_first_stage(project, info.volumes if info else ()))
    return project


def _is_taken(tx: Tx, name: str) -> bool:
    """Whether a project has the name, or a stage the address to come of it: `a` and `b-dev` make that of `a-b` and `dev`."""
    claims = tx.host_claims([host_label(name, FIRST_STAGE)])
    return tx.project_by_name(name) is not None or not all(claim.is_domain for claim in claims)


def _first_stage(project: Project, volumes: tuple[str, ...]) -> Stage:
    return Stage(
        id=new_id(),
        project_id=project.id,
        name=FIRST_STAGE,
        pattern=parse_tag_pattern("*"),
        auto_deploy=not volumes,
        image_volumes=volumes,
        created_at=project.created_at,
    )
