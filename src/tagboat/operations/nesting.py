"""Refusal of changes after which a stage would use a path below what an app may write to."""

from collections.abc import Callable, Collection, Sequence

from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import FieldError
from tagboat.core.host_access import parse_bind, parse_device
from tagboat.core.host_nesting import HostUse, NestedUse, host_uses, nested_uses
from tagboat.core.ports import Reader
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tagboat.deploy.host_uses import links_followed, saved_uses, stage_uses

ProjectStages = tuple[Project, Sequence[Stage]]
"""A project and stages of it, as they are or as they are to be saved."""


def check_nesting(
    reader: Reader,
    allowed: Callable[[str], str],
    before: Sequence[ProjectStages],
    after: Sequence[ProjectStages],
) -> None:
    """Raise FieldError where a change from `before` to `after` nests paths; see `new_nesting`."""
    nested = new_nesting(reader, allowed, before, after)
    if nested is not None:
        raise FieldError(nested.new.field, nested.words)


def new_nesting(
    reader: Reader,
    allowed: Callable[[str], str],
    before: Sequence[ProjectStages],
    after: Sequence[ProjectStages],
    ignored: Collection[str] = (),
) -> NestedUse | None:
    """Return what a change from `before` to `after` nests, in itself or with any other stage.

    What was nested before may stay: it must not make other changes impossible. Stages of the ids
    `ignored` do not count.
    """
    real = links_followed(allowed)
    uses = [use for one in after for use in _project_uses(*one, real)]
    # Most have none, and then the other stages need not be read.
    if not uses:
        return None
    known = {use.key for one in before for use in _project_uses(*one, real)}
    new = [use for use in uses if use.key not in known]
    if not new:
        return None
    kept = [use for use in uses if use.key in known]
    compared = {stage.id for _, stages in after for stage in stages}
    others = saved_uses(reader, real, compared.union(ignored))
    return next(nested_uses(new, [*kept, *others]), None)


def nested_words(
    reader: Reader, allowed: Callable[[str], str], stages: Sequence[tuple[Project, Stage]]
) -> dict[str, list[str]]:
    """Return what is nested in any of `stages`, or below one, in words by their ids.

    One alone is compared with all stages, several only with one another: to read all takes long.
    """
    real = links_followed(allowed)
    own = [use for project, stage in stages for use in stage_uses(project, stage, None, real)]
    if not own:
        return {}
    found: dict[str, list[str]] = {}
    others = saved_uses(reader, real, {stages[0][1].id}) if len(stages) == 1 else []
    for nested in nested_uses(own, others):
        for holder in {nested.inner.holder, nested.outer.holder}:
            found.setdefault(holder, []).append(f"it cannot be deployed: {nested.words}")
    return found


def without_nested(
    names: tuple[str, str], options: RunOptions, allowed: Callable[[str], str], reader: Reader
) -> tuple[RunOptions, list[str]]:
    """Return the options of a new stage without paths that would be nested, and why in words.

    `names` are those of project and stage.
    """
    real = links_followed(allowed)
    own = host_uses("", names, options, real)
    others = saved_uses(reader, real) if own else []
    words = []
    while nested := next(nested_uses(own, others), None):
        left = nested.new
        own = [use for use in own if (use.field, use.path) != (left.field, left.path)]
        words.append(f"{left.field}: {nested.words}")
    paths = {(use.field, use.path) for use in own}
    binds = [one for one in options.binds if ("binds", parse_bind(one).source) in paths]
    devices = [one for one in options.devices if ("devices", parse_device(one).source) in paths]
    return replace(options, binds=tuple(binds), devices=tuple(devices)), words


def _project_uses(
    project: Project, stages: Sequence[Stage], real: Callable[[str], str]
) -> list[HostUse]:
    if not stages:
        return host_uses(project.id, (project.name, ""), project.run, real)
    return [use for stage in stages for use in stage_uses(project, stage, None, real)]
