"""The disks that the server stands on."""

import contextlib
import shutil
from pathlib import Path

from tagboat.core.errors import TagboatError
from tagboat.core.keeping import Disk
from tagboat.core.runtime import Runtime


async def look_at_disks(data_dir: Path, engine: Runtime, *, is_local: bool) -> list[Disk]:
    """That of the data and, where the engine is on this machine and says where it is, that of its images and volumes."""
    places = {"data": data_dir}
    if is_local:
        with contextlib.suppress(TagboatError):  # that it does not answer is told elsewhere
            places["engine"] = Path(await engine.root_dir())
    return [disk for name, path in places.items() if (disk := _look(name, path))]


def _look(name: str, path: Path) -> Disk | None:
    """That disk; None where there is no such place, as when an engine in another file system tells of its own."""
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return None
    return Disk(name, str(path), usage.free, usage.total)
