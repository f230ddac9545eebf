"""How much room the server has, and what Tagboat takes of it."""

from collections.abc import Iterator

from tagboat.cli.client import Answer, Client
from tagboat.core.errors import TagboatError

_NAMES = {"data": "the data", "engine": "Docker"}


def disks(client: Client) -> list[Answer]:
    """The disks of the server; none where it does not say."""
    try:
        return list(client.get("/api/disk")["disks"])
    except (TagboatError, KeyError):
        return []


def told(disk: Answer) -> str:
    """One disk, in words."""
    found = f"{size(disk['free_bytes'])} free for {_NAMES.get(disk['name'], disk['name'])}"
    return f"{found} (LOW: make room at {disk['path']})" if disk["low"] else found


def taken(client: Client) -> Iterator[tuple[str, str]]:
    """What Tagboat's images and volumes take, and which volumes no stage has any more; nothing where nobody can say."""
    try:
        found = client.get_long("/api/disk", usage="true")["taken"]
    except (TagboatError, KeyError):
        return
    yield "images", f"{found['images']} that Tagboat pulled, at most {size(found['images_bytes'])}"
    volumes = found["volumes"]
    known = sum(volume["bytes"] or 0 for volume in volumes)
    yield "volumes", f"{len(volumes)} of stages, {size(known)}"
    if left := [volume["name"] for volume in volumes if volume["project"] is None]:
        words = "no stage here has these any more; 'docker volume rm NAME' deletes one with all that is in it"
        yield "volumes left", f"{words}: {', '.join(left)}"


def size(count: int) -> str:
    """Bytes, in the unit that fits."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
