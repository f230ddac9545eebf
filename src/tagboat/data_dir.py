"""The data directory: made, locked to one server, and where that server leaves word for the command line."""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tagboat.core.errors import SettingsError
from tagboat.core.ids import new_id
from tagboat.private_files import write_private

SERVER_FILE = "server.json"


@dataclass(frozen=True, slots=True)
class DataDir:
    """An open data directory. `replica` is an id of its own, the same at every start."""

    path: Path
    replica: str

    def announce_server(self, url: str, token: str) -> None:
        """Leave word, readable by the owner alone, of where the server answers and of a token for the command line."""
        write_private(self.path / SERVER_FILE, json.dumps({"url": url, "token": token}))

    def withdraw_server(self) -> None:
        """Take that word back."""
        (self.path / SERVER_FILE).unlink(missing_ok=True)


@contextlib.contextmanager
def open_data_dir(path: Path) -> Iterator[DataDir]:
    """Make the directory (mode 0700) if need be and keep it locked; raise SettingsError where that cannot be."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_others(path)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SettingsError(
            f"the data directory {path} cannot be used ({error.strerror}); set TAGBOAT_DATA_DIR"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield DataDir(path, _replica(path / "replica"))
    except BlockingIOError:
        raise SettingsError(
            f"another Tagboat server runs on the data directory {path}; stop it first, or set TAGBOAT_DATA_DIR"
        ) from None
    finally:
        os.close(lock)


def _refuse_others(path: Path) -> None:
    """Raise SettingsError where somebody else could put files into the directory."""
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise SettingsError(
            f"the data directory {path} belongs to another user, who could read and change everything; run Tagboat as that"
            f" user, or give it to this one: chown -R {os.geteuid()} {path}"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError(
            f"others may write to the data directory {path}; keep them out: chmod 700 {path}"
        )


def server_runs(path: Path) -> bool:
    """Return whether a server holds the data directory."""
    try:
        lock = os.open(path / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _replica(path: Path) -> str:
    if not path.exists():
        write_private(path, new_id())
    return path.read_text().strip()
