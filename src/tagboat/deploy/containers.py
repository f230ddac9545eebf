"""The containers of a deploy: what they are made from, making them, and taking them away."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from tagboat.core.deploy import ContainerSpec, ContainerStatus, Instance, InstanceState
from tagboat.core.errors import DeployFailedError, EngineError, NameTakenError, PortTakenError
from tagboat.core.ids import new_id, short_id
from tagboat.core.naming import container_name
from tagboat.core.ports import Engine, Probe, Store, TagSource
from tagboat.core.tally import Tally
from tagboat.deploy.journal import Journal, Scene
from tagboat.deploy.traffic import Traffic

LOG_LINES = 100
RELEASE_LIMIT_S = 900.0
SECRETS_FOLDER = "/run/secrets"
_PORT_TRIES = 20
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0

log = structlog.get_logger("tagboat.deploy")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a deploy is carried out with. `installation` marks this installation's containers among others' on the engine.

    `traffic` is None where no ingress leads any: every instance is then reached at its own port.
    """

    store: Store
    engine: Engine
    tag_source: TagSource
    probe: Probe
    free_port: Callable[[Collection[int]], int]
    clock: Callable[[], datetime]
    installation: str
    tally: Tally
    traffic: Traffic | None = None


class Containers:
    """Makes and removes what one deploy needs."""

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._engine = parts.engine
        self._journal = journal

    async def start(self, scene: Scene) -> str:
        """Start the new instance, on record before it is made; its name. An earlier try's remains are removed first."""
        if scene.own is not None:
            await self._make_way(scene.own.container, scene.deploy.id)
        instance, new = scene.own or _new_instance(scene, self._parts.clock()), scene.own is None
        config = scene.config
        taken = await self._journal.ports_taken() if config.port else frozenset()
        for _ in range(_PORT_TRIES):
            host_port = self._parts.free_port(taken) if config.port else 0
            instance = replace(instance, host_port=host_port, fingerprint=config.fingerprint, started_at=self._parts.clock())
            instance = replace(instance, protocol=config.protocol)
            await self._journal.put_instance(instance, new=new, config=config)
            new = False
            try:
                await self._run(instance_spec(scene, instance, self._parts.installation))
            except PortTakenError:
                await self._engine.remove(instance.container)
                taken |= {host_port}
            else:
                return instance.container
        raise DeployFailedError(f"found no free loopback port for the new container in {_PORT_TRIES} tries")

    async def release(self, scene: Scene) -> Collection[str]:
        """Run the release command in a container of its own; what it said. Raises ReleaseFailedError when it fails."""
        spec = _release_spec(scene, self._parts.installation)
        await self._make_way(spec.name, scene.deploy.id)
        await self._run(spec)
        try:
            async with asyncio.timeout(RELEASE_LIMIT_S):
                ended = await self._until_ended(spec.name)
        except TimeoutError:
            reason = f"the release command was still running after {RELEASE_LIMIT_S / 60:.0f} minutes"
        else:
            reason = "" if ended == 0 else f"the release command exited with code {ended}"
        lines = await self._last_words(spec.name)
        await self._engine.remove(spec.name)
        if reason:
            raise ReleaseFailedError(f"{reason}; nothing was changed", lines)
        return lines

    async def take_names(self, scene: Scene) -> bool:
        """Let the new instance be found by the stage's names; whether that has cut its connections on those networks."""
        own = scene.own
        if own is None or not _waits_for_names(scene, own):
            return False
        for network, aliases in scene.aliases.items():
            await self._engine.rejoin(own.container, network, aliases)
        return bool(scene.aliases)

    async def discard(self, scene: Scene, keep: Callable[[str], Awaitable[None]]) -> None:
        """Remove the new container, if one was made, once `keep` has what it last said, which may be more than once.

        An engine that is away leaves it to the next sweep.
        """
        try:
            for container in (own_container(scene), release_container(own_container(scene))):
                status = await self._engine.status(container)
                if status is not None and _made_by(status, scene.deploy.id):
                    await keep("\n".join(await self._last_words(container)))
                    await self._engine.remove(container)
        except EngineError as error:
            log.warning("container left to the next sweep", action="undo", container=own_container(scene), reason=str(error))

    async def _run(self, spec: ContainerSpec) -> None:
        try:
            await self._engine.create(spec)
        except NameTakenError:
            await self._make_way(spec.name, spec.labels["tagboat.deploy"])
            await self._engine.create(spec)
        await self._engine.start(spec.name)

    async def _make_way(self, container: str, deploy_id: str) -> None:
        """Remove the container that an earlier try has left; raise DeployFailedError if it is somebody else's."""
        status = await self._engine.status(container)
        if status is None:
            return
        if not _made_by(status, deploy_id):
            raise DeployFailedError(
                f"another container is named {container}; Tagboat does not touch it: rename or remove it, and deploy again"
            )
        await self._engine.remove(container)

    async def _until_ended(self, container: str) -> int:
        pause = _FIRST_PAUSE_S
        while (status := await self._engine.status(container)) is not None and status.running:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)
        if status is None:
            raise DeployFailedError("the container of the release command was removed by somebody else")
        return status.exit_code

    async def _last_words(self, container: str) -> Collection[str]:
        try:
            return await self._engine.logs(container, LOG_LINES)
        except EngineError:
            return ()


