"""Making a project of an image never seen before, from what the image says of itself."""

from datetime import datetime

from tagboat.core.catalog import Project, Stage
from tagboat.core.ids import new_id
from tagboat.core.image import ImageInfo, ImageName
from tagboat.core.inspection import healthcheck_of, port_of
from tagboat.core.lanes import lanes
from tagboat.core.naming import stage_host, unique_name
from tagboat.core.ports import Tx
from tagboat.core.protocol import AppProtocol, protocol_of
from tagboat.core.tags import parse_tag_pattern

FIRST_STAGE = "dev"


def make_project(tx: Tx, image: ImageName, info: ImageInfo | None, now: datetime) -> Project:
    """Add a project for `image` and its stage `dev`; without `info` the first deploy's pull will fill in the rest."""
    hosts = _hosts(tx)
    project = Project(
        id=new_id(),
        name=unique_name(image.last_part, lambda name: tx.project_by_name(name) is not None or _host(name) in hosts),
        image=image,
        port=port_of(info) if info else 0,
        healthcheck=healthcheck_of(info) if info else "",
        protocol=protocol_of(info.labels) if info else AppProtocol.HTTP,
        inspected=info is not None,
        created_at=now,
    )
    tx.add_project(project)
    tx.add_stage(Stage(id=new_id(), project_id=project.id, name=FIRST_STAGE, pattern=parse_tag_pattern("*"), created_at=now))
    return project


def _hosts(tx: Tx) -> set[str]:
    """The addresses that stages have by their names: `a` and `b-dev` come to the same as `a-b` and `dev`."""
    return {_host(project.name, stage.name) for project, stage in lanes(tx)}


def _host(project: str, stage: str = FIRST_STAGE) -> str:
    return stage_host(project, stage, "")
