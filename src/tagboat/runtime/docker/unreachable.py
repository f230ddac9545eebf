"""Words for an engine that cannot be reached, with what to do; for server and commands."""

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
            try:
                user = pwd.getpwuid(os.geteuid()).pw_name
            except KeyError:
                user = str(os.geteuid())
            # Docker's own group, unless the socket belongs to another.
            try:
                owner = grp.getgrgid(socket.stat().st_gid).gr_name if socket else "docker"
            except (OSError, KeyError):
                owner = "docker"
            group = "docker" if owner == "root" else owner
            return (
                f"permission denied on its socket; add the user {user} to the group {group}"
                f" (sudo usermod -aG {group} {user}), log in again and restart Tagboat"
            )
        case ConnectionRefusedError():
            return "connection refused; is Docker running there? ('sudo systemctl start docker')"
    return ""
