"""Where a rollback of a stage leads, and whether what it leads to is still to be had."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tagboat.core.catalog import Project, Registry, Stage
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    StepName,
    StepStatus,
    Trigger,
    Version,
)
from tagboat.core.errors import ConflictError, RegistryError, RegistryNotFoundError
from tagboat.core.image import Digest, ImageName
from tagboat.core.ports import Reader, Store
from tagboat.core.run import RunConfig
from tagboat.core.runtime import Runtime
from tagboat.deploy.context import registry_of

_OTHERS = 5
"""So many ways out are named, at most, where the one asked for is no more."""
_LOOKED_AT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """What a rollback brings back: the instance that served it, and its configuration of then.

    `cancels` is the deploy at work that is taken back for it, None where there is none or it is too late for that. `drops`
    is the live instance that is fled from while the target is live beside it, None where there is no such.
    `away_from` is the version that is fled from, of the tag `away_from_tag`, None where nothing is known of one.
    """

    target: Instance
    config: RunConfig
    cancels: Deploy | None = None
    drops: Instance | None = None
    away_from: Version | None = None
    away_from_tag: str = ""


def find_way_back(reader: Reader, stage: Stage, to: str | None = None) -> WayBack:
    """Where a rollback leads: to what the deploy `to` brought, else to what served before.

    What served before is, while a deploy is at work that can still be taken back, what it is to replace or has replaced;
    else what was live before and was never taken back. Raises NotFoundError where there is no deploy `to`, ConflictError
    where it leads nowhere, with what to do instead.
    """
    at_work = _at_work(reader, stage)
    own = reader.instance_of(at_work.id) if at_work else None
    live = live_in(reader, stage)
    away_from, away_from_tag = (live.version, live.tag) if live else (None, "")
    if at_work is not None:
        away_from, away_from_tag = (own.version if own else _version_of(at_work)), at_work.tag
    target = _named(reader, stage, to) if to is not None else _before(reader, stage, live, at_work)
    config = reader.deploy_config(target.deploy_id)
    if config is None:
        raise ConflictError(
            f"the configuration of {target.tag} was not kept; deploy the tag {target.tag} instead"
        )
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
    """The rollback of the stage that is queued or at work already; where a deploy `to` is named, only one to just that."""
    wanted = _named(reader, stage, to).version if to is not None else None
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


def live_in(reader: Reader, stage: Stage) -> Instance | None:
    """The newest live instance of the stage."""
    return next(iter(reader.instances(stage_id=stage.id, states=[InstanceState.LIVE])), None)


def _at_work(reader: Reader, stage: Stage) -> Deploy | None:
    """The deploy at work in the stage that can still be taken back, or is being taken back."""
    running = [one for one in reader.open_deploys(stage.id) if one.status is DeployStatus.RUNNING]
    return next(
        (one for one in running if one.step(StepName.RETIRE).status is StepStatus.PENDING), None
    )


def _version_of(deploy: Deploy) -> Version | None:
    return (deploy.digest, "") if deploy.digest is not None else None


def _before(
    reader: Reader, stage: Stage, live: Instance | None, at_work: Deploy | None
) -> Instance:
    if at_work is not None and (served := _served_before(reader, stage, live, at_work)):
        return served
    without = [(version.digest, version.fingerprint) for version in reader.taken_back(stage.id)]
    beside = reader.instances(stage_id=stage.id, states=[InstanceState.LIVE])[1:]
    if left := next(
        (one for one in beside if live and one.version not in {*without, live.version}), None
    ):
        return left
    if live is not None:
        without.append(live.version)
    found = reader.previous_instance(stage.id, without)
    if found is None:
        what = f"nothing was live before {live.tag}" if live else "nothing was ever live"
        but = " but what was taken back" if reader.previous_instance(stage.id, without[-1:]) else ""
        raise ConflictError(
            f"there is nothing to go back to: {what} in the stage {stage.name}{but}"
        )
    return found


def _served_before(
    reader: Reader, stage: Stage, live: Instance | None, at_work: Deploy
) -> Instance | None:
    """What the stage's address led to until the deploy at work came, or still does: of several, the newest."""
    if live is not None and live.deploy_id != at_work.id:
        return live
    others = reader.instances(
        stage_id=stage.id, states=[InstanceState.LIVE, InstanceState.DRAINING]
    )
    served = (
        one for one in others if one.state is InstanceState.LIVE or one.id in at_work.replaced
    )
    return max(
        (one for one in served if one.deploy_id != at_work.id), key=lambda one: one.id, default=None
    )


