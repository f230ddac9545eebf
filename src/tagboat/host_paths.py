"""Which paths of the machine containers may be given: those below the roots that whoever runs the server has named."""

import os
from dataclasses import dataclass
from pathlib import Path

from tagboat.core.errors import InvalidValueError
from tagboat.core.host_access import lies_within, no_host_path

_SOCKETS = (
    *("/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock"),
    *("/run/containerd/containerd.sock", "/run/crio/crio.sock"),
)


@dataclass(frozen=True, slots=True)
class HostPaths:
    """What may be bound. `roots` and `closed` are absolute paths; whoever had one of `closed` would have the server, or all.

    `local`: the engine's machine is this one, so that links on the way to a path are seen here.
    """

    roots: tuple[str, ...]
    closed: tuple[str, ...]
    local: bool

    def where(self, path: str) -> str:
        """The path that `path` leads to, links followed; raises InvalidValueError where no container may have it."""
        if not self.roots:
            return no_host_path(path)
        found = self._followed(path)
        lexical = any(lies_within(path, root) for root in self.roots)
        if not lexical or not any(lies_within(found, self._followed(root)) for root in self.roots):
            leads = f", which leads to {found}," if lexical else ""
            raise InvalidValueError(
                f"{path}{leads} is not below what TAGBOAT_BIND_ROOTS allows: {', '.join(self.roots)}"
            )
        for closed in {*self.closed, *map(self._followed, self.closed)}:
            if any(lies_within(closed, one) or lies_within(one, closed) for one in (path, found)):
                raise InvalidValueError(
                    f"{path} is, or has in it, {closed}: with that a container could do whatever it likes"
                )
        return found

    def _followed(self, path: str) -> str:
        return os.path.realpath(path) if self.local else path


def host_paths(roots: tuple[str, ...], engine_url: str, data_dir: Path) -> HostPaths:
    """What containers on the engine at `engine_url` may be given; never its socket, nor what the server keeps."""
    scheme, _, place = engine_url.partition("://")
    sockets = (*_SOCKETS, place) if scheme == "unix" else _SOCKETS
    return HostPaths(roots, (*sockets, str(data_dir)), scheme == "unix")
