"""One-off commands, in the image and with the configuration of what is live in a stage."""

import asyncio
import shlex
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec import Struct

from tagboat.core.audit import AuditAction, stage_subject
from tagboat.core.config import INSTALLATION_ID
from tagboat.core.deploy import InstanceState
from tagboat.core.errors import ConflictError, EngineError, FieldError
from tagboat.core.ids import new_id, short_id
from tagboat.core.masking import masking
from tagboat.core.naming import container_name
from tagboat.core.one_off import KEPT_FOR, OneOff
from tagboat.core.ports import Reader, Tx
from tagboat.core.values import replace
from tagboat.core.workload import LogLine
from tagboat.deploy.context import DeployContext, read_context
from tagboat.deploy.host_uses import nesting_trouble
from tagboat.deploy.networks import ensure_project_network
from tagboat.deploy.one_offs import OneOffRun
from tagboat.deploy.options import with_host_paths
from tagboat.deploy.specs import one_off_spec
from tagboat.operations.services import OperationServices

LIMIT_S = 3600
"""Seconds that a command may run unless it is given another limit."""
_LONGEST_NOTE = 500


class StartedCommand(Struct, frozen=True):
    """A command that runs. Whoever has it must take its `output`, or it is ended after a while."""

    run: OneOffRun
    context: DeployContext
    services: OperationServices

    async def output(self) -> AsyncGenerator[LogLine, None]:
        """Yield its lines, secrets masked, until it has ended; closed before, it ends it.

        Raises EngineError.
        """
        mask = masking(self.context.secret_values)
        try:
            async with aclosing(self.run.lines()) as lines:
                async for line in lines:
                    yield line.masked(mask)
        finally:
            await _removed(self.services, self.run)


class OneOffOperations(Struct, frozen=True):
    """Orders of commands: they can read all secrets of the app."""

    services: OperationServices

    async def run(
        self, stage_id: str, command: Sequence[str], limit_s: int = LIMIT_S
    ) -> StartedCommand:
        """Start a command as what is live in the stage would run it, next to that.

        Raises NotFoundError, ForbiddenError, ConflictError where nothing is live or an app could
        lead its paths away, FieldError where the command cannot be started, and EngineError.
        """
        services = self.services
        context, one_off = await services.store.write(lambda tx: self._begin(tx, stage_id, command))
        installation = str(
            await services.store.read(lambda reader: reader.setting(INSTALLATION_ID))
        )
        runtime = await services.engine.on(context.config.engine)
        run = OneOffRun(services.store, runtime, services.clock, one_off, limit_s)
        try:
            await ensure_project_network(runtime, installation, context.project)
            spec = one_off_spec(context, one_off, installation, command)
            await run.start(with_host_paths(spec, services.host_path))
        except BaseException as error:
            await _removed(services, run)
            # What the engine says of a program that is not there, of an image that was removed.
            if isinstance(error, EngineError) and not error.retryable:
                words = masking(context.secret_values)(str(error))
                where = f"{context.project.name} {context.stage.name}"
                raise FieldError("command", f"cannot be run in {where}: {words}") from error
            raise
        return StartedCommand(run, context, services)

    def _begin(self, tx: Tx, stage_id: str, command: Sequence[str]) -> tuple[DeployContext, OneOff]:
        """Record a command before its container is made, with who ordered it."""
        context = _live_context(tx, stage_id, self.services)
        project, stage, key = context.project, context.stage, new_id()
        one_off = OneOff(
            id=key,
            stage_id=stage.id,
            container=container_name(project.name, stage.name, f"run-{short_id(key)}"),
            kept_until=self.services.clock() + KEPT_FOR,
        )
        tx.put_one_off(one_off)
        # A person may type a secret into a command.
        words = masking(context.secret_values)(shlex.join(command))
        cut = words if len(words) <= _LONGEST_NOTE else f"{words[:_LONGEST_NOTE]}…"
        self.services.record(tx, AuditAction.STAGE_RUN, stage_subject(project, stage), (), cut)
        return context, one_off


def _live_context(reader: Reader, stage_id: str, services: OperationServices) -> DeployContext:
    """Return the image and the configuration of the newest live instance of a stage."""
    stage = reader.stage(stage_id)
    services.actor.check_project(stage.project_id)
    live = reader.instances(stage_id=stage.id, states=[InstanceState.LIVE], limit=1)
    if not live:
        where = f"{reader.project(stage.project_id).name} {stage.name}"
        do = f"start {where}" if stage.stopped else f"deploy {where} TAG"
        raise ConflictError(
            f"nothing is live in {where} whose image could run it; first 'tagboat {do}'"
        )
    # With the settings of its start: what is saved since then may not fit this version.
    context = read_context(reader, live[0].deploy_id)
    if words := nesting_trouble(context, services.host_path, reader):
        raise ConflictError(words)
    image = live[0].image or context.project.image
    return replace(context, deploy=replace(context.deploy, image=image, digest=live[0].digest))


async def _removed(services: OperationServices, run: OneOffRun) -> None:
    """Return once the command has ended and its container is gone, also if nobody waits for it."""
    # A caller that goes is cancelled at each wait: the removal is a task of its own.
    task = asyncio.create_task(run.remove())
    services.chores.add(task)
    task.add_done_callback(services.chores.discard)
    await asyncio.shield(task)
