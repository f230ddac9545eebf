"""What room there is, and what Tagboat takes of it."""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api.answers import problems
from tagboat.api.bodies import ResponseModel
from tagboat.api.services import Services
from tagboat.core.config import INSTALLATION_ID
from tagboat.core.errors import NotFoundError
from tagboat.core.keeping import Disk, DiskUsage, Volume
from tagboat.core.ports import Reader

_OF_A_STAGE = re.compile(r"tagboat-([0-9a-f]{24})-.+", re.ASCII)

router = APIRouter(prefix="/api/disk", tags=["health"])


class DiskOut(ResponseModel):
    """One disk: of the `data`, or of the `engine`; `low` is whether it will soon be full."""

    name: str
    path: str
    free_bytes: int
    total_bytes: int
    low: bool


class StageVolumeOut(ResponseModel):
    """A volume that Tagboat made; without a project its stage was deleted. `bytes` is null where the engine does not say."""

    name: str
    bytes: int | None
    project: str | None
    stage: str | None


class DiskUsageOut(ResponseModel):
    """What the images that Tagboat pulled take, at most, and its volumes."""

    images: int
    images_bytes: int
    volumes: list[StageVolumeOut]


class DiskReportOut(ResponseModel):
    """The disks. `taken` is there if it was asked for: an engine may need long to find out."""

    disks: list[DiskOut]
    taken: DiskUsageOut | None


@router.get("", responses=problems(422))
async def get_disk(
    services: Services,
    usage: Annotated[bool, Query(description="Whether to find out what is taken, too.")] = False,
) -> DiskReportOut:
    """How much room there is for data, images and volumes."""
    disks = [_room(disk) for disk in await services.disks()]
    if not usage:
        return DiskReportOut(disks=disks, taken=None)
    found = await services.engine.disk_usage()
    return DiskReportOut(
        disks=disks, taken=await services.store.read(lambda reader: _taken(reader, found))
    )


def _room(disk: Disk) -> DiskOut:
    return DiskOut(
        name=disk.name, path=disk.path, free_bytes=disk.free, total_bytes=disk.total, low=disk.low
    )


def _taken(reader: Reader, usage: DiskUsage) -> DiskUsageOut:
    ours = {str(pulled) for pulled in reader.pulled_images()}
    sizes = [image.size for image in usage.images if not ours.isdisjoint(image.names)]
    # Layers that several images have in common are counted with each.
    taken = min(sum(sizes), usage.layers)
    return DiskUsageOut(
        images=len(sizes), images_bytes=taken, volumes=list(_volumes(reader, usage.volumes))
    )


def _volumes(reader: Reader, volumes: Iterable[Volume]) -> Iterator[StageVolumeOut]:
    installation = reader.setting(INSTALLATION_ID)
    for volume in volumes:
        match = _OF_A_STAGE.fullmatch(volume.name)
        if not match:
            continue
        project, stage = _owner(reader, match[1])
        label = volume.labels.get("tagboat.installation")
        # Earlier releases gave none: without a stage here, it may be in use by another Tagboat on the same engine.
        if label == installation or (label is None and project is not None):
            yield StageVolumeOut(name=volume.name, bytes=volume.size, project=project, stage=stage)


def _owner(reader: Reader, stage_id: str) -> tuple[str | None, str | None]:
    try:
        stage = reader.stage(stage_id)
    except NotFoundError:
        return None, None
    return reader.project(stage.project_id).name, stage.name
