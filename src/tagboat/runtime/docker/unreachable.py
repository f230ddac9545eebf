"""Why there is no connection to an engine, in words that say what to do.

For the server and for a command without one.
"""

import grp
import os
import pwd
from pathlib import Path


def why_unreachable(error: BaseException, socket: Path | None) -> str:
    """Return the words for an error of the system, empty for one that says nothing more.

    `socket` is the engine's, if any.
    """
    match error:
        case FileNotFoundError():
            return (
                "there is no such socket; is Docker running there? ('sudo systemctl start docker')"
            )
        case PermissionError():
            user, group = _user(), _group(socket)
            return (
                f"permission denied on its socket; add the user {user} to the group {group}"
                f" (sudo usermod -aG {group} {user}), log in again and restart Tagboat"
            )
        case ConnectionRefusedError():
            return "connection refused; is Docker running there? ('sudo systemctl start docker')"
    return ""


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _group(socket: Path | None) -> str:
    """Return the group that may use the socket.

    Docker's own, unless the socket belongs to another.
    """
    try:
        name = grp.getgrgid(socket.stat().st_gid).gr_name if socket else "docker"
    except (OSError, KeyError):
        return "docker"
    return "docker" if name == "root" else name
