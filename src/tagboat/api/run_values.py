"""Types of values for how an app is run.

Limits are Docker's where it has some, else far beyond what is sensible.
"""

import re
from decimal import Decimal
from signal import SIGRTMAX, Signals
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from tagboat.api.values import (
    ENV_NAME,
    MAX_ENV_VALUE,
    NO_NUL,
    EnvName,
    Parsed,
    map_schema,
    nullable_map_schema,
    text,
    whole,
    without_repeats,
)
from tagboat.core.catalog import Strategy
from tagboat.core.errors import InvalidValueError
from tagboat.core.placement import (
    CONSTRAINT_PATTERN,
    MAX_CONSTRAINT,
    MOST_CONSTRAINTS,
    MOST_REPLICAS,
    parse_constraint,
)
from tagboat.core.protocol import AppProtocol
from tagboat.core.run import EngineKind
from tagboat.core.run_changes import MAX_ENV, MAX_LABELS, MAX_VOLUMES, refuse_one_path_twice

Path = TypeVar("Path", str, str | None)

MIN_MEMORY = 6 << 20
"""Bytes; Docker starts no container with less."""
MAX_MEMORY = 1 << 50
MIN_SHM_SIZE = 64 << 10
MAX_PIDS = 1 << 22
"""Linux's own limit."""
MIN_CPUS, MAX_CPUS = 0.01, 1024
MAX_SECRET_FILE = 512 * 1024
MAX_CONTAINER_PATH = 255
MAX_WORD, MAX_WORDS = 4096, 200
_MAX_NETWORKS = 20
# /run/secrets has the secret files; the others are the kernel's.
_SYSTEM_PATHS = ("/proc", "/sys", "/dev", "/run/secrets")
# Docker's own networks: a container cannot join them in addition to another.
_BUILT_IN_NETWORKS = frozenset({"host", "none", "bridge", "default"})
# As Docker's own options read them: by 1024, with or without `i` and `b`.
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_AMOUNT = re.compile(
    r"([0-9]{1,20}(?:\.[0-9]{1,6})?) ?([bkmgt]?)(?:i?b)?", re.ASCII | re.IGNORECASE
)
_PATH_CHARACTERS = re.compile(r"[A-Za-z0-9_.+@/-]+")
_NETWORK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LABEL_CHARACTERS = re.compile(r"[!-<>-~]{1,128}")
# No two dots together: `..` would lead out of the folder of the secrets.
_FILE_PATTERN = r"^\.?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$"
# Docker's own grammar.
_VOLUME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
_USER_PATTERN = r"^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?)?$"


def parse_container_path(path: str) -> str:
    """Return `path` if something can be mounted there; else raise InvalidValueError."""
    path = path[:-1] if len(path) > 1 and path.endswith("/") else path
    if len(path) > MAX_CONTAINER_PATH or not path.startswith("/"):
        raise InvalidValueError(
            "must be an absolute path in the container such as /data, "
            f"at most {MAX_CONTAINER_PATH} characters"
        )
    parts = path.split("/")[1:]
    if path in {"/", "/run"} or any(
        path == top or path.startswith(f"{top}/") for top in _SYSTEM_PATHS
    ):
        raise InvalidValueError(
            f"cannot be / or /run, nor lie in {', '.join(_SYSTEM_PATHS)}, which are the system's"
        )
    if ".." in parts or "." in parts or "" in parts:
        raise InvalidValueError(
            "has '..', '.' or an empty part; write the path as it is, such as /var/lib/data"
        )
    if not _PATH_CHARACTERS.fullmatch(path):
        raise InvalidValueError("has a character other than letters, digits and - _ . + @ / in it")
    return path


def read_memory(value: object) -> object:
    """Return bytes, from a string such as `512m` too; anything else is left to be refused."""
    if not isinstance(value, str):
        return whole(value)
    found = _AMOUNT.fullmatch(value)
    if not found:
        raise InvalidValueError("must be a number of bytes, or text such as 512m or 1.5g")
    # In floating point, large amounts would lose their last bytes.
    return int(Decimal(found[1]) * _UNITS[found[2].lower()])


