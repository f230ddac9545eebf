"""Sources of a page of logs: the log of a stage, of an instance, or of a deploy."""

import re

from msgspec import Struct

from tagboat.core.errors import NotFoundError
from tagboat.core.values import replace
from tagboat.core.workload import LogLine
from tagboat.operations.operations import Operations
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.queries.logs import LogWindow
from tagboat.operations.views import DeployView
from tagboat.web.error_pages import sentence_of
from tagboat.web.places import deploy_log_path, instance_logs_path, stage_logs_path

_LOG_GONE = "Its container was removed, and its log with it."
_KEPT = "Its container was removed. These are its last lines, kept with the deploy."


class LogSource(Struct, frozen=True, kw_only=True):
    """A log and what is known of it.

    `path` is its page, and `stream` the address of what is written from now on, None where that is
    nothing. `deploy` is the one whose container wrote it, None for the log of a stage before it has
    been read. `lines` are those read or kept; `about` says what they are, empty for nothing to say.
    `stage_id` or `instance_id` is where more is read from, both None where only `lines` exist.
    """

    path: str
    project: str
    stage: str
    deploy: DeployView | None = None
    stream: str | None = None
    about: str = ""
    lines: tuple[LogLine, ...] = ()
    stage_id: str | None = None
    instance_id: str | None = None

    @property
    def file_name(self) -> str:
        """The name of the file that it is saved in, in ASCII."""
        tag = f"-{self.deploy.deploy.tag}" if self.deploy else ""
        # Headers take no other letters, and records of the past may hold any.
        return re.sub(r"[^A-Za-z0-9._-]", "_", f"{self.project}-{self.stage}{tag}.log")


async def source_of_stage(operations: Operations, project: str, stage: str) -> LogSource:
    """Return the log of a stage, by the names of both. Raises NotFoundError."""
    # Names are unique: the first one found is the one that is meant.
    found = await operations.catalog.stages(StageFilter(project, stage), None, 1)
    if not found:
        raise NotFoundError(f"there is no stage {stage[:80]} in a project {project[:80]}")
    (view,) = found
    path = stage_logs_path(view.project.name, view.stage.name)
    return LogSource(
        path=path,
        project=view.project.name,
        stage=view.stage.name,
        stream=f"{path}/stream",
        stage_id=view.stage.id,
    )


async def source_of_instance(operations: Operations, instance_id: str) -> LogSource:
    """Return the log of an instance, or what its deploy has kept of it. Raises NotFoundError."""
    view = await operations.history.instance(instance_id)
    return await _source(
        operations, instance_logs_path(instance_id), view.instance.deploy_id, instance_id
    )


async def source_of_deploy(operations: Operations, deploy_id: str) -> LogSource:
    """Return the log of the container that a deploy has started. Raises NotFoundError."""
    page = await operations.deploy_page.read(deploy_id)
    instance_id = page.instance.id if page.instance else None
    source = await _source(operations, deploy_log_path(deploy_id), deploy_id, instance_id)
    if instance_id is None and not source.lines:
        return replace(source, about="No container has been started.")
    return source


async def read_source(operations: Operations, source: LogSource, window: LogWindow) -> LogSource:
    """Return the source with its last lines, and what they are. Raises EngineError."""
    try:
        if source.stage_id is not None:
            found = await operations.logs.stage(source.stage_id, window)
            if found.deploy is not None:
                about = f"Nothing runs. The log that the failed deploy of {found.deploy.deploy.tag}"
                return replace(
                    source, lines=found.lines, deploy=found.deploy, about=f"{about} has left:"
                )
            if found.instance is None:
                return source
            deploy = await operations.history.deploy(found.instance.instance.deploy_id)
            return replace(source, lines=found.lines, deploy=deploy)
        if source.instance_id is not None:
            lines = await operations.logs.instance(source.instance_id, window)
            return replace(source, lines=lines)
    # It may have gone since the page was opened: the page says so, and is no 404.
    except NotFoundError as error:
        return replace(source, about=source.about or sentence_of(str(error)))
    return source


async def _source(
    operations: Operations, path: str, deploy_id: str, instance_id: str | None
) -> LogSource:
    deploy = await operations.history.deploy(deploy_id)
    state = None
    if instance_id is not None:
        state = (await operations.history.instance(instance_id)).instance.state
    source = LogSource(
        path=path, project=deploy.project.name, stage=deploy.stage.name, deploy=deploy
    )
    # Only a container that is still there can write more.
    if instance_id is not None and state is not None and not state.final:
        stream = f"{instance_logs_path(instance_id)}/stream"
        return replace(source, stream=stream, instance_id=instance_id)
    kept = tuple(map(LogLine, deploy.deploy.log.splitlines()))
    return replace(source, lines=kept, about=_KEPT if kept else _LOG_GONE)
