"""All servers of an installation on one machine have the same data: no copy runs beside them."""

import errno
import socket
from pathlib import Path

from tagboat.core.errors import SettingsError
from tagboat.core.ids import new_id

_UNIX_SOCKETS = Path("/proc/net/unix")


def claim_installation(installation: str, database: str = "", replica: str = "") -> socket.socket:
    """Claim an installation on this machine until the socket is closed, or this process ends.

    A restored copy and its original have one id, and would take the same containers for theirs.
    `database` tells the one that servers share from its copies; empty for data that no other server
    may have. `replica` is the server's own id among those that share. Raises SettingsError where a
    server with other data, or with the same id, has claimed the installation.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # An abstract name (unix(7)): the kernel frees it with the process, and no file is left.
    place = f"tagboat/{installation}"
    own = f"{place}/{database}/{replica if database and replica else new_id()}"
    try:
        claim.bind(f"\0{own}")
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise SettingsError(
            f"another server on this machine has the id {replica} of this one: its data directory"
            " is a copy; delete the file 'replica' in one of the two, and start it again"
        ) from None
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
