"""Which container this process runs in, by what the kernel says of its mounts."""

import re
from pathlib import Path

# The engine mounts files of the container's own folder: Docker's
# /var/lib/docker/containers/ID/hostname, Podman's
# …/overlay-containers/ID/userdata/hostname.
_MOUNTED = re.compile(r"containers/([0-9a-f]{64})/(?:userdata/)?(?:hostname|hosts|resolv\.conf)\s")


def own_container() -> str | None:
    """Return the id of the container that this process runs in, None where it is not known."""
    try:
        return container_in(Path("/proc/self/mountinfo").read_text(errors="replace"))
    except OSError:
        return None


def container_in(mountinfo: str) -> str | None:
    """Return the id of the container whose files a mountinfo (proc(5)) mounts, None for none."""
    match = _MOUNTED.search(mountinfo)
    return match[1] if match else None
