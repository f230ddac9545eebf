"""Where the server is, and what the command line may say to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tagboat.core.errors import TagboatError
from tagboat.settings import Settings, load_remote_settings, load_settings

SERVER_FILE = "server.json"


@dataclass(frozen=True, slots=True)
class Place:
    """What every command is given. `environ` and `cwd` are the process's own."""

    environ: Mapping[str, str] = field(repr=False)
    cwd: Path
    is_tty: bool

    def settings(self) -> Settings:
        """The settings of the server on this machine; raises SettingsError."""
        return load_settings(self.environ, cwd=self.cwd, is_tty=self.is_tty)

    def server(self) -> "Server":
        """The server of TAGBOAT_URL, else the one that runs on this machine; raises TagboatError where there is none."""
        remote = load_remote_settings(self.environ, cwd=self.cwd)
        if remote.url is not None:
            return Server(remote.url, remote.token)
        path = self.settings().data_dir / SERVER_FILE
        try:
            word = json.loads(path.read_text())
            return Server(word["url"], remote.token or word["token"])
        except FileNotFoundError:
            raise TagboatError(
                f"no Tagboat server runs here (there is no {path}); start one with 'tagboat serve', "
                "or set TAGBOAT_URL and TAGBOAT_TOKEN"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TagboatError(f"{path} cannot be read ({error}); run the command as the user that runs the server") from None


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, without a trailing slash, and the token to show it."""

    url: str
    token: str | None = field(repr=False)
