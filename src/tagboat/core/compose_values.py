"""Values of Compose files: ports, mounts, durations, lists and maps. Pure.

All functions raise InvalidValueError for a value that a Compose file cannot have there.
"""

import math
import posixpath
import re
import shlex
from collections.abc import Callable, Mapping

from msgspec import Struct

from tagboat.core.errors import InvalidValueError
from tagboat.core.excerpt import excerpt

_PORT = re.compile(
    r"(?:(?P<ip>[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):)?"
    r"(?:(?P<host>[0-9]*):)?(?P<port>[0-9]{1,5})(?:/(?P<protocol>tcp|udp))?",
    re.ASCII,
)
_COMPOSE_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:us|ms|s|m|h))+", re.ASCII)
_COMPOSE_DURATION_PART = re.compile(r"([0-9.]+)(us|ms|s|m|h)", re.ASCII)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
# Without an effect on a Linux engine, but for `ro`.
_KNOWN_MODES = frozenset({"", "ro", "rw", "cached", "delegated", "consistent"})
_LOST_MODES = frozenset(
    {"z", "Z", "nocopy", "shared", "rshared", "slave", "rslave", "private", "rprivate"}
)
# As Tagboat has it anyway, or read apart; `create_host_path` is what `docker compose config` adds.
_KNOWN_MOUNT_OPTIONS = frozenset(
    {*("type", "source", "target", "read_only", "consistency"), "create_host_path", "size"}
)


class ComposePort(Struct, frozen=True):
    """A port of a container, published at `host` of the machine; empty for any."""

    port: int
    host: str = ""
    host_ip: str = ""
    protocol: str = "tcp"

    def __str__(self) -> str:
        ip = f"{self.host_ip}:" if self.host_ip else ""
        protocol = "/udp" if self.protocol == "udp" else ""
        return f"{ip}{self.host or self.port}:{self.port}{protocol}"


class ComposeMount(Struct, frozen=True):
    """A mount: `kind` is `volume`, `bind` or `tmpfs`; a volume without `source` has no name.

    `lost` are the names of its other options, which have no place in a project.
    """

    kind: str
    source: str
    target: str
    read_only: bool = False
    options: str = ""
    lost: tuple[str, ...] = ()


def as_text(value: object) -> str:
    """Return a string, a number or a boolean as a string."""
    # To Python, a boolean is a number.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return value if isinstance(value, str) else str(value)
    raise InvalidValueError("must be a string")


def as_list(value: object) -> list[object]:
    """Return a list; a value that is none is one of its own."""
    if isinstance(value, list):
        return value
    if value is None or isinstance(value, dict):
        raise InvalidValueError("must be a list")
    return [value]


def as_texts(value: object) -> list[str]:
    """Return a list of strings."""
    return [as_text(one) for one in as_list(value)]


def as_pairs(value: object, separators: str = "=") -> dict[str, str | None]:
    """Return a map, also of a list of `NAME=VALUE`; None is a name without a value."""
    if isinstance(value, dict):
        return {name: None if one is None else as_text(one) for name, one in value.items()}
    pairs: dict[str, str | None] = {}
    for text in as_texts(value):
        # Of two separators the first: an IPv6 address has colons after the one that counts.
        at = min((text.find(one) for one in separators if one in text), default=-1)
        # A part of a secret is one, too: the kind of string says so.
        pairs[text if at < 0 else text[:at]] = None if at < 0 else type(text)(text[at + 1 :])
    return pairs


def as_words(value: object) -> list[str]:
    """Return a command line as words; a string is split as a shell does."""
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise InvalidValueError(f"is not a command line: {error}") from None
    return [] if value is None else as_texts(value)


def as_bool(value: object) -> bool:
    """Return a boolean, which interpolation may have made a string."""
    text = as_text(value).lower()
    if text not in {"true", "false"}:
        raise InvalidValueError("must be true or false")
    return text == "true"


def as_number(value: object) -> float:
    """Return a number that is finite and not negative."""
    try:
        number = float(as_text(value))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise InvalidValueError("must be a number of 0 or more")
    return number


