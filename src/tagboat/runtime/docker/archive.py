"""The files of a container, as an archive for the engine (PutContainerArchive of its API)."""

import io
import tarfile
from collections.abc import Mapping

READABLE_BY_ALL = 0o444
"""The app may run as any user.

A user who can look into the container can read its environment as well.
"""


def files_archive(files: Mapping[str, str]) -> bytes:
    """Return an archive for `/` of texts by absolute path.

    UTF-8, owned by root, and nobody may write them.

    Directories are not in it: the engine makes the missing ones (root, 0755), while one that is
    named would get new rights, and take the place of a link of that name (`/run` to `/var/run`).
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mode, entry.size = READABLE_BY_ALL, len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
