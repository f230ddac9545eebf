"""Host resources that an app may use: paths, devices and ports, as people write them."""

import ipaddress
import re
from collections.abc import Sequence

from msgspec import Struct

from tagboat.core.endpoint import LOOPBACK
from tagboat.core.errors import InvalidValueError

_LAST_PORT = 65535
_MAX_PATH = 255
_ABSOLUTE_PATH = re.compile(r"(?:/[^/:\x00-\x1f\x7f]+)+")
_BIND_SYNTAX = re.compile(r"(?P<source>/[^:]*):(?P<target>/[^:]*?)(?::(?P<mode>ro|rw))?")
_DEVICE = re.compile(r"(?P<source>/[^:]*)(?::(?P<target>/[^:]*))?(?::(?P<rights>[rwm]{1,3}))?")
_PUBLISHED = re.compile(
    r"(?:(?P<ip>[0-9.]{7,15}|\[[0-9A-Fa-f:.]{2,45}\]):)?"
    r"(?P<host>[0-9]{1,5}):(?P<port>[0-9]{1,5})(?:/(?P<protocol>tcp|udp))?"
)
# The engine's message about a port in use has the port after a colon.
_TAKEN = re.compile(r":([0-9]{1,5})\b")


class Bind(Struct, frozen=True):
    """A file or directory of the host, `source`, mounted at `target` in the container."""

    source: str
    target: str
    read_only: bool = False

    def __str__(self) -> str:
        return f"{self.source}:{self.target}" + (":ro" if self.read_only else "")


class Device(Struct, frozen=True):
    """A device of the host, available at `target`.

    `rights` are some of `r`, `w` and `m` (create its node).
    """

    source: str
    target: str
    rights: str = "rwm"

    def __str__(self) -> str:
        return f"{self.source}:{self.target}:{self.rights}"


class Published(Struct, frozen=True):
    """A port of the container that is published on a fixed port of the host.

    Both are from 1 to 65535; `protocol` is `tcp` or `udp`.
    """

    host_ip: str
    host_port: int
    port: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return f"{host}:{self.host_port}:{self.port}/{self.protocol}"


def parse_bind(text: str) -> Bind:
    """Read `HOST_PATH:CONTAINER_PATH[:ro]`; raise InvalidValueError for anything else."""
    found = _BIND_SYNTAX.fullmatch(text)
    if not found:
        raise InvalidValueError(
            "must be HOST_PATH:CONTAINER_PATH, optionally with :ro for read-only"
        )
    return Bind(_parse_path(found["source"]), _parse_path(found["target"]), found["mode"] == "ro")


def parse_device(text: str) -> Device:
    """Read `HOST_PATH[:CONTAINER_PATH[:rwm]]`; raise InvalidValueError for anything else."""
    found = _DEVICE.fullmatch(text)
    rights = (found and found["rights"]) or ""
    if not found or (rights and not found["target"]) or len(set(rights)) < len(rights):
        raise InvalidValueError(
            "must be HOST_PATH, HOST_PATH:CONTAINER_PATH, or the latter with :rwm"
        )
    source = _parse_path(found["source"])
    # One spelling for each set of rights, so that equal configurations compare equal.
    in_order = "".join(right for right in "rwm" if right in (rights or "rwm"))
    return Device(source, _parse_path(found["target"]) if found["target"] else source, in_order)


def parse_published(text: str) -> Published:
    """Read `[HOST_IP:]HOST_PORT:PORT[/udp]`; raise InvalidValueError for anything else.

    Without an address the port is published on loopback.
    """
    found = _PUBLISHED.fullmatch(text)
    if not found:
        raise InvalidValueError(
            "must be HOST_PORT:PORT, optionally with HOST_IP: before it and /udp after it"
        )
    host_port, port = int(found["host"]), int(found["port"])
    if not (0 < host_port <= _LAST_PORT and 0 < port <= _LAST_PORT):
        raise InvalidValueError(f"has a port that is not from 1 to {_LAST_PORT}")
    # The engine's own default would be all addresses of the machine.
    text_ip = found["ip"] or LOOPBACK
    try:
        host_ip = str(ipaddress.ip_address(text_ip.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise InvalidValueError(f"{text_ip} is not an IP address") from None
    return Published(host_ip, host_port, port, found["protocol"] or "tcp")


def published_port_in(complaint: str, publish: Sequence[str]) -> int | None:
    """Return the port of `publish` that an engine's message names as in use, None if another."""
    named = {int(port) for port in _TAKEN.findall(complaint)}
    return next(
        (port for port in (parse_published(text).host_port for text in publish) if port in named),
        None,
    )


def lies_within(path: str, root: str) -> bool:
    """Return whether `path` is `root` or below it; both are absolute and clean."""
    return root in {path, "/"} or path.startswith(f"{root}/")


def no_host_path(path: str) -> str:
    """Raise InvalidValueError for each path of the host: none is allowed."""
    raise InvalidValueError(
        f"{path} is a path of the server's host, and none is allowed; "
        "an administrator of the server can allow some with TAGBOAT_BIND_ROOTS"
    )


def _parse_path(text: str) -> str:
    path = text[:-1] if len(text) > 1 and text.endswith("/") else text
    if path == "/":
        return path
    if len(path) > _MAX_PATH or not _ABSOLUTE_PATH.fullmatch(path):
        raise InvalidValueError(
            f"has a path that is not absolute, has an empty part, or over {_MAX_PATH} characters"
        )
    # With `..` a path could leave the allowed roots although it begins with one.
    if {"..", "."} & set(path.split("/")):
        raise InvalidValueError(
            "has '..' or '.' in a path; write the path as it is, such as /srv/data"
        )
    return path