def _named(reader: Reader, stage: Stage, to: str) -> Instance:
    deploy = reader.deploy(to)
    found = reader.instance_of(deploy.id)
    served = {InstanceState.LIVE, InstanceState.DRAINING, InstanceState.STOPPED}
    if found is None or found.stage_id != stage.id or found.state not in served:
        raise ConflictError(
            f"the deploy {to} brought nothing live in the stage {stage.name}; name one that did"
        )
    return found


@dataclass(frozen=True, slots=True)
class Prospect:
    """Whether a stage can be rolled back: to which instance, and if not (or if nobody can tell), why."""

    target: Instance | None
    possible: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WaysBack:
    """Tells beforehand whether a rollback can be carried out: its image may be nowhere any more.

    `resolve` looks a digest up at its registry, as that of `TagSource` does.
    """

    store: Store
    engine: Runtime
    resolve: Callable[[ImageName, str, Registry | None], Awaitable[Digest]]

    async def prospect(self, stage_id: str) -> Prospect:
        """Where a rollback of the stage would lead. Raises NotFoundError for an unknown stage."""

        def work(reader: Reader) -> WayBack | str:
            stage = reader.stage(stage_id)
            try:
                return find_way_back(reader, stage)
            except ConflictError as error:
                return str(error)

        way = await self.store.read(work)
        if isinstance(way, str):
            return Prospect(None, possible=False, reason=way)
        gone = await self._why_gone(way.target)
        return Prospect(way.target, possible=gone is None, reason=gone or "")

    async def refuse_if_gone(self, stage_id: str, to: str | None) -> None:
        """Raise ConflictError where the image of what a rollback would bring back is nowhere any more."""

        def work(reader: Reader) -> WayBack | None:
            stage = reader.stage(stage_id)
            return None if under_way(reader, stage, to) else find_way_back(reader, stage, to)

        way = await self.store.read(work)
        if way is None:
            return
        if gone := await self._why_gone(way.target):
            raise ConflictError(
                f"{gone}; {await self._other_ways(way.target)}. Nothing was changed"
            )

    async def _why_gone(self, target: Instance) -> str | None:
        """Why the image of an instance is not to be had, None where it is, or nobody can tell now."""
        if not target.state.final:
            return None  # its container is there
        project, registry = await self.store.read(
            lambda reader: _project_and_registry(reader, target)
        )
        image = target.image or project.image
        if await self.engine.inspect_image(f"{image}@{target.digest}") is not None:
            return None
        try:
            await self.resolve(image, target.digest, registry)
        except RegistryNotFoundError:
            return _gone(target, image)
        except RegistryError:
            return None
        return None

    async def _other_ways(self, target: Instance) -> str:
        """The deploys that could be gone back to instead, in words."""
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
                and await self._why_gone(instance) is None
            ):
                found[instance.version] = instance
        if not found:
            return "nothing that was live in this stage before is there any more: push it again, or deploy another tag"
        return "go back to one of these: " + ", ".join(
            f"--to {one.deploy_id} ({one.tag})" for one in found.values()
        )


def _gone(target: Instance, image: ImageName) -> str:
    served = f"{target.tag} of {target.started_at:%Y-%m-%d %H:%M} UTC"
    return f"{served} is gone: neither the engine nor the registry {image.host} has {image}@{target.digest} any more"


def _project_and_registry(reader: Reader, target: Instance) -> tuple[Project, Registry | None]:
    project = reader.project(target.project_id)
    return project, registry_of(reader, project, target.image)
