"""Changes of run options: maps are merged name by name, other values replaced (RFC 7396)."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tagboat.core.errors import FieldError, InvalidValueError
from tagboat.core.run import RunOptions
from tagboat.core.values import replace

MAX_ENV = 200
MAX_VOLUMES, MAX_LABELS = 50, 100
MOST_ENTRIES = 50
LIST_OPTIONS = ("command", "networks", "release_command", "cap_add", "devices", "binds", "publish")
_MOST_IN_MAP = {
    "env": MAX_ENV,
    "secrets": MAX_ENV,
    "secret_files": MAX_ENV,
    "volumes": MAX_VOLUMES,
    "labels": MAX_LABELS,
    "extra_hosts": MOST_ENTRIES,
    "tmpfs": MOST_ENTRIES,
}
"""The fields that are merged name by name, with the most names each may have."""
_OPTION_NAMES = frozenset(field.name for field in fields(RunOptions))


def merge_run(
    values: Mapping[str, Any], before: RunOptions, env: Mapping[str, str]
) -> dict[str, Any]:
    """Return `values` with the run options as one value `run`, merged into those `before`.

    `env` are the environment variables there are. A null removes a name, or a whole map. Raises
    FieldError where a map would have too many names, or two volumes one path.
    """
    rest = {name: value for name, value in values.items() if name not in _OPTION_NAMES}
    said = {name: value for name, value in values.items() if name in _OPTION_NAMES}
    if "env" in rest:
        rest["env"] = _merged("env", env, rest["env"])
    for name in _MOST_IN_MAP.keys() & said.keys():
        said[name] = _merged(name, getattr(before, name), said[name])
    # Values of the core are immutable: lists of requests become tuples.
    for name in (*LIST_OPTIONS, "entrypoint"):
        if isinstance(said.get(name), list):
            said[name] = tuple(said[name])
    return {"run": replace(before, **said), **rest}


def refuse_one_path_twice(volumes: dict[str, Any]) -> dict[str, Any]:
    """Return `volumes` if no two have one path; else raise InvalidValueError."""
    paths = [path for path in volumes.values() if path is not None]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise InvalidValueError(f"two volumes have the path {twice}; give each its own")
    return volumes


def _merged(
    field: str, before: Mapping[str, str], changes: Mapping[str, str | None] | None
) -> dict[str, str]:
    # The rules of one request are checked by its model; only here it is known what it is added to.
    both = {**before, **changes} if changes is not None else {}
    merged = {name: value for name, value in both.items() if value is not None}
    most = _MOST_IN_MAP[field]
    if len(merged) > most:
        raise FieldError(field, f"would be {len(merged)} with those there are; at most {most}")
    if field == "volumes":
        try:
            refuse_one_path_twice(merged)
        except InvalidValueError as error:
            raise FieldError(field, str(error)) from None
    return merged
