"""Where the server is, and what the command line may say to it."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tagboat.core.errors import TagboatError
from tagboat.data_dir import SERVER_FILE
from tagboat.settings import RemoteSettings, Settings, load_remote_settings, load_settings


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, without a trailing slash, the token to show it, and the variable or file that names it."""

    url: str
    token: str | None = field(repr=False)
    named_by: str


@dataclass(frozen=True, slots=True)
class Place:
    """What every command is given. `environ` and `cwd` are the process's own; `is_tty`: stderr is a terminal."""

    environ: Mapping[str, str] = field(repr=False)
    cwd: Path
    is_tty: bool

    def settings(self, *, dotenv: bool = False) -> Settings:
        """The settings of the server on this machine; raise SettingsError. Only the server itself reads `dotenv`."""
        return load_settings(self.environ, cwd=self.cwd, is_tty=self.is_tty, dotenv=dotenv)

    def remote(self) -> RemoteSettings:
        """Which server was asked for; raise SettingsError."""
        return load_remote_settings(self.environ, cwd=self.cwd)

    def server(self) -> Server:
        """The server of TAGBOAT_URL, else the one that runs on this machine; raise TagboatError where there is none."""
        remote = self.remote()
        if remote.url is not None:
            return Server(remote.url, remote.token, "TAGBOAT_URL")
        return _local(self.settings().data_dir / SERVER_FILE, remote.token)


def this_place() -> Place:
    """That of this process; raise TagboatError where its working directory is gone."""
    try:
        return Place(os.environ, Path.cwd(), sys.stderr.isatty())  # noqa: TID251 - from here, settings.py is handed it
    except FileNotFoundError:
        raise TagboatError("the working directory is gone; change to another one") from None


def _local(path: Path, token: str | None) -> Server:
    """The server that left word in `path`; `token` goes before the one it left."""
    try:
        word = json.loads(path.read_text())
        return Server(str(word["url"]), token or str(word["token"]), str(path))
    except FileNotFoundError:
        raise TagboatError(
            f"no Tagboat server runs here (no {path}); start one with 'tagboat serve', set TAGBOAT_DATA_DIR to that of one"
            " (only 'serve' reads .env), or TAGBOAT_URL and TAGBOAT_TOKEN"
        ) from None
    except OSError as error:
        raise TagboatError(
            f"{path} cannot be read ({error.strerror}); run this as the user that runs the server, "
            "or set TAGBOAT_URL and TAGBOAT_TOKEN"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise TagboatError(
            f"{path} is not what a server leaves there; start the server again"
        ) from None
