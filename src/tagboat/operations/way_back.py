"""The target of a rollback, and whether its image still exists."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from msgspec import Struct

from tagboat.core.catalog import Project, Registry, Stage
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    TakenBack,
    Trigger,
    Version,
)
from tagboat.core.errors import ConflictError, RegistryError, RegistryNotFoundError, TagboatError
from tagboat.core.image import Digest, ImageName
from tagboat.core.ports import Reader, Store
from tagboat.core.run import RunConfig
from tagboat.core.runtime import Runtime
from tagboat.deploy.context import registry_of

_OTHERS = 5
"""The most alternatives that are named where the target does not exist any more."""
# Each may cost a call of the registry.
_LOOKED_AT = 50
_AT_ONCE = 8
ALL_WITHIN_S = 3.0
"""Seconds in which engine and registries are to say which of many images they have."""


class WayBack(Struct, frozen=True, kw_only=True):
    """The instance that a rollback brings back, and the configuration that it had.

    `cancels` is the deploy at work that is taken back for it, None where there is none or it is too
    late for that. `drops` is the live instance that is left while the target is live next to it,
    None where there is no such. `away_from` is the version that is left, of the tag
    `away_from_tag`, None where it is not known.
    """

    target: Instance
    config: RunConfig
    cancels: Deploy | None = None
    drops: Instance | None = None
    away_from: Version | None = None
    away_from_tag: str = ""


class RollbackFacts(Protocol):
    """The reads that decide the target of a rollback: a `Reader`, or a part of it in memory."""

    def open_deploys(self, stage_id: str) -> list[Deploy]:
        """Return the queued and running deploys of a stage, oldest first."""

    def instances(self, *, stage_id: str, states: Collection[InstanceState]) -> list[Instance]:
        """Return the instances of a stage in one of `states`, newest first."""

    def taken_back(self, stage_id: str) -> list[TakenBack]:
        """Return the versions that were taken back in a stage."""

    def previous_instance(
        self, stage_id: str, without: Collection[Version] = ()
    ) -> Instance | None:
        """Return the newest instance that served before, of none of the versions `without`."""


def find_target(facts: RollbackFacts, stage: Stage) -> Instance:
    """Return the instance that a rollback brings back where no deploy is named.

    Raises ConflictError where there is none, and in a stopped stage.
    """
    _refuse_if_stopped(stage)
    return _before(facts, stage, live_in(facts, stage), _at_work(facts, stage))


def not_kept(target: Instance) -> str:
    """Return why a rollback to `target` is impossible where its configuration is not on record."""
    return f"the configuration of {target.tag} was not kept; deploy the tag {target.tag} instead"


def find_way_back(reader: Reader, stage: Stage, to: str | None = None) -> WayBack:
    """Return the way back to what the deploy `to` brought, else to what served before.

    While a deploy is at work that can still be taken back, that is what it replaces or has
    replaced; else what was live before and was never taken back. Raises NotFoundError where there
    is no deploy `to`, and ConflictError where there is nothing to go back to, with what to do
    instead. In a stopped stage it has to be named.
    """
    if to is None:
        _refuse_if_stopped(stage)
    at_work = _at_work(reader, stage)
    own = reader.instance_of(at_work.id) if at_work else None
    live = live_in(reader, stage)
    away_from, away_from_tag = (live.version, live.tag) if live else (None, "")
    if at_work is not None:
        # Before its instance is on record, the configuration that it will have is not known.
        unknown = None if at_work.digest is None else (at_work.digest, "")
        away_from, away_from_tag = (own.version if own else unknown), at_work.tag
    target = _named(reader, stage, to) if to is not None else _before(reader, stage, live, at_work)
    config = reader.deploy_config(target.deploy_id)
    if config is None:
        raise ConflictError(not_kept(target))
    # A stage of several instances can go back by leaving its newest: the other one serves already.
    beside = (
        at_work is None
        and live is not None
        and target.state is InstanceState.LIVE
        and target.id != live.id
    )
    return WayBack(
        target=target,
        config=config,
        cancels=at_work,
        drops=live if beside else None,
        away_from=away_from,
        away_from_tag=away_from_tag,
    )


def under_way(reader: Reader, stage: Stage, to: str | None) -> Deploy | None:
    """Return the rollback of the stage that is queued or at work; with `to`, only one to that."""
    wanted = None
    if to is not None:
        target = _named(reader, stage, to)
        # No configuration has the fingerprint of a container that a person made.
        kept = reader.deploy_config(target.deploy_id) if target.adopted else None
        wanted = (target.digest, kept.fingerprint if kept else target.fingerprint)
    for deploy in reader.open_deploys(stage.id):
        if (
            deploy.trigger is Trigger.ROLLBACK
            and not deploy.cancelling
            and deploy.failed_step is None
        ):
            config = reader.deploy_config(deploy.id)
            if wanted is None or (
                config is not None and (deploy.digest, config.fingerprint) == wanted
            ):
                return deploy
    return None


def live_in(facts: RollbackFacts, stage: Stage) -> Instance | None:
    """Return the newest live instance of the stage, None where nothing is live."""
    return next(iter(facts.instances(stage_id=stage.id, states=[InstanceState.LIVE])), None)


def _refuse_if_stopped(stage: Stage) -> None:
    # What a start brings again, and what was live before that, could both be meant.
    if stage.stopped:
        raise ConflictError(
            f"the stage {stage.name} is stopped: start it, or name the deploy to go back to"
            " with --to"
        )


def _at_work(facts: RollbackFacts, stage: Stage) -> Deploy | None:
    """Return the deploy at work that can still be taken back, or is being taken back."""
    running = [one for one in facts.open_deploys(stage.id) if one.status is DeployStatus.RUNNING]
    return next(
        (one for one in running if one.step(StepName.RETIRE).status is StepStatus.PENDING), None
    )


def _before(
    facts: RollbackFacts, stage: Stage, live: Instance | None, at_work: Deploy | None
) -> Instance:
    if at_work is not None and (served := _served_before(facts, stage, live, at_work)):
        return served
    without = [(version.digest, version.fingerprint) for version in facts.taken_back(stage.id)]
    beside = facts.instances(stage_id=stage.id, states=[InstanceState.LIVE])[1:]
    # Beside the newest it serves already: going back to it starts nothing.
    if left := next(
        (one for one in beside if live and one.version not in {*without, live.version}), None
    ):
        return left
    if live is not None:
        without.append(live.version)
    found = facts.previous_instance(stage.id, without)
    if found is None:
        what = f"nothing was live before {live.tag}" if live else "nothing was ever live"
        # These can be named.
        but = " but what was taken back" if facts.taken_back(stage.id) else ""
        raise ConflictError(
            f"there is nothing to go back to: {what} in the stage {stage.name}{but}"
        )
    return found


def _served_before(
    facts: RollbackFacts, stage: Stage, live: Instance | None, at_work: Deploy
) -> Instance | None:
    """Return the newest instance that the stage's address was routed to before the deploy."""
    if live is not None and live.deploy_id != at_work.id:
        return live
    others = facts.instances(stage_id=stage.id, states=[InstanceState.LIVE, InstanceState.DRAINING])
    served = (
        one for one in others if one.state is InstanceState.LIVE or one.id in at_work.replaced
    )
    return max(
        (one for one in served if one.deploy_id != at_work.id), key=lambda one: one.id, default=None
    )


