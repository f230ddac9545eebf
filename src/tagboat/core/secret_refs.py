"""References to secrets, which stand in a configuration file in place of their values."""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from tagboat.core.config_file import SECRET_MAPS
from tagboat.core.errors import InvalidValueError

KEEP = "keep"
"""The word for a secret that stays as it is."""
_OR_KEEP = " or keep"
REFERENCE_PATTERN = r"^(?:keep|env:[A-Za-z_][A-Za-z0-9_]*(?: or keep)?|file:.+|exec:.+)$"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_VARIABLE = re.compile(r"[^A-Z0-9]+")


class RefKind(StrEnum):
    """The place that a secret comes from."""

    ENV = "env"
    FILE = "file"
    EXEC = "exec"


class SecretRef(Struct, frozen=True):
    """A reference: a variable, a path, or a command line. None as `kind`: the value stays.

    With `or_keep` it stays as well where the variable is not set.
    """

    kind: RefKind | None
    target: str = ""
    or_keep: bool = False


def parse_secret_ref(text: str) -> SecretRef:
    """Return the reference that `text` is; raise InvalidValueError, which does not repeat it."""
    if text == KEEP:
        return SecretRef(None)
    kind, colon, target = text.partition(":")
    if not colon or kind not in list(RefKind) or not target.strip():
        # Somebody may have written the secret itself.
        raise InvalidValueError(
            "a secret does not stand in the file; write env:NAME, file:PATH, exec:COMMAND, or keep"
        )
    if kind != RefKind.ENV:
        return SecretRef(RefKind(kind), target)
    name = target.removesuffix(_OR_KEEP)
    if not _VARIABLE.fullmatch(name):
        raise InvalidValueError("env: needs the name of a variable: letters, digits and _")
    return SecretRef(RefKind.ENV, name, or_keep=name != target)


class SecretPlace(Struct, frozen=True):
    """A secret of a document: the map that has it, and the keys that lead to it.

    `variable` is a name for an environment variable that no other secret of the document has.
    """

    holder: dict[str, Any]
    path: tuple[str, ...]
    variable: str

    @property
    def is_file(self) -> bool:
        """True for the content of a file in the container."""
        return self.path[-2] == SECRET_MAPS[1]


def secret_places(document: Mapping[str, Any]) -> Iterator[SecretPlace]:
    """Yield each secret of a document, in its order. Values of a wrong type are passed over."""
    taken: set[str] = set()

    def place(holder: dict[str, Any], path: tuple[str, ...], *names: str) -> SecretPlace:
        made = "__".join(_NO_VARIABLE.sub("_", name.upper()).strip("_") or "_" for name in names)
        made = f"_{made}" if made[0].isdigit() else made
        free, number = made, 2
        while free in taken:
            free, number = f"{made}_{number}", number + 1
        taken.add(free)
        return SecretPlace(holder, path, free)

    for name, registry in _bodies(document, "registries"):
        if "password" in registry:
            path = ("registries", name, "password")
            yield place(registry, path, "REGISTRY", name, "PASSWORD")
    for name, project in _bodies(document, "projects"):
        parts = [((name, "stages", stage), body) for stage, body in _bodies(project, "stages")]
        for keys, one in [((name,), project), *parts]:
            for field, body in _bodies(one):
                for key in list(body) if field in SECRET_MAPS else ():
                    names = (keys[0], *keys[2:], key)
                    yield place(body, ("projects", *keys, field, key), *names)


def _bodies(parent: Mapping[str, Any], key: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Return the maps in `parent`, or in its map `key`; other values are left for the server."""
    body = parent if key is None else parent.get(key)
    items = body.items() if isinstance(body, Mapping) else ()
    return [(name, value) for name, value in items if isinstance(value, dict)]
