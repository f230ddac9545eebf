"""The paths of the host that stages use: as they are saved, and as they run."""

from collections.abc import Callable, Collection, Iterator
from functools import cache, partial

from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import DeployFailedError, InvalidValueError
from tagboat.core.host_nesting import HostUse, host_uses, nested_uses
from tagboat.core.ports import Reader
from tagboat.core.run import RunOptions
from tagboat.deploy.context import DeployContext
from tagboat.deploy.services import DeployServices


def links_followed(allowed: Callable[[str], str]) -> Callable[[str], str]:
    """Return `allowed` for paths of any stage: one that is not allowed any more is as written."""

    @cache
    def real(path: str) -> str:
        try:
            return allowed(path)
        except InvalidValueError:
            return path

    return real


def stage_uses(
    project: Project, stage: Stage, options: RunOptions | None, real: Callable[[str], str]
) -> list[HostUse]:
    """Return the uses by a stage that runs with `options`, with None as it is saved."""
    merged = stage.run.over(project.run) if options is None else options
    return host_uses(
        stage.id, (project.name, stage.name), merged, real, running=options is not None
    )


def saved_uses(
    reader: Reader, real: Callable[[str], str], without: Collection[str] = ()
) -> list[HostUse]:
    """Return the uses by all stages as they are saved, but those of the ids `without`."""
    stages = [stage for stage in reader.stages_with_options() if stage.id not in without]
    projects = reader.projects_by_id({stage.project_id for stage in stages})
    return [
        use for stage in stages for use in stage_uses(projects[stage.project_id], stage, None, real)
    ]


async def refuse_nested(services: DeployServices, context: DeployContext) -> None:
    """Raise DeployFailedError where the deploy would nest paths with what is saved or runs."""
    options = context.config.options
    # Most use no path of the host, and are not compared with those that do.
    if options.binds or options.devices:
        words = await services.store.read(partial(nesting_trouble, context, services.host_path))
        if words:
            raise DeployFailedError(words)


def nesting_trouble(context: DeployContext, allowed: Callable[[str], str], reader: Reader) -> str:
    """Return why no container may run with the configuration of `context` now, empty if it may.

    It would use a path below what an app may write to, or write above what another stage uses.
    """
    real, stage = links_followed(allowed), context.stage
    own = host_uses(stage.id, (context.project.name, stage.name), context.config.options, real)
    if not own:
        return ""
    others = [*saved_uses(reader, real, {stage.id}), *_running_uses(reader, real, stage.id)]
    return next((f"{one.new.field}: {one.words}" for one in nested_uses(own, others)), "")


def _running_uses(reader: Reader, real: Callable[[str], str], without: str) -> Iterator[HostUse]:
    configs = [
        (key, config.options)
        for key, config in reader.running_configs()
        if key != without and (config.options.binds or config.options.devices)
    ]
    stages = reader.stages_by_id({key for key, _ in configs})
    projects = reader.projects_by_id({stage.project_id for stage in stages.values()})
    for key, options in configs:
        stage = stages[key]
        yield from stage_uses(projects[stage.project_id], stage, options, real)
