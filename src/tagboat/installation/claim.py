"""All servers of an installation on one machine have the same data: no copy runs beside them."""

import socket
from pathlib import Path

from tagboat.core.errors import SettingsError
from tagboat.core.ids import new_id

_UNIX_SOCKETS = Path("/proc/net/unix")


def claim_installation(installation: str, database: str = "") -> socket.socket:
    """Claim an installation on this machine until the socket is closed, or this process ends.

    A restored copy and its original have one id, and would take the same containers for theirs.
    `database` tells the one that servers share from its copies; empty for data that no other server
    may have. Raises SettingsError where a server with other data has claimed the installation.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # An abstract name (unix(7)): the kernel frees it with the process, and no file is left.
    place = f"tagboat/{installation}"
    own = f"{place}/{database}/{new_id()}"
    claim.bind(f"\0{own}")
    # Looked at after it is claimed: of two that start at once, at least one sees the other.
    named = [
        line.rpartition("@")[2] for line in _UNIX_SOCKETS.read_text("utf-8", "replace").split("\n")
    ]
    others = [name for name in named if f"{name}/".startswith(f"{place}/") and name != own]
    if database and all(name.startswith(f"{place}/{database}/") for name in others):
        return claim
    if not others:
        return claim
    claim.close()
    raise SettingsError(
        f"a server of this installation ({installation}) runs on this machine with other data (a"
        " data directory or database), and a restored copy would fight with it over the same"
        " containers; stop that server first"
    )