def check_memory(amount: int) -> int:
    """Return `amount` if Docker takes it as a limit; else raise InvalidValueError."""
    if amount and not MIN_MEMORY <= amount <= MAX_MEMORY:
        raise InvalidValueError(
            f"must be 0 (no limit), or from 6 MiB, Docker's least, to {MAX_MEMORY >> 40} TiB"
        )
    return amount


def check_shm_size(amount: int) -> int:
    """Return `amount` if Docker takes it for /dev/shm; else raise InvalidValueError."""
    if amount and not MIN_SHM_SIZE <= amount <= MAX_MEMORY:
        raise InvalidValueError(
            f"must be 0 (the engine's own), or from 64 KiB to {MAX_MEMORY >> 40} TiB"
        )
    return amount


def check_cpus(number: float) -> float:
    """Return `number` if it can be a limit; else raise InvalidValueError."""
    if number and not MIN_CPUS <= number <= MAX_CPUS:
        raise InvalidValueError(
            f"must be 0 (no limit), or from {MIN_CPUS} to {MAX_CPUS} processors"
        )
    return number


def read_signal_number(value: object) -> object:
    """Return the digits of a number, any other value as it is."""
    # To Python, true is a number.
    value = whole(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def parse_signal(given: str) -> str:
    """Return the name with SIG if it has one, else its number; empty is the image's own."""
    if not given:
        return given
    # isdigit alone accepts other scripts. Five digits decide: Python refuses to read thousands.
    if given.isascii() and given.isdigit() and 0 < int(given[:5]) <= SIGRTMAX:
        number = int(given)
        return Signals(number).name if number in set(Signals) else str(number)
    name = given.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in Signals.__members__:
        raise InvalidValueError("is not a signal; write it such as SIGTERM, INT or 15")
    return name


def refuse_nothing_to_run(words: list[str]) -> list[str]:
    """Return `words` unless the program is an empty string; else raise InvalidValueError."""
    if words and not words[0]:
        raise InvalidValueError("begins with an empty string, which is not a program")
    return words


def parse_network(name: str) -> str:
    """Return `name` if it can be joined; else raise InvalidValueError."""
    if name in _BUILT_IN_NETWORKS:
        raise InvalidValueError(
            "cannot be joined in addition to the default network; "
            "name one made with 'docker network create'"
        )
    if not _NETWORK_NAME.fullmatch(name):
        raise InvalidValueError(
            "must be a network's name: letters, digits and _ . -, at most 128 characters"
        )
    return name


def parse_label(name: str) -> str:
    """Return `name` if a label can have it; else raise InvalidValueError."""
    if name.startswith("tagboat."):
        # What belongs to which stage is read from them: an app must not claim another's.
        raise InvalidValueError("names of labels that begin with 'tagboat.' are Tagboat's own")
    if not _LABEL_CHARACTERS.fullmatch(name):
        raise InvalidValueError(
            "must be a label's name: printable ASCII without spaces and '=', at most 128 characters"
        )
    return name


def _size_schema(least: int) -> WithJsonSchema:
    """Return the published schema of an amount of memory: 0, or at least `least` bytes."""
    number = {"type": "integer", "minimum": least, "maximum": MAX_MEMORY}
    return WithJsonSchema(
        {"anyOf": [number, {"const": 0}, {"type": "string", "format": "memory", "maxLength": 40}]}
    )


_WITHOUT_NUL = "a string without NUL"
_LONG_STRING = {"type": "string", "pattern": NO_NUL, "maxLength": MAX_WORD}
SecretMap = Annotated[
    dict[EnvName, Annotated[str, text(NO_NUL, MAX_ENV_VALUE, _WITHOUT_NUL)] | None],
    Field(max_length=MAX_ENV),
    nullable_map_schema(ENV_NAME, MAX_ENV_VALUE),
]
SecretFileMap = Annotated[
    dict[
        Annotated[
            str,
            text(
                _FILE_PATTERN,
                255,
                "a file's name: letters, digits and - _ . (no two together, none at the end)",
                1,
            ),
        ],
        Annotated[str, text(NO_NUL, MAX_SECRET_FILE, _WITHOUT_NUL)] | None,
    ],
    Field(max_length=MAX_ENV),
    nullable_map_schema(_FILE_PATTERN, MAX_SECRET_FILE),
]
VolumeMap = Annotated[
    dict[
        Annotated[str, text(_VOLUME_PATTERN, 64, "a volume's name: letters, digits and _ . -", 1)],
        Annotated[str, Parsed(parse_container_path, {})] | None,
    ],
    Field(max_length=MAX_VOLUMES),
    AfterValidator(refuse_one_path_twice),
    map_schema(
        _VOLUME_PATTERN,
        64,
        {"anyOf": [{"type": "string", "format": "container-path"}, {"type": "null"}]},
        MAX_VOLUMES,
    ),
]
MemorySize = Annotated[
    int, AfterValidator(check_memory), BeforeValidator(read_memory), _size_schema(MIN_MEMORY)
]
CpuNumber = Annotated[
    float,
    Field(allow_inf_nan=False),
    AfterValidator(check_cpus),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": MIN_CPUS, "maximum": MAX_CPUS}, {"const": 0}]}
    ),
]
PidNumber = Annotated[int, Field(ge=0, le=MAX_PIDS), BeforeValidator(whole)]
CommandWords = Annotated[
    list[Annotated[str, text(NO_NUL, MAX_WORD, _WITHOUT_NUL)]],
    Field(max_length=MAX_WORDS),
    AfterValidator(refuse_nothing_to_run),
]
UserText = Annotated[
    str, text(_USER_PATTERN, 128, "a user's name or number, then ':' and a group where wanted")
]
NetworkNames = Annotated[
    list[Annotated[str, Parsed(parse_network, {"format": "network-name"})]],
    Field(max_length=_MAX_NETWORKS),
    AfterValidator(without_repeats),
]
LabelMap = Annotated[
    dict[
        Annotated[str, Parsed(parse_label, {})],
        Annotated[str, text(NO_NUL, MAX_WORD, _WITHOUT_NUL)] | None,
    ],
    Field(max_length=MAX_LABELS),
    map_schema(
        r"^(?!tagboat\.)[!-<>-~]{1,128}$",
        128,
        {"anyOf": [_LONG_STRING, {"type": "null"}]},
        MAX_LABELS,
    ),
]
StopSignal = Annotated[
    str,
    Parsed(parse_signal, {}),
    BeforeValidator(read_signal_number),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "signal", "maxLength": 40},
                {"type": "integer", "minimum": 1, "maximum": int(SIGRTMAX)},
            ]
        }
    ),
]
StopTimeoutS = Annotated[int, Field(ge=0, le=3600), BeforeValidator(whole)]
ReleaseTimeoutS = Annotated[int, Field(ge=1, le=86_400), BeforeValidator(whole)]
ShmSize = Annotated[
    int, AfterValidator(check_shm_size), BeforeValidator(read_memory), _size_schema(MIN_SHM_SIZE)
]
ProjectProtocol = Annotated[AppProtocol, Strict(strict=False)]
StageStrategy = Annotated[Strategy, Strict(strict=False)]
StageEngine = Annotated[EngineKind, Strict(strict=False)]
WatchSeconds = Annotated[int, Field(ge=0, le=3600), BeforeValidator(whole)]
TimeToLive = Annotated[int, Field(ge=1, le=87_600), BeforeValidator(whole)]
Replicas = Annotated[int, Field(ge=1, le=MOST_REPLICAS), BeforeValidator(whole)]
Constraint = Annotated[
    str,
    Parsed(
        parse_constraint,
        {"pattern": CONSTRAINT_PATTERN, "minLength": 1, "maxLength": MAX_CONSTRAINT},
    ),
]
Constraints = Annotated[
    list[Constraint],
    Field(max_length=MOST_CONSTRAINTS),
    AfterValidator(without_repeats),
]
