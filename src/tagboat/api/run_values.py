"""The kinds of values that say how an app is run. Limits are Docker's where it has some, else far beyond what is sensible."""

import re
from decimal import Decimal
from signal import SIGRTMAX, Signals
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from tagboat.api import patterns
from tagboat.api.values import MAX_ENV, MAX_ENV_VALUE, EnvName, Parsed, text, whole
from tagboat.core.catalog import Strategy
from tagboat.core.errors import InvalidValueError
from tagboat.core.protocol import AppProtocol

MIN_MEMORY = 6 << 20
"""Bytes; Docker starts no container with less."""
MAX_MEMORY = 1 << 50
MIN_SHM_SIZE = 64 << 10
MAX_PIDS = 1 << 22
"""Linux's own."""
MIN_CPUS, MAX_CPUS = 0.01, 1024
MAX_SECRET_FILE = 512 * 1024
_MAX_VOLUMES, _MAX_NETWORKS, _MAX_LABELS, _MAX_WORDS = 50, 20, 100, 200
_MAX_PATH, _MAX_WORD = 255, 4096
_NO_VOLUME = ("/proc", "/sys", "/dev", "/run/secrets")
_NO_NETWORK = frozenset({"host", "none", "bridge", "default"})
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_AMOUNT = re.compile(
    r"([0-9]{1,20}(?:\.[0-9]{1,6})?) ?([bkmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE
)
_SIGNAL_NAMES = frozenset(signal.name for signal in Signals)


def parse_container_path(path: str) -> str:
    """Return `path` if something can be mounted there; else raise InvalidValueError."""
    path = path[:-1] if len(path) > 1 and path.endswith("/") else path
    if len(path) > _MAX_PATH or not path.startswith("/"):
        raise InvalidValueError(
            f"must be an absolute path in the container such as /data, at most {_MAX_PATH} characters"
        )
    parts = path.split("/")[1:]
    if path in {"/", "/run"} or any(
        path == top or path.startswith(f"{top}/") for top in _NO_VOLUME
    ):
        raise InvalidValueError(
            f"cannot be / or /run, nor lie in {', '.join(_NO_VOLUME)}, which are the system's"
        )
    if ".." in parts or "." in parts or "" in parts:
        raise InvalidValueError(
            "has '..', '.' or an empty part; write the path as it is, such as /var/lib/data"
        )
    if not re.fullmatch(patterns.VOLUME_PATH, path):
        raise InvalidValueError("has a character other than letters, digits and - _ . + @ / in it")
    return path


def _refuse_one_path_twice(volumes: dict[str, str]) -> dict[str, str]:
    paths = list(volumes.values())
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise InvalidValueError(f"two volumes have the path {twice}; give each its own")
    return volumes


def _read_memory(value: object) -> object:
    """Bytes, from text such as `512m` too; what is neither goes on to be refused."""
    if not isinstance(value, str):
        return whole(value)
    found = _AMOUNT.fullmatch(value)
    if not found:
        raise InvalidValueError("must be a number of bytes, or text such as 512m or 1.5g")
    return int(Decimal(found[1]) * _UNITS[found[2].lower()])


def _check_memory(amount: int) -> int:
    if amount and not MIN_MEMORY <= amount <= MAX_MEMORY:
        raise InvalidValueError(
            f"must be 0 (no limit), or from 6 MiB, Docker's least, to {MAX_MEMORY >> 40} TiB"
        )
    return amount


def _check_shm_size(amount: int) -> int:
    if amount and not MIN_SHM_SIZE <= amount <= MAX_MEMORY:
        raise InvalidValueError(
            f"must be 0 (the engine's own), or from 64 KiB to {MAX_MEMORY >> 40} TiB"
        )
    return amount


def _check_cpus(number: float) -> float:
    if number and not MIN_CPUS <= number <= MAX_CPUS:
        raise InvalidValueError(
            f"must be 0 (no limit), or from {MIN_CPUS} to {MAX_CPUS} processors"
        )
    return number


def _read_signal(value: object) -> object:
    """A number is taken for its digits."""
    value = whole(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _parse_signal(given: str) -> str:
    """The name with SIG where it has one, else its number in digits; empty for the image's own."""
    if not given:
        return given
    if given.isascii() and given.isdigit() and 0 < int(given[:5]) <= SIGRTMAX:
        number = int(given)
        return Signals(number).name if number in set(Signals) else str(number)
    name = given.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in _SIGNAL_NAMES:
        raise InvalidValueError("is not a signal; write it such as SIGTERM, INT or 15")
    return name


def _refuse_nothing_to_run(words: list[str]) -> list[str]:
    if words and not words[0]:
        raise InvalidValueError("begins with an empty text, which is not a program")
    return words


def _parse_network(name: str) -> str:
    if not re.fullmatch(patterns.NETWORK, name):
        if name in _NO_NETWORK:
            raise InvalidValueError(
                "cannot be joined beside the default network; name one made with 'docker network create'"
            )
        raise InvalidValueError(
            "must be a network's name: letters, digits and _ . -, at most 128 characters"
        )
    return name


def _parse_label(name: str) -> str:
    if name.startswith("tagboat."):
        raise InvalidValueError("names of labels that begin with 'tagboat.' are Tagboat's own")
    if not re.fullmatch(patterns.LABEL, name):
        raise InvalidValueError(
            "must be a label's name: printable ASCII without spaces and '=', at most 128 characters"
        )
    return name


def without_repeats(names: list[str]) -> list[str]:
    """Each of the texts once, in their order."""
    return list(dict.fromkeys(names))


def map_schema(names: str, longest_name: int, value: dict[str, Any], most: int) -> WithJsonSchema:
    """The JSON schema of an object with at most so many `names`, a pattern, whose values are of the schema `value`."""
    return WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": names, "maxLength": longest_name},
            "additionalProperties": value,
            "maxProperties": most,
        }
    )


