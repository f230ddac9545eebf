"""The kinds of values that say what an app is given: addresses, memory file systems, rights, and the machine's own things."""

import ipaddress
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from tagboat.api import patterns
from tagboat.api.run_values import Words, map_schema, parse_container_path, without_repeats
from tagboat.api.values import Parsed, text
from tagboat.core.errors import InvalidValueError
from tagboat.core.host_access import parse_bind, parse_device, parse_published
from tagboat.core.run import KEEP_ENTRYPOINT

_MOST = 50
_MAX_HOST = 253
_MAX_OPTIONS = 255
_MAX_TEXT = 512
HOST_GATEWAY = "host-gateway"
_CONFINED = (
    *(
        "AUDIT_WRITE",
        "BLOCK_SUSPEND",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "IPC_LOCK",
        "IPC_OWNER",
        "KILL",
        "LEASE",
    ),
    *(
        "LINUX_IMMUTABLE",
        "MKNOD",
        "NET_ADMIN",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
    ),
    *(
        "SETUID",
        "SYS_CHROOT",
        "SYS_NICE",
        "SYS_PTRACE",
        "SYS_RESOURCE",
        "SYS_TTY_CONFIG",
        "WAKE_ALARM",
    ),
)
"""Capabilities whose reach is the container, or that let an app take more of the machine's time and memory at most."""
_UNCONFINED = frozenset(
    {
        *(
            "ALL",
            "AUDIT_CONTROL",
            "AUDIT_READ",
            "BPF",
            "CHECKPOINT_RESTORE",
            "DAC_READ_SEARCH",
            "MAC_ADMIN",
            "MAC_OVERRIDE",
        ),
        *(
            "PERFMON",
            "SYSLOG",
            "SYS_ADMIN",
            "SYS_BOOT",
            "SYS_MODULE",
            "SYS_PACCT",
            "SYS_RAWIO",
            "SYS_TIME",
        ),
    }
)
CAPABILITY = f"^(?:CAP_)?(?:{'|'.join(_CONFINED)})$"


def _parse_address(given: str) -> str:
    if given == HOST_GATEWAY:
        return given
    try:
        return str(ipaddress.ip_address(given))
    except ValueError:
        raise InvalidValueError(
            f"must be an IP address, or {HOST_GATEWAY} for the engine's machine"
        ) from None


def _parse_tmpfs_path(path: str) -> str:
    # /run is the system's for what lasts, and just what a memory file system is for.
    return path if path in {"/run", "/run/"} else parse_container_path(path)


def _clean_tmpfs(given: dict[str, str]) -> dict[str, str]:
    return {
        path if path == "/" else path.removesuffix("/"): options for path, options in given.items()
    }


def _parse_capability(given: str) -> str:
    name = given.upper().removeprefix("CAP_")
    if name in _UNCONFINED:
        raise InvalidValueError(
            f"{name} would let the app out of its container, which Tagboat does not do"
        )
    if name not in _CONFINED:
        raise InvalidValueError(
            "is not a capability that an app can be given; write one such as NET_ADMIN"
        )
    return name


def _parse_bind(given: str) -> str:
    bind = parse_bind(given)
    parse_container_path(bind.target)
    return str(bind)


def _parse_device(given: str) -> str:
    device = parse_device(given)
    if not device.target.startswith("/dev/"):
        raise InvalidValueError("must be a device below /dev in the container")
    return str(device)


def _each(parse: Callable[[str], str], pattern: str) -> Any:  # noqa: ANN401 - an annotated type is no class
    """A list of such texts, each once."""
    item = Annotated[str, Parsed(parse, {"pattern": pattern, "maxLength": _MAX_TEXT})]
    return Annotated[list[item], Field(max_length=_MOST), AfterValidator(without_repeats)]


_HostName = Annotated[
    str, text(patterns.EXTRA_HOST, _MAX_HOST, "a host's name: letters, digits and - _ .", 1)
]
ExtraHosts = Annotated[
    dict[_HostName, Annotated[str, Parsed(_parse_address, {})]],
    Field(max_length=_MOST),
    map_schema(
        patterns.EXTRA_HOST, _MAX_HOST, {"type": "string", "pattern": patterns.EXTRA_ADDRESS}, _MOST
    ),
]
_TmpfsOptions = Annotated[
    str,
    text(
        patterns.TMPFS_OPTIONS,
        _MAX_OPTIONS,
        "mount options with commas between them, such as size=64m,mode=1777",
    ),
]
Tmpfs = Annotated[
    dict[Annotated[str, Parsed(_parse_tmpfs_path, {})], _TmpfsOptions],
    Field(max_length=_MOST),
    AfterValidator(_clean_tmpfs),
    map_schema(
        patterns.VOLUME_PATH,
        255,
        {"type": "string", "pattern": patterns.TMPFS_OPTIONS, "maxLength": _MAX_OPTIONS},
        _MOST,
    ),
]
Capabilities = _each(_parse_capability, CAPABILITY)
Binds = _each(_parse_bind, patterns.BIND)
Devices = _each(_parse_device, patterns.DEVICE)
Publish = _each(lambda given: str(parse_published(given)), patterns.PUBLISHED)


def _words_or_image(given: object, words: ValidatorFunctionWrapHandler) -> object:
    if given == KEEP_ENTRYPOINT:
        return given
    if isinstance(given, str):
        raise InvalidValueError(
            f"must be a list of words, or {KEEP_ENTRYPOINT} to keep the image's own"
        )
    return words(given)


Entrypoint = Annotated[
    Words,
    WrapValidator(_words_or_image),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": KEEP_ENTRYPOINT},
                {
                    "type": "array",
                    "items": {"type": "string", "pattern": patterns.NO_NUL, "maxLength": 4096},
                    "maxItems": 200,
                },
            ],
            "description": "Words in place of the image's ENTRYPOINT, or `image`: it is kept, and commands are its arguments.",
        }
    ),
]
