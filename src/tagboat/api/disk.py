"""Disk space: how much is free, and how much Tagboat takes."""

from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api.answers import problems
from tagboat.api.bodies import ResponseModel
from tagboat.api.services import Ops

router = APIRouter(prefix="/api/disk", tags=["health"])


class DiskOut(ResponseModel):
    """One disk: of the `data`, or of the `engine`; `low` is true where it will soon be full."""

    name: str
    path: str
    free_bytes: int
    total_bytes: int
    low: bool


class StageVolumeOut(ResponseModel):
    """A volume that Tagboat made; without a project its stage was deleted.

    `bytes` is null where the engine does not say. `node` is that of a swarm which its stage asks
    for, and whose volumes are not counted; null on the engine itself.
    """

    name: str
    bytes: int | None
    project: str | None
    stage: str | None
    node: str | None


class DiskUsageOut(ResponseModel):
    """The bytes that the images pulled by Tagboat take, at most, and its volumes."""

    images: int
    images_bytes: int
    volumes: list[StageVolumeOut]


class DiskReportOut(ResponseModel):
    """The disks. `taken` is there if it was asked for: an engine may need long to find out."""

    disks: list[DiskOut]
    taken: DiskUsageOut | None


@router.get("", responses=problems(422))
async def get_disk(
    operations: Ops,
    usage: Annotated[bool, Query(description="Also find out what is taken.")] = False,
) -> DiskReportOut:
    """Show how much room there is for data, images and volumes."""
    disks = [
        DiskOut(
            name=disk.name,
            path=disk.path,
            free_bytes=disk.free,
            total_bytes=disk.total,
            low=disk.low,
        )
        for disk in await operations.machine.disks()
    ]
    # Only where asked: an engine with many images may need a minute to add them up.
    taken = await operations.machine.space_taken() if usage else None
    if taken is None:
        return DiskReportOut(disks=disks, taken=None)
    volumes = [
        StageVolumeOut(
            name=one.name,
            bytes=one.size,
            project=one.project,
            stage=one.stage,
            node=one.node,
        )
        for one in taken.volumes
    ]
    usage_out = DiskUsageOut(images=taken.images, images_bytes=taken.images_bytes, volumes=volumes)
    return DiskReportOut(disks=disks, taken=usage_out)