def _named(reader: Reader, stage: Stage, to: str) -> Instance:
    deploy = reader.deploy(to)
    found = reader.instance_of(deploy.id)
    # Not a failed one: it never served, or was taken back.
    served = {InstanceState.LIVE, InstanceState.DRAINING, InstanceState.STOPPED}
    if found is None or found.stage_id != stage.id or found.state not in served:
        raise ConflictError(
            f"the deploy {to} brought nothing live in the stage {stage.name}; name one that did"
        )
    return found


class Prospect(Struct, frozen=True):
    """The instance that a rollback would bring back, and why not where it is impossible."""

    target: Instance | None
    possible: bool
    reason: str = ""


class RollbackTarget(Struct, frozen=True):
    """An instance to go back to, its project, and the registry of its image."""

    instance: Instance
    project: Project
    registry: Registry | None

    @property
    def image(self) -> ImageName:
        """The repository of its image, which need not be the project's of now."""
        return self.instance.image or self.project.image


class WaysBack(Struct, frozen=True):
    """Finds out before a rollback whether its image still exists on the engine or at its registry.

    `resolve` looks a digest up at its registry, as that of `TagSource` does.
    """

    store: Store
    engine: Runtime
    resolve: Callable[[ImageName, str, Registry | None], Awaitable[Digest]]

    async def prospect(self, stage_id: str) -> Prospect:
        """Return what a rollback of the stage would bring back. Raises NotFoundError."""

        def work(reader: Reader) -> WayBack | str:
            stage = reader.stage(stage_id)
            try:
                return find_way_back(reader, stage)
            except ConflictError as error:
                return str(error)

        way = await self.store.read(work)
        if isinstance(way, str):
            return Prospect(None, possible=False, reason=way)
        return await self._prospect_of(await self._with_registry(way.target))

    async def prospects(self, targets: Sequence[RollbackTarget]) -> list[Prospect]:
        """Return for each of `targets` whether a rollback could bring it back.

        Where engine or registry do not answer in `ALL_WITHIN_S` seconds, nobody can say that it is
        gone: then it counts as possible, as it does for one stage.
        """
        seats = asyncio.Semaphore(_AT_ONCE)

        async def ask(target: RollbackTarget) -> Prospect:
            async with seats:
                return await self._prospect_of(target)

        tasks = [asyncio.ensure_future(ask(target)) for target in targets]
        if tasks:
            await asyncio.wait(tasks, timeout=ALL_WITHIN_S)
        found = []
        for target, task in zip(targets, tasks, strict=True):
            answered = task.done() and not isinstance(task.exception(), TagboatError)
            found.append(task.result() if answered else Prospect(target.instance, possible=True))
            task.cancel()  # nobody waits for its answer any more
        return found

    async def _prospect_of(self, target: RollbackTarget) -> Prospect:
        gone = await self._why_gone(target)
        return Prospect(target.instance, possible=gone is None, reason=gone or "")

    async def refuse_if_gone(self, stage_id: str, to: str | None) -> None:
        """Raise ConflictError where the image that a rollback needs does not exist any more."""

        def work(reader: Reader) -> WayBack | None:
            stage = reader.stage(stage_id)
            return None if under_way(reader, stage, to) else find_way_back(reader, stage, to)

        # The transaction is over before engine and registry are asked: they may take seconds.
        way = await self.store.read(work)
        if way is None:
            return
        if gone := await self._why_gone(await self._with_registry(way.target)):
            raise ConflictError(
                f"{gone}; {await self._other_ways(way.target)}. Nothing was changed"
            )

    async def _with_registry(self, instance: Instance) -> RollbackTarget:
        def work(reader: Reader) -> RollbackTarget:
            project = reader.project(instance.project_id)
            return RollbackTarget(instance, project, registry_of(reader, project, instance.image))

        return await self.store.read(work)

    async def _why_gone(self, target: RollbackTarget) -> str | None:
        """Return why the image of an instance cannot be had; None where it can, or nobody knows."""
        instance, image = target.instance, target.image
        if not instance.state.final:
            return None  # its container is there
        # The engine first: it is on this machine, and an image that is there needs no registry.
        if await self.engine.inspect_image(f"{image}@{instance.digest}") is not None:
            return None
        try:
            await self.resolve(image, instance.digest, target.registry)
        except RegistryNotFoundError:
            served = f"{instance.tag} of {instance.started_at:%Y-%m-%d %H:%M} UTC"
            where = (
                f"neither the engine nor the registry {image.host} has {image}@{instance.digest}"
            )
            return f"{served} is gone: {where} any more"
        except RegistryError:
            return None  # a registry that does not answer may still have it
        return None

    async def _other_ways(self, target: Instance) -> str:
        """Return in words the deploys that could be gone back to instead."""
        stopped = await self.store.read(
            lambda reader: reader.instances(
                stage_id=target.stage_id, states=[InstanceState.STOPPED], limit=_LOOKED_AT
            )
        )
        found: dict[Version, Instance] = {}
        for instance in stopped:
            if (
                len(found) < _OTHERS
                and instance.version not in found
                and await self._why_gone(await self._with_registry(instance)) is None
            ):
                found[instance.version] = instance
        if not found:
            return (
                "nothing that was live in this stage before is there any more:"
                " push it again, or deploy another tag"
            )
        return "go back to one of these: " + ", ".join(
            f"--to {one.deploy_id} ({one.tag})" for one in found.values()
        )
