"""One server for an installation on one machine, whatever data directories its copies have."""

import errno
import socket

from tagboat.core.errors import SettingsError


def claim_installation(installation: str) -> socket.socket:
    """Claim an installation on this machine until the socket is closed, or this process ends.

    A restored copy and its original have one id, and would take the same containers for theirs.
    Raises SettingsError where another server has claimed it.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # An abstract name (unix(7)): the kernel frees it with the process, and no file is left.
        claim.bind(f"\0tagboat/{installation}")
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise SettingsError(
            f"a server of this installation ({installation}) runs on this machine with another"
            " data directory, and a restored copy would fight with it over the same containers;"
            " stop that server first"
        ) from None
    return claim