def as_seconds(value: object) -> int:
    """Return a duration such as `1m30s` as whole seconds, rounded up."""
    text = as_text(value)
    if not _COMPOSE_DURATION.fullmatch(text):
        raise InvalidValueError(f"{excerpt(text)} is not a duration such as 1m30s")
    parts = _COMPOSE_DURATION_PART.findall(text)
    try:
        return math.ceil(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    except (ValueError, OverflowError):
        raise InvalidValueError(f"{excerpt(text)} is not a duration such as 1m30s") from None


def parse_compose_port(value: object) -> ComposePort:
    """Return one entry of `ports`, in its short or its long form."""
    if isinstance(value, dict):
        protocol = as_text(value.get("protocol", "tcp"))
        ip = f"{value['host_ip']}:" if value.get("host_ip") else ""
        host = f"{value['published']}:" if value.get("published") else ""
        # As the short form, which has every rule already.
        value = f"{ip}{host or ':' * bool(ip)}{value.get('target')}/{protocol}"
    text = as_text(value)
    found = _PORT.fullmatch(text)
    if found is None or not 0 < int(found["port"]) <= 65535:  # noqa: PLR2004 - the last port
        raise InvalidValueError(f"{excerpt(text)} is not one port of the container")
    return ComposePort(
        int(found["port"]), found["host"] or "", found["ip"] or "", found["protocol"] or "tcp"
    )


def parse_compose_mount(value: object, folder: str) -> ComposeMount:
    """Return one entry of `volumes`; relative paths of the machine start at `folder`."""
    if isinstance(value, dict):
        return parse_long_mount(value, folder)
    # Paths of Windows have colons themselves, and no place on a Linux engine.
    parts = as_text(value).split(":")
    if len(parts) == 1:
        return ComposeMount("volume", "", posixpath.normpath(parts[0]))
    modes = set(parts[2].split(",")) if len(parts) == 3 else {""}  # noqa: PLR2004 - SOURCE:TARGET:MODE
    if len(parts) > 3 or not modes <= _KNOWN_MODES | _LOST_MODES:  # noqa: PLR2004 - as above
        raise InvalidValueError(f"{excerpt(as_text(value))} is not SOURCE:TARGET[:ro]")
    source, target = parts[:2]
    if source.startswith("~"):
        raise InvalidValueError(f"{excerpt(source)} begins with ~; write the whole path")
    is_path = source.startswith((".", "/"))
    kind = "bind" if is_path else "volume"
    source = posixpath.normpath(posixpath.join(folder, source)) if is_path else source
    lost = tuple(sorted(modes & _LOST_MODES))
    return ComposeMount(kind, source, posixpath.normpath(target), "ro" in modes, lost=lost)


def parse_long_mount(value: Mapping[str, object], folder: str) -> ComposeMount:
    """Return a mount in the long form of a map."""
    kind, source = as_text(value.get("type", "volume")), as_text(value.get("source") or "")
    target = posixpath.normpath(as_text(value.get("target")))
    if kind not in {"volume", "bind", "tmpfs"}:
        raise InvalidValueError(f"mounts of the type {excerpt(kind)} are not supported")
    options = value.get("tmpfs")
    given = options.get("size") if isinstance(options, dict) else None
    size = f"size={as_text(given)}" if given else ""
    if kind == "bind":
        source = posixpath.normpath(posixpath.join(folder, source))
    inner = value.get("volume")
    if isinstance(inner, dict) and inner.get("subpath"):
        raise InvalidValueError(f"subpath of the volume {source} is not supported")
    lost = [
        name
        for key, one in value.items()
        for name, given in (one.items() if isinstance(one, dict) else [(key, one)])
        if name not in _KNOWN_MOUNT_OPTIONS and given
    ]
    read_only = as_bool(value.get("read_only", False))
    return ComposeMount(kind, source, target, read_only, size, tuple(lost))


# Options that only have another name; None leaves the option out.
SAME_OPTIONS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "user": ("user", as_text),
    "mem_limit": ("memory", as_text),
    "cpus": ("cpus", as_number),
    "shm_size": ("shm_size", as_text),
    "read_only": ("read_only", as_bool),
    "init": ("init", as_bool),
    "stop_signal": ("stop_signal", as_text),
    "stop_grace_period": ("stop_timeout_s", as_seconds),
    "cap_add": ("cap_add", as_texts),
}
