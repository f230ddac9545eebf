"""The server that a person has logged in to: its URL and token, in a file of the user's own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tagboat.core.errors import TagboatError
from tagboat.private_files import write_private


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """The URL of a server, without a trailing slash, and the token for it."""

    url: str
    token: str = field(repr=False)


def login_path(environ: Mapping[str, str]) -> Path:
    """Return the file of the login, below XDG_CONFIG_HOME."""
    # An empty or relative value counts as unset (XDG base directory specification).
    given = environ.get("XDG_CONFIG_HOME", "")
    home = environ.get("HOME", "")
    base = Path(given) if given.startswith("/") else Path(home or Path.home()) / ".config"
    return base / "tagboat" / "login.json"


def read_login(path: Path) -> StoredLogin | None:
    """Return the login, None where there is none. Raises TagboatError for an unusable file."""
    try:
        written = json.loads(path.read_text())
        return StoredLogin(str(written["url"]), str(written["token"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TagboatError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise TagboatError(
            f"{path} was not written by 'tagboat login'. Remove it with 'tagboat logout'"
        ) from None


def write_login(path: Path, login: StoredLogin) -> None:
    """Write the login, for its owner only; raise OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, json.dumps({"url": login.url, "token": login.token}))
