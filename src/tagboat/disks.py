"""The disks that the server uses."""

import contextlib
import shutil
from pathlib import Path

from tagboat.core.errors import TagboatError
from tagboat.core.keeping import Disk
from tagboat.core.runtime import Runtime


async def look_at_disks(data_dir: Path, runtime: Runtime, *, is_local: bool) -> list[Disk]:
    """Return the disk of the data and, for an engine on this host, of its images and volumes."""
    places = {"data": data_dir}
    if is_local:
        # An engine that does not answer is reported elsewhere.
        with contextlib.suppress(TagboatError):
            places["engine"] = Path(await runtime.root_dir())
    disks = []
    for name, path in places.items():
        # An engine in another file system reports a path that does not exist here.
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(path)
            disks.append(Disk(name, str(path), usage.free, usage.total))
    return disks
