"""Paths of the host that lie below what an app may write to: with a link it could lead them away.

The engine follows links each time it starts a container, also when it does so by itself. So an app
that can put a link in place of a path that is mounted somewhere gets any path of the host.
"""

from collections.abc import Callable, Collection, Iterator
from itertools import chain
from pathlib import PurePosixPath

from msgspec import Struct

from tagboat.core.host_access import parse_bind, parse_device
from tagboat.core.run import RunOptions


class HostUse(Struct, frozen=True):
    """A path of the host as one of `field`, `binds` or `devices`, of a stage.

    `stage` is a name, empty for a project without stages, and `holder` the id of either. `real` is
    the path with links followed. `running` is True where it is of a container that runs, and maybe
    not of what is saved.
    """

    holder: str
    project: str
    stage: str
    field: str
    path: str
    real: str
    writable: bool
    running: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        """The part of it that no new name changes."""
        return self.holder, self.field, self.path, self.writable

    @property
    def user(self) -> str:
        """The stage or project in words."""
        whose = f"the stage {self.stage} of {self.project}"
        return whose if self.stage else f"the project {self.project}"


class NestedUse(Struct, frozen=True):
    """A use `inner` of a path that lies below `outer`, which an app may write to.

    `new` is one of both, the one that is to blame.
    """

    inner: HostUse
    outer: HostUse
    new: HostUse

    @property
    def words(self) -> str:
        """The fault in words, with what to do."""
        inner, outer = self.inner, self.outer
        both = inner.holder == outer.holder
        whose = "" if both else f" of {inner.user}"
        leads = f", which leads to {inner.real}," if inner.real != inner.path else ""
        down = f" ({outer.real})" if outer.real != outer.path else ""
        remedy = f"bind {outer.path} with :ro, or use a path that is not below it"
        if outer.running or inner.running:
            late = outer if outer.running else inner
            remedy += f"; {late.user} runs with it until it is deployed again or stopped"
        return (
            f"{inner.path}{whose}{leads} lies below {outer.path}{down}, which"
            f" {outer.user} may write to: the app could put a link in its place, which the engine"
            f" would follow to any path of the host; {remedy}"
        )


def host_uses(
    holder: str,
    names: tuple[str, str],
    options: RunOptions,
    real: Callable[[str], str],
    *,
    running: bool = False,
) -> list[HostUse]:
    """Return the uses of paths by a stage with these options; `names` are project and stage."""
    binds = [parse_bind(text) for text in options.binds]
    found = [("binds", bind.source, not bind.read_only) for bind in binds]
    # A device that is a directory gives its nodes, and no way to change what is in it.
    found += [("devices", parse_device(text).source, False) for text in options.devices]
    return [
        HostUse(holder, *names, field, path, real(path), writable, running)
        for field, path, writable in found
    ]


def nested_uses(new: Collection[HostUse], old: Collection[HostUse]) -> Iterator[NestedUse]:
    """Yield what is nested among all these, unless both of two are in `old`.

    Two that use one and the same path are not: nobody can replace a mount from inside.
    """
    above_new = _by_path(new)
    for uses, above in ((new, {**_by_path(old), **above_new}), (old, above_new)):
        for inner in uses if above else ():
            places = PurePosixPath(inner.path).parents, PurePosixPath(inner.real).parents
            parents = (str(parent) for parent in chain(*places))
            if outer := next((above[path] for path in parents if path in above), None):
                yield NestedUse(inner, outer, inner if uses is new else outer)


def _by_path(uses: Collection[HostUse]) -> dict[str, HostUse]:
    """Return the uses that write, by the paths at which they do; the first of several."""
    writable = [use for use in uses if use.writable]
    return {path: use for use in reversed(writable) for path in (use.path, use.real)}
