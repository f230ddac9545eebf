"""Values around the services of a Compose file."""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct, field


@dataclass(frozen=True, slots=True)
class ComposeNote:
    """Something of a service that is not carried over as it is, or has to be known."""

    service: str
    key: str
    reason: str


class ComposeSurroundings(Struct, frozen=True, kw_only=True):
    """The parts of a file outside of its services, and how they are to be carried over.

    `project` is Compose's name of it and `folder` the absolute path of its folder. `read_env_file`
    returns the variables of a file, or None where there is none. With `binds`, paths of the machine
    are proposed too; with `several`, services reach each other by shared networks.
    """

    project: str
    folder: str
    variables: Mapping[str, str]
    read_env_file: Callable[[str], Mapping[str, str] | None]
    volumes: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    binds: bool = False
    several: bool = False

    def absolute(self, path: str) -> str:
        """Return the absolute path of a file that the Compose file names."""
        return posixpath.normpath(posixpath.join(self.folder, path))


def told_apart(top: Mapping[str, Any]) -> list[str]:
    """Return the options of a volume or network of a file that make it unlike a plain one."""
    plain = {"driver": ("local", "bridge", "default")}
    return [
        key
        for key, value in top.items()
        if value and key not in {"name", "external"} and value not in plain.get(key, ())
    ]
