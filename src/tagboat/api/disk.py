"""Disk space: how much is free, and how much Tagboat takes."""

from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api.answers import problems
from tagboat.api.bodies import Answer
from tagboat.api.services import Ops
from tagboat.operations.queries import machine

router = APIRouter(prefix="/api/disk", tags=["health"])


class DiskRoom(Answer):
    """One disk: of the `data`, or of the `engine`; `low` is true where it will soon be full."""

    name: str
    path: str
    free_bytes: int
    total_bytes: int
    low: bool


class StageVolumeOut(Answer):
    """A volume that Tagboat made; without a project its stage was deleted.

    `bytes` is null where the engine does not say.
    """

    name: str
    bytes: int | None
    project: str | None
    stage: str | None


class Taken(Answer):
    """The bytes that the images pulled by Tagboat take, at most, and its volumes."""

    images: int
    images_bytes: int
    volumes: list[StageVolumeOut]


class DiskReport(Answer):
    """The disks. `taken` is there if it was asked for: an engine may need long to find out."""

    disks: list[DiskRoom]
    taken: Taken | None


@router.get("", responses=problems(422))
async def get_disk(
    operations: Ops,
    usage: Annotated[bool, Query(description="Also find out what is taken.")] = False,
) -> DiskReport:
    """Show how much room there is for data, images and volumes."""
    disks = [
        DiskRoom(
            name=disk.name,
            path=disk.path,
            free_bytes=disk.free,
            total_bytes=disk.total,
            low=disk.low,
        )
        for disk in await operations.machine.disks()
    ]
    taken = _taken_out(await operations.machine.space_taken()) if usage else None
    return DiskReport(disks=disks, taken=taken)


def _taken_out(taken: machine.SpaceTaken) -> Taken:
    volumes = [
        StageVolumeOut(name=one.name, bytes=one.size, project=one.project, stage=one.stage)
        for one in taken.volumes
    ]
    return Taken(images=taken.images, images_bytes=taken.images_bytes, volumes=volumes)