class ReleaseFailedError(DeployFailedError):
    """The release command failed; `lines` is what it said."""

    def __init__(self, reason: str, lines: Collection[str]) -> None:
        super().__init__(reason)
        self.lines = lines


def own_container(scene: Scene) -> str:
    """The name of the deploy's container, whether or not it was made yet."""
    if scene.own is not None:
        return scene.own.container
    return container_name(scene.project.name, scene.stage.name, short_id(scene.deploy.id))


def release_container(container: str) -> str:
    """The name of the container that runs the release command of the deploy whose instance is `container`."""
    return f"{container}-release"


def volume_name(stage_id: str, name: str) -> str:
    """The engine's name of a stage's volume: by the id, so that a change of names does not lose what is in it."""
    return f"tagboat-{stage_id}-{name}"


def instance_spec(scene: Scene, instance: Instance, installation: str) -> ContainerSpec:
    """What the engine is to run as the new instance."""
    options = scene.config.options
    return replace(
        _common_spec(scene, instance.container, installation),
        command=options.command,
        port=scene.config.port,
        host_port=instance.host_port,
        aliases={} if _waits_for_names(scene, instance) else scene.aliases,
    )


def _waits_for_names(scene: Scene, instance: Instance) -> bool:
    """Whether the stage's names lead to another instance, and not to this one before it is known to be healthy."""
    return instance.state is InstanceState.STARTING and bool(scene.others_that(InstanceState.LIVE))


def _release_spec(scene: Scene, installation: str) -> ContainerSpec:
    spec = _common_spec(scene, release_container(own_container(scene)), installation)
    return replace(spec, command=scene.config.options.release_command, restarts=False)


def _common_spec(scene: Scene, name: str, installation: str) -> ContainerSpec:
    options = scene.config.options
    return ContainerSpec(
        name=name,
        image=scene.image,
        labels={**options.labels, **_own_labels(scene, installation)},
        env={**scene.config.env, **options.secrets},
        user=options.user,
        volumes={volume_name(scene.stage.id, volume): path for volume, path in options.volumes.items()},
        files={f"{SECRETS_FOLDER}/{file}": content for file, content in options.secret_files.items()},
        memory=options.memory,
        cpus=options.cpus,
        pids=options.pids,
        networks=options.networks,
        stop_signal=options.stop_signal,
        stop_timeout_s=options.stop_timeout_s,
    )


def _own_labels(scene: Scene, installation: str) -> Mapping[str, str]:
    return {
        "tagboat.managed": "true",
        "tagboat.project": scene.project.name,
        "tagboat.stage": scene.stage.name,
        "tagboat.deploy": scene.deploy.id,
        "tagboat.installation": installation,
    }


def _made_by(container: ContainerStatus, deploy_id: str) -> bool:
    return container.labels.get("tagboat.deploy") == deploy_id


def _new_instance(scene: Scene, now: datetime) -> Instance:
    deploy = scene.deploy
    if deploy.digest is None:
        raise DeployFailedError("the deploy has no digest to start")
    return Instance(
        id=new_id(),
        deploy_id=deploy.id,
        project_id=deploy.project_id,
        stage_id=deploy.stage_id,
        tag=deploy.tag,
        digest=deploy.digest,
        state=InstanceState.STARTING,
        container=own_container(scene),
        host_port=0,
        fingerprint="",
        started_at=now,
    )
