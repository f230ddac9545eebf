"""The surroundings of one command: environment, directory, settings, and where its server is."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tagboat.cli.login_file import login_path, read_login
from tagboat.core.errors import TagboatError
from tagboat.data_dir import SERVER_FILE

if TYPE_CHECKING:
    from tagboat.settings import RemoteSettings, Settings

GO_BEFORE_LOGIN = ("TAGBOAT_URL", "TAGBOAT_TOKEN", "TAGBOAT_DATA_DIR")
"""Variables of the environment that go before `tagboat login`, in place of it or of its token."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The URL of a server, without a trailing slash, and the token for it.

    `named_by` is the variable or the file that the URL comes from; messages name it.
    """

    url: str
    token: str | None = field(repr=False)
    named_by: str


@dataclass(frozen=True, slots=True)
class CommandContext:
    """Environment variables and directory of the process; `is_tty`: stderr is a terminal."""

    environ: Mapping[str, str] = field(repr=False)
    cwd: Path
    is_tty: bool

    def settings(self, *, dotenv: bool = False) -> "Settings":
        """Return the settings of the server on this machine. Raises SettingsError.

        `dotenv`: read the .env file of the directory as well, as only the server itself does.
        """
        # Half of the time of `tagboat --help` would go into this import.
        from tagboat.settings import load_settings

        return load_settings(self.environ, cwd=self.cwd, is_tty=self.is_tty, dotenv=dotenv)

    def remote(self) -> "RemoteSettings":
        """Return TAGBOAT_URL and TAGBOAT_TOKEN. Raises SettingsError."""
        from tagboat.settings import load_remote_settings

        return load_remote_settings(self.environ, cwd=self.cwd)

    def server(self) -> ServerAddress:
        """Return the server of TAGBOAT_URL, else of `tagboat login`, else the one that runs here.

        A data directory in the environment names the one that runs here. Raises TagboatError if
        none is known.
        """
        remote = self.remote()
        login_file = login_path(self.environ)
        if remote.url is not None:
            token = remote.token
            if token is None and (login := read_login(login_file)) and login.url == remote.url:
                token = login.token
            return ServerAddress(remote.url, token, "TAGBOAT_URL")
        if not self.environ.get("TAGBOAT_DATA_DIR") and (login := read_login(login_file)):
            return ServerAddress(login.url, remote.token or login.token, str(login_file))
        path = self.settings().data_dir / SERVER_FILE
        other = "use another one with 'tagboat login URL'"
        if self.environ.get("TAGBOAT_DATA_DIR"):
            # A login alone would lead back to here.
            other = (
                "use another one with 'tagboat login URL' and without TAGBOAT_DATA_DIR, which goes"
                " first: unset TAGBOAT_DATA_DIR"
            )
        try:
            written = json.loads(path.read_text())
            # The token in the file is made at each start and ends with the server.
            token = remote.token or str(written["token"])
            return ServerAddress(str(written["url"]), token, str(path))
        except FileNotFoundError:
            raise TagboatError(
                f"no Tagboat server runs here ({path} does not exist). Start one with "
                "'tagboat serve', use sudo here too if it was started with sudo, set "
                "TAGBOAT_DATA_DIR to the data directory of the one that runs (only 'serve' reads "
                f".env), or {other}"
            ) from None
        except OSError as error:
            raise TagboatError(
                f"{path} cannot be read ({error.strerror}). Run this command as the user that "
                f"runs the server, or {other}"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise TagboatError(
                f"{path} was not written by a Tagboat server. Start the server again"
            ) from None


def current_context() -> CommandContext:
    """Return the context of this process. Raises TagboatError if its directory was deleted."""
    try:
        return CommandContext(
            os.environ,  # noqa: TID251 - from here, settings.py is handed it
            Path.cwd(),
            sys.stderr.isatty(),
        )
    except FileNotFoundError:
        raise TagboatError(
            "the working directory does not exist any more. Change to another one"
        ) from None
