"""The data directory: created, locked by one server, and read by the command line."""

import contextlib
import fcntl
import json
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from tagboat.core.errors import SettingsError
from tagboat.core.ids import new_id
from tagboat.core.shell_words import shell_words
from tagboat.private_files import write_private

SERVER_FILE = "server.json"
REPLICA_FILE = "replica"
"""File with the id of this server, among those that share a database."""
RESTORING = "restoring"
"""Folder that is there while a backup is put in place."""


class DataDir(Struct, frozen=True):
    """An open data directory. `replica` is its own id, the same at each start."""

    path: Path
    replica: str

    def announce_server(self, url: str, token: str) -> None:
        """Write the server's URL and a token for the command line, readable by the owner only."""
        write_private(self.path / SERVER_FILE, json.dumps({"url": url, "token": token}))

    def withdraw_server(self) -> None:
        """Remove what `announce_server` wrote."""
        (self.path / SERVER_FILE).unlink(missing_ok=True)


@contextlib.contextmanager
def open_data_dir(path: Path, *, restoring: bool = False) -> Iterator[DataDir]:
    """Create the directory (mode 0700) if needed and keep it locked; raise SettingsError.

    A directory with a restore that was cut off can only be opened for `restoring`.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_data_dir(path)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SettingsError(
            f"the data directory {path} cannot be used ({error.strerror}); set TAGBOAT_DATA_DIR"
        ) from None
    try:
        # The kernel releases it when the process ends, however it ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not restoring and (path / RESTORING).exists():
            # A server would find no database, and begin with an empty one.
            raise SettingsError(
                f"a restore into the data directory {path} was cut off: run the same 'tagboat "
                "restore' again, which finishes it"
            )
        replica = path / REPLICA_FILE
        if not replica.exists():
            write_private(replica, new_id())
        yield DataDir(path, replica.read_text().strip())
    except BlockingIOError:
        raise SettingsError(
            f"another Tagboat server uses the data directory {path}; "
            "stop it first, or set TAGBOAT_DATA_DIR"
        ) from None
    finally:
        os.close(lock)


def check_data_dir(path: Path) -> None:
    """Raise SettingsError if another user could put files into the directory."""
    found = path.stat()
    if found.st_uid != os.geteuid():
        try:
            owner = pwd.getpwuid(found.st_uid).pw_name
        except KeyError:
            owner = f"'#{found.st_uid}'"
        # Files of root's would keep the server from starting again.
        as_owner = f"sudo -u {owner} TAGBOAT_DATA_DIR={shell_words(str(path))} tagboat …"
        raise SettingsError(
            f"the data directory {path} belongs to another user, who could read and change "
            + (
                f"everything; run this as that user: {as_owner}"
                if os.geteuid() == 0
                else f"everything; run Tagboat as that user ({as_owner}), or change the owner: "
                f"chown -R {os.geteuid()} {shell_words(str(path))}"
            )
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError(
            f"other users may write to the data directory {path}; change that: chmod 700"
            f" {shell_words(str(path))}"
        )


def server_runs(path: Path) -> bool:
    """Return whether a server holds the data directory."""
    try:
        lock = os.open(path / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        # A shared lock fails only while a server holds its exclusive one.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
