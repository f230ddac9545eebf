"""Paths of the host that containers may use: those below the configured roots."""

import os
from pathlib import Path

from msgspec import Struct

from tagboat.core.errors import InvalidValueError
from tagboat.core.host_access import lies_within, no_host_path

# Access to any of these gives control of the host.
_SOCKETS = (
    *("/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock"),
    *("/run/containerd/containerd.sock", "/run/crio/crio.sock"),
)


class HostPaths(Struct, frozen=True):
    """The paths that may be bound.

    `roots` and `closed` are absolute paths; access to one of `closed` would give control of the
    server or the host. `local` means that the engine is on this host, so links in a path can be
    followed here.
    """

    roots: tuple[str, ...]
    closed: tuple[str, ...]
    local: bool

    def where(self, path: str) -> str:
        """Return the real path of `path`; raise InvalidValueError if no container may use it."""
        if not self.roots:
            return no_host_path(path)
        found = self._followed(path)
        # Both the written and the real path must be below a root, because links may lead out of it.
        lexical = any(lies_within(path, root) for root in self.roots)
        if not lexical or not any(lies_within(found, self._followed(root)) for root in self.roots):
            leads = f", which leads to {found}," if lexical else ""
            raise InvalidValueError(
                f"{path}{leads} is not below a path that TAGBOAT_BIND_ROOTS allows: "
                f"{', '.join(self.roots)}"
            )
        for closed in {*self.closed, *map(self._followed, self.closed)}:
            if any(lies_within(closed, one) or lies_within(one, closed) for one in (path, found)):
                raise InvalidValueError(
                    f"{path} is or contains {closed}, with which a container could control the host"
                )
        return found

    def _followed(self, path: str) -> str:
        return os.path.realpath(path) if self.local else path


def host_paths(roots: tuple[str, ...], engine_url: str, data_dir: Path) -> HostPaths:
    """Return the rules for containers on the engine at `engine_url`.

    Its socket and the server's own data are never allowed.
    """
    scheme, _, place = engine_url.partition("://")
    sockets = (*_SOCKETS, place) if scheme == "unix" else _SOCKETS
    return HostPaths(roots, (*sockets, str(data_dir)), scheme == "unix")
