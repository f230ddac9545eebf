"""Free disk space of the server, and the space that Tagboat's images and volumes take."""

from collections.abc import Iterator

from tagboat.cli.client import ApiObject, Client
from tagboat.core.errors import TagboatError

_DISK_NAMES = {"data": "the data", "engine": "Docker"}


def list_disks(client: Client) -> list[ApiObject]:
    """Return the disks of the server; none if it does not report them, as older ones do."""
    try:
        return list(client.get("/api/disk")["disks"])
    except (TagboatError, KeyError):
        return []


def describe_disk(disk: ApiObject) -> str:
    """Return how much of a disk is free, in words."""
    name = _DISK_NAMES.get(disk["name"], disk["name"])
    free = f"{format_size(disk['free_bytes'])} free for {name}"
    return f"{free} (LOW: free some space at {disk['path']})" if disk["low"] else free


def describe_usage(client: Client) -> Iterator[tuple[str, str]]:
    """Yield subject and sentence about the space taken; nothing if the server cannot say."""
    try:
        taken = client.get_long("/api/disk", usage="true")["taken"]
    except (TagboatError, KeyError):
        return
    size = format_size(taken["images_bytes"])
    yield "images", f"{taken['images']} that Tagboat pulled, at most {size}"
    volumes = taken["volumes"]
    # The engine may not know the size of each volume.
    known = sum(volume["bytes"] or 0 for volume in volumes)
    counted = [volume for volume in volumes if volume.get("node") is None]
    words = f"{len(counted)} of stages, {format_size(known)}"
    if more := len(volumes) - len(counted):
        words += f"; {more} on nodes of the swarm, not counted ('tagboat volumes')"
    yield "volumes", words
    # Volumes outlive their stage on purpose: only a person may delete data.
    if unused := [volume["name"] for volume in volumes if volume["project"] is None]:
        words = "no stage uses these any more; 'docker volume rm NAME' deletes one with its data"
        yield "unused volumes", f"{words}: {', '.join(unused)}"


def format_size(count: int) -> str:
    """Return a number of bytes in MiB or GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
