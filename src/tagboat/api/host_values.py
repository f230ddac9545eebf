"""Types of values for what an app is given: addresses, tmpfs, capabilities, and host resources."""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from tagboat.api.run_values import MAX_WORD, MAX_WORDS, CommandWords, parse_container_path
from tagboat.api.values import NO_NUL, Parsed, map_schema, text, without_repeats
from tagboat.core.errors import InvalidValueError
from tagboat.core.host_access import parse_bind, parse_device, parse_published
from tagboat.core.run import KEEP_ENTRYPOINT
from tagboat.core.run_changes import MOST_ENTRIES

_MAX_HOST = 253
_MAX_OPTIONS = 255
_MAX_ITEM = 512
HOST_GATEWAY = "host-gateway"
# The reach of these is the container; at most they let an app take more time and memory.
_CONFINED = frozenset({
    "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK",
    "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE",
    "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    "SYS_NICE", "SYS_PTRACE", "SYS_RESOURCE", "SYS_TTY_CONFIG", "WAKE_ALARM",
})  # fmt: skip
# See capabilities(7): each of these reaches the kernel, or files outside of the container.
_UNCONFINED = frozenset({
    "ALL", "AUDIT_CONTROL", "AUDIT_READ", "BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH",
    "MAC_ADMIN", "MAC_OVERRIDE", "PERFMON", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE",
    "SYS_PACCT", "SYS_RAWIO", "SYS_TIME",
})  # fmt: skip
_EXTRA_HOST = r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$"
# Options of mount(8) and tmpfs(5). `suid` and `dev` are left out: Docker forbids both by default,
# for a reason.
_TMPFS_OPTIONS = (
    r"^(?:(?:rw|ro|exec|noexec|nosuid|nodev|noatime|size=[1-9][0-9]{0,11}[kmg%]?"
    r"|mode=[0-7]{3,4}|uid=[0-9]{1,9}|gid=[0-9]{1,9}|nr_inodes=[1-9][0-9]{0,9}[kmg]?)"
    r"(?:,(?!$)|$))*$"
)


def parse_host_address(given: str) -> str:
    """Return an IP address in its usual form, or `host-gateway`; else raise InvalidValueError."""
    if given == HOST_GATEWAY:
        return given
    try:
        return str(ipaddress.ip_address(given))
    except ValueError:
        raise InvalidValueError(
            f"must be an IP address, or {HOST_GATEWAY} for the engine's machine"
        ) from None


def parse_capability(given: str) -> str:
    """Return the name without CAP_ if an app may have it; else raise InvalidValueError."""
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


def parse_bind_text(given: str) -> str:
    """Return a bind in its full form; else raise InvalidValueError."""
    # The core checks the form; the target must also be a place where something can be mounted.
    bind = parse_bind(given)
    parse_container_path(bind.target)
    return str(bind)


def parse_device_text(given: str) -> str:
    """Return a device in its full form; else raise InvalidValueError."""
    device = parse_device(given)
    if not device.target.startswith("/dev/"):
        raise InvalidValueError("must be a device below /dev in the container")
    return str(device)


def _list_of(parse: Callable[[str], str], form: str) -> Any:  # noqa: ANN401 - a type
    """Return the type of lists of strings that `parse` reads, each once; OpenAPI names `form`."""
    item = Annotated[str, Parsed(parse, {"format": form, "maxLength": _MAX_ITEM})]
    return Annotated[list[item], Field(max_length=MOST_ENTRIES), AfterValidator(without_repeats)]


ExtraHosts = Annotated[
    dict[
        Annotated[str, text(_EXTRA_HOST, _MAX_HOST, "a host's name: letters, digits and - _ .", 1)],
        Annotated[str, Parsed(parse_host_address, {})] | None,
    ],
    Field(max_length=MOST_ENTRIES),
    map_schema(
        _EXTRA_HOST,
        _MAX_HOST,
        {"anyOf": [{"type": "string", "format": "address"}, {"type": "null"}]},
        MOST_ENTRIES,
    ),
]


def _by_clean_path(
    given: Mapping[str, object], parse: ValidatorFunctionWrapHandler
) -> dict[str, str | None]:
    clean = {
        path if path == "/" else path.removesuffix("/"): options
        for path, options in parse(given).items()
    }
    if len(clean) < len(given):
        raise ValueError("two of these paths are the same; leave one of them out")
    return clean


TmpfsMap = Annotated[
    dict[
        Annotated[
            str,
            # /run is the system's for volumes, but it is just what a tmpfs is for.
            Parsed(
                lambda path: path if path in {"/run", "/run/"} else parse_container_path(path), {}
            ),
        ],
        Annotated[
            str,
            text(
                _TMPFS_OPTIONS,
                _MAX_OPTIONS,
                "mount options with commas between them, such as size=64m,mode=1777",
            ),
        ]
        | None,
    ],
    Field(max_length=MOST_ENTRIES),
    WrapValidator(_by_clean_path),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"format": "container-path"},
            "additionalProperties": {
                "anyOf": [
                    {"type": "string", "pattern": _TMPFS_OPTIONS, "maxLength": _MAX_OPTIONS},
                    {"type": "null"},
                ]
            },
            "maxProperties": MOST_ENTRIES,
        }
    ),
]
Capabilities = _list_of(parse_capability, "capability")
Binds = _list_of(parse_bind_text, "bind")
Devices = _list_of(parse_device_text, "device")
PublishedPorts = _list_of(lambda given: str(parse_published(given)), "published-port")


def parse_entrypoint(given: object, words: ValidatorFunctionWrapHandler) -> object:
    """Return a list of words, or `image`; else raise InvalidValueError."""
    if given == KEEP_ENTRYPOINT:
        return given
    if isinstance(given, str):
        raise InvalidValueError(
            f"must be a list of words, or {KEEP_ENTRYPOINT} to keep the image's own"
        )
    return words(given)


EntrypointWords = Annotated[
    CommandWords,
    WrapValidator(parse_entrypoint),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": KEEP_ENTRYPOINT},
                {
                    "type": "array",
                    "items": {"type": "string", "pattern": NO_NUL, "maxLength": MAX_WORD},
                    "maxItems": MAX_WORDS,
                },
            ]
        }
    ),
]
