"""The logs of instances, and the log of a stage that matters now."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, Instance, InstanceState
from tagboat.core.errors import EngineNotFoundError, FieldError, InvalidValueError, NotFoundError
from tagboat.core.masking import masking
from tagboat.core.moments import parse_moment
from tagboat.core.ports import Reader
from tagboat.core.workload import LogLine
from tagboat.deploy.context import read_context
from tagboat.operations.services import OperationServices
from tagboat.operations.views import DeployView, InstanceView, Views

MAX_TAIL = 10_000
USUAL_TAIL = 100
_SERVING_FIRST = (InstanceState.LIVE, InstanceState.STARTING, InstanceState.DRAINING)


class LogWindow(Struct, frozen=True):
    """The last `tail` lines of a log, of those written at `since` or later; None is any time."""

    tail: int
    since: datetime | None = None


class StageLog(Struct, frozen=True):
    """The last lines of a stage's log, oldest first.

    They are those of `instance`, or those that the failed `deploy` has kept of its container.
    """

    lines: tuple[LogLine, ...]
    instance: InstanceView | None = None
    deploy: DeployView | None = None


class LogQueries(Struct, frozen=True):
    """Reads of what containers wrote, with the secrets of their apps masked."""

    services: OperationServices

    def window(self, tail: int | None, since: str | None, seen: str | None = None) -> LogWindow:
        """Return the window that a caller asks for, by a time or by a duration before now.

        Without a `tail` it has `USUAL_TAIL` lines, or with a beginning all up to `MAX_TAIL`. With
        `seen`, the time of the last line that the caller has, it begins after that. Raises
        FieldError.
        """
        start = self._moment("since", since)
        # Times have six decimals: the next line has at least the next one.
        if (last := self._moment("Last-Event-ID", seen)) is not None:
            start = last + timedelta(microseconds=1)
        usual = USUAL_TAIL if start is None else MAX_TAIL
        return LogWindow(usual if tail is None or last is not None else tail, start)

    async def instance(self, instance_id: str, window: LogWindow) -> tuple[LogLine, ...]:
        """Return lines of an instance's log. Raises NotFoundError where its container is gone."""
        instance = await self.services.store.read(lambda reader: reader.instance(instance_id))
        try:
            return await self._lines(instance, window)
        except EngineNotFoundError:
            raise log_is_gone(instance) from None

    async def stage(self, stage_id: str, window: LogWindow) -> StageLog:
        """Return the last lines of the log that matters.

        It is that of the live instance, else of one that starts or drains, else what the last
        failed deploy kept. Raises NotFoundError where there is none of them.
        """

        def work(reader: Reader) -> tuple[list[InstanceView], list[DeployView], str]:
            views = Views(reader, self.services)
            active = reader.instances(stage_id=stage_id, states=ACTIVE_STATES)
            failed = reader.deploys(stage_id=stage_id, statuses=[DeployStatus.FAILED], limit=1)
            where = stage_in_words(reader, stage_id)
            return views.instances(serving_first(active)), views.deploys(failed), where

        instances, failed, where = await self.services.store.read(work)
        for view in instances:
            try:
                return StageLog(await self._lines(view.instance, window), instance=view)
            except EngineNotFoundError:
                # On record before its container is made: the next one is the better answer.
                continue
        if not failed:
            raise NotFoundError(
                f"nothing runs in {where}, and no failed deploy has left a log;"
                f" deploy with 'tagboat deploy {where} TAG'"
            )
        kept = failed[0].deploy.log.splitlines()[-window.tail :]
        return StageLog(tuple(map(LogLine, kept)), deploy=failed[0])

    async def _lines(self, instance: Instance, window: LogWindow) -> tuple[LogLine, ...]:
        mask = await masking_of(self.services, instance)
        lines = await self.services.engine.logs(instance.handle, window.tail, window.since)
        return tuple(line.masked(mask) for line in lines)

    def _moment(self, field: str, text: str | None) -> datetime | None:
        try:
            return None if text is None else parse_moment(text, self.services.clock())
        except InvalidValueError as error:
            raise FieldError(field, str(error)) from None


async def masking_of(services: OperationServices, instance: Instance) -> Callable[[str], str]:
    """Return the function that masks the secrets in what an instance writes."""
    # An app may print its own secrets: they are masked by the values that it was started with.
    return masking(
        await services.store.read(
            lambda reader: read_context(reader, instance.deploy_id).secret_values
        )
    )


def serving_first(active: Sequence[Instance]) -> list[Instance]:
    """Return instances in the order in which their logs matter: live, starting, draining.

    Of two in one state the newer comes first.
    """
    newest_first = sorted(active, key=lambda one: one.id, reverse=True)
    return sorted(newest_first, key=lambda one: _SERVING_FIRST.index(one.state))


def stage_in_words(reader: Reader, stage_id: str) -> str:
    """Return the names of a stage's project and of the stage, as commands take them."""
    stage = reader.stage(stage_id)
    return f"{reader.project(stage.project_id).name} {stage.name}"


def log_is_gone(instance: Instance) -> NotFoundError:
    """Return the error for a container that does not exist any more."""
    return NotFoundError(f"the container {instance.container} is gone, and its log with it")
