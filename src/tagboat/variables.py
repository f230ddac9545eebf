"""The environment over `.env`: known variables and their values, secrets also from files."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tagboat.core.errors import SettingsError
from tagboat.core.generics import T

_PREFIX = "TAGBOAT_"
SECRETS = (
    "TAGBOAT_ADMIN_TOKEN",
    "TAGBOAT_DATABASE_URL",
    "TAGBOAT_OIDC_CLIENT_SECRET",
    "TAGBOAT_TOKEN",
)
KNOWN = (
    "TAGBOAT_HOST",
    "TAGBOAT_PORT",
    "TAGBOAT_DATA_DIR",
    "TAGBOAT_ENGINE",
    "TAGBOAT_DOCKER_HOST",
    "TAGBOAT_PUBLIC_URL",
    "TAGBOAT_HOSTS",
    "TAGBOAT_INGRESS",
    "TAGBOAT_INGRESS_LISTEN",
    "TAGBOAT_INGRESS_START",
    "TAGBOAT_INGRESS_TRUSTED",
    "TAGBOAT_BASE_DOMAIN",
    "TAGBOAT_BIND_ROOTS",
    "TAGBOAT_NETWORK_POOL",
    "TAGBOAT_ENGINE_ID",
    "TAGBOAT_POLL_SCHEDULE",
    "TAGBOAT_LOG_FORMAT",
    "TAGBOAT_LOG_LEVEL",
    "TAGBOAT_LOCAL_SIGN_IN",
    "TAGBOAT_OIDC_ISSUER",
    "TAGBOAT_OIDC_CLIENT_ID",
    "TAGBOAT_OIDC_SCOPES",
    "TAGBOAT_OIDC_NAME",
    "TAGBOAT_OIDC_ROLE_CLAIM",
    "TAGBOAT_OIDC_ROLES",
    "TAGBOAT_OIDC_ALLOWED_DOMAINS",
    "TAGBOAT_URL",
    *SECRETS,
    *(f"{name}_FILE" for name in SECRETS),
)
# Bytes.
_MAX_SECRET_FILE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Variables:
    """The environment over `.env`, without empty values."""

    values: Mapping[str, str] = field(repr=False)
    cwd: Path

    @classmethod
    def read(cls, environ: Mapping[str, str], cwd: Path, *, dotenv: bool) -> "Variables":
        """Merge both sources; raise SettingsError for an unknown name."""
        file = _read_dotenv(cwd / ".env") if dotenv else {}
        for source, place in ((environ, ""), (file, " in .env")):
            for name in sorted(source):
                if name.startswith(_PREFIX) and name not in KNOWN:
                    import difflib  # noqa: PLC0415 - 5 ms that only a typing error needs

                    # Without the common prefix, which would make all names similar.
                    known = {one.removeprefix(_PREFIX): one for one in KNOWN}
                    bare = name.removeprefix(_PREFIX)
                    close = difflib.get_close_matches(bare, known, n=1, cutoff=0.7)
                    hint = "'tagboat serve --help' lists them all"
                    if close:
                        hint = f"did you mean {known[close[0]]}?"
                    raise SettingsError(f"{name}{place} is not a setting of Tagboat; {hint}")
        # The environment wins over the file.
        return cls({name: value for name, value in {**file, **environ}.items() if value}, cwd)

    def parse(self, name: str, parser: Callable[[str], T], *, default: str) -> T:
        """Return the value of `name`, or of its default; raise SettingsError if it is invalid.

        The parser raises ValueError that says what is expected.
        """
        try:
            return parser(self.values.get(name, default))
        except ValueError as error:
            raise SettingsError(f"{name} cannot be used: {error}") from None

    def parse_secret(self, name: str, parser: Callable[[str], T]) -> T | None:
        """Return the value of `name`, or of the file that `name_FILE` names, or None."""
        if f"{name}_FILE" not in self.values:
            return self.parse(name, parser, default="") if name in self.values else None
        if name in self.values:
            raise SettingsError(f"{name} and {name}_FILE are both set; set only one of them")
        return self.parse(
            f"{name}_FILE", lambda path: parser(_read_secret(self.path(path))), default=""
        )

    def path(self, text: str) -> Path:
        """Return an absolute path: `~` is the home directory, relative paths start at `cwd`."""
        if "\0" in text:
            raise ValueError("a path is expected")
        # HOME of the environment given, which need not be this process's.
        if text.startswith("~/") and "HOME" in self.values:
            return Path(self.values["HOME"], text[2:])
        try:
            return Path(os.path.normpath(self.cwd / Path(text).expanduser()))
        except RuntimeError:
            raise ValueError("that home directory is not known; give an absolute path") from None


def _read_dotenv(path: Path) -> dict[str, str]:
    # Some people call their virtual environment .env.
    if not path.exists() or path.is_dir():
        return {}
    from dotenv.parser import parse_stream  # noqa: PLC0415 - 20 ms that only users of .env need

    try:
        # Editors on Windows write a byte order mark.
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeError) as error:
        raise SettingsError(f".env cannot be read: {_file_fault(error)}") from None
    for binding in bindings:
        if binding.error and _PREFIX in binding.original.string:
            raise SettingsError(
                f".env cannot be read: line {binding.original.line} is not NAME=VALUE"
            )
    return {binding.key: binding.value or "" for binding in bindings if binding.key}


def _read_secret(path: Path) -> str:
    # The path is not repeated in errors: some people put the secret itself there.
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_SECRET_FILE + 1)
        text = content.decode().rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        raise ValueError(f"the file cannot be read: {_file_fault(error)}") from None
    if len(content) > _MAX_SECRET_FILE:
        raise ValueError(f"the file is longer than {_MAX_SECRET_FILE} bytes")
    if not text:
        raise ValueError("the file is empty")
    return text


def _file_fault(error: OSError | UnicodeError) -> str:
    return (
        error.strerror or type(error).__name__
        if isinstance(error, OSError)
        else "it is not UTF-8 text"
    )
