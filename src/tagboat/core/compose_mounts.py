"""The mounts of a Compose service as volumes, binds and tmpfs of a project. Pure."""

from collections.abc import Callable
from typing import Any

from tagboat.core.compose_parts import ComposeSurroundings, told_apart
from tagboat.core.compose_values import ComposeMount, as_list, as_texts, parse_compose_mount
from tagboat.core.errors import InvalidValueError
from tagboat.core.naming import slug


class MountImport:
    """Carries mounts over into `project`; `note` takes a key and what is not carried over of it."""

    def __init__(
        self,
        project: dict[str, Any],
        surroundings: ComposeSurroundings,
        note: Callable[[str, str], None],
    ) -> None:
        self._project = project
        self._around = surroundings
        self._note = note
        self._taken: set[str] = set()

    def carry_volumes(self, value: object) -> None:
        """Carry over each mount, of which a path has one."""
        for entry in as_list(value):
            try:
                mount = parse_compose_mount(entry, self._around.folder)
            except InvalidValueError as error:
                self._note("volumes", str(error))
                continue
            if self._take("volumes", mount.target):
                self._carry_mount(mount)
                if mount.lost and (mount.kind != "bind" or self._around.binds):
                    lost = ", ".join(mount.lost)
                    self._note("volumes", f"{mount.target}: {lost}: Tagboat has no option for it")

    def carry_tmpfs(self, value: object) -> None:
        """Carry over memory file systems."""
        for text in as_texts(value):
            path, _, options = text.partition(":")
            if self._take("tmpfs", path):
                self._project.setdefault("tmpfs", {})[path] = options

    def _take(self, key: str, path: str) -> bool:
        """Return whether nothing else is mounted at `path`."""
        # The server would refuse all volumes for it.
        if path in self._taken:
            self._note(key, f"{path} is mounted twice")
            return False
        self._taken.add(path)
        return True

    def _carry_mount(self, mount: ComposeMount) -> None:
        """Carry over one mount; paths of the machine only where they are asked for."""
        if mount.kind == "bind":
            bind = f"{mount.source}:{mount.target}" + (":ro" if mount.read_only else "")
            if self._around.binds:
                self._project.setdefault("binds", []).append(bind)
                return
            self._note(
                "volumes",
                f"{bind} is a path of the machine: allow it on the server with TAGBOAT_BIND_ROOTS,"
                " and use --binds",
            )
            return
        if mount.read_only:
            self._note(
                "volumes",
                f"{mount.target} becomes writable: Tagboat has no volumes that are read-only",
            )
        if mount.kind == "tmpfs":
            self._project.setdefault("tmpfs", {})[mount.target] = mount.options
            return
        name = slug((mount.source or mount.target).lower())
        volumes = self._project.setdefault("volumes", {})
        volumes[name if name not in volumes else f"{name}-{len(volumes) + 1}"] = mount.target
        if mount.source:
            given = self._around.volumes.get(mount.source)
            top = given if isinstance(given, dict) else {}
            # Compose puts its project before the names of what it makes itself.
            prefix = "" if top.get("external") else f"{self._around.project}_"
            self._note(
                "volumes",
                f"{mount.target} begins empty: the data stays in the volume"
                f" {top.get('name') or prefix + mount.source}; 'tagboat adopt' of the container"
                " keeps it",
            )
            if more := told_apart(top):
                self._note(
                    "volumes", f"{mount.source}: {', '.join(more)}: Tagboat makes plain volumes"
                )