def _size_schema(least: int, description: str) -> WithJsonSchema:
    """How the API describes an amount of memory of at least `least` bytes, or 0."""
    number = {"type": "integer", "minimum": least, "maximum": MAX_MEMORY}
    return WithJsonSchema(
        {
            "anyOf": [number, {"const": 0}, {"type": "string", "pattern": patterns.MEMORY}],
            "description": description,
        }
    )


def _secret_schema(names: str, longest: int) -> WithJsonSchema:
    value = {
        "anyOf": [
            {"type": "string", "pattern": patterns.NO_NUL, "maxLength": longest},
            {"type": "null"},
        ]
    }
    return map_schema(names, 255, value, MAX_ENV)


_SecretValue = Annotated[str, text(patterns.NO_NUL, MAX_ENV_VALUE, "a text without NUL")]
_FileName = Annotated[
    str,
    text(
        patterns.FILE_NAME,
        255,
        "a file's name: letters, digits and - _ . (no two together, none at the end)",
        1,
    ),
]
_FileValue = Annotated[str, text(patterns.NO_NUL, MAX_SECRET_FILE, "a text without NUL")]
Secrets = Annotated[
    dict[EnvName, _SecretValue | None],
    Field(max_length=MAX_ENV),
    _secret_schema(patterns.ENV_NAME, MAX_ENV_VALUE),
]
SecretFiles = Annotated[
    dict[_FileName, _FileValue | None],
    Field(max_length=MAX_ENV),
    _secret_schema(patterns.FILE_NAME, MAX_SECRET_FILE),
]
_VolumeName = Annotated[
    str, text(patterns.VOLUME, 64, "a volume's name: letters, digits and _ . -", 1)
]
_VolumePath = Annotated[str, Parsed(parse_container_path, {})]
Volumes = Annotated[
    dict[_VolumeName, _VolumePath],
    Field(max_length=_MAX_VOLUMES),
    AfterValidator(_refuse_one_path_twice),
    map_schema(
        patterns.VOLUME,
        64,
        {"type": "string", "pattern": patterns.VOLUME_PATH, "maxLength": _MAX_PATH},
        _MAX_VOLUMES,
    ),
]
Memory = Annotated[
    int,
    AfterValidator(_check_memory),
    BeforeValidator(_read_memory),
    _size_schema(MIN_MEMORY, "Bytes, or text such as 512m or 1.5g; 0 for no limit."),
]
Cpus = Annotated[
    float,
    Field(allow_inf_nan=False),
    AfterValidator(_check_cpus),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": MIN_CPUS, "maximum": MAX_CPUS}, {"const": 0}]}
    ),
]
Pids = Annotated[int, Field(ge=0, le=MAX_PIDS), BeforeValidator(whole)]
_Word = Annotated[str, text(patterns.NO_NUL, _MAX_WORD, "a text without NUL")]
Words = Annotated[list[_Word], Field(max_length=_MAX_WORDS), AfterValidator(_refuse_nothing_to_run)]
User = Annotated[
    str, text(patterns.USER, 128, "a user's name or number, then ':' and a group where wanted")
]
Networks = Annotated[
    list[Annotated[str, Parsed(_parse_network, {"pattern": patterns.NETWORK})]],
    Field(max_length=_MAX_NETWORKS),
    AfterValidator(without_repeats),
]
_LabelName = Annotated[str, Parsed(_parse_label, {})]
_LabelValue = Annotated[str, text(patterns.NO_NUL, _MAX_WORD, "a text without NUL")]
Labels = Annotated[
    dict[_LabelName, _LabelValue],
    Field(max_length=_MAX_LABELS),
    map_schema(
        patterns.LABEL,
        128,
        {"type": "string", "pattern": patterns.NO_NUL, "maxLength": _MAX_WORD},
        _MAX_LABELS,
    ),
]
StopSignal = Annotated[
    str,
    Parsed(_parse_signal, {}),
    BeforeValidator(_read_signal),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": patterns.SIGNAL},
                {"type": "integer", "minimum": 1, "maximum": 64},
            ],
            "description": "A name with or without SIG, or a number; empty for the image's own.",
        }
    ),
]
StopTimeout = Annotated[int, Field(ge=0, le=3600), BeforeValidator(whole)]
ReleaseTimeout = Annotated[int, Field(ge=1, le=86_400), BeforeValidator(whole)]
ShmSize = Annotated[
    int,
    AfterValidator(_check_shm_size),
    BeforeValidator(_read_memory),
    _size_schema(MIN_SHM_SIZE, "Bytes of /dev/shm, or text such as 256m; 0 for the engine's own."),
]
ProjectProtocol = Annotated[AppProtocol, Strict(strict=False)]
StageStrategy = Annotated[Strategy, Strict(strict=False)]
WatchTime = Annotated[int, Field(ge=0, le=3600), BeforeValidator(whole)]
TimeToLive = Annotated[int, Field(ge=1, le=87_600), BeforeValidator(whole)]
