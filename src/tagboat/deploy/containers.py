"""The containers of a deploy: what they are made from, making them, and taking them away."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from tagboat.core.counters import Counters
from tagboat.core.deploy import ContainerSpec, ContainerStatus, Instance, InstanceState
from tagboat.core.errors import DeployFailedError, EngineError, NameTakenError, PortTakenError
from tagboat.core.host_access import no_host_path
from tagboat.core.ids import new_id
from tagboat.core.ports import Engine, Probe, Store, TagSource
from tagboat.core.run import RELEASE_TIMEOUT_S, RunOptions
from tagboat.core.storage import stage_volumes
from tagboat.deploy.journal import Journal
from tagboat.deploy.networks import ensure_project_network
from tagboat.deploy.options import (
    as_instance,
    as_release,
    unless_published,
    with_host_paths,
    with_surroundings,
)
from tagboat.deploy.ownership import INSTANCE, RELEASE, ROLE, made_here, release_container, role_of
from tagboat.deploy.places import Places
from tagboat.deploy.scene import Scene
from tagboat.deploy.traffic import Traffic

LOG_LINES = 100
SECRETS_FOLDER = "/run/secrets"
_PORT_TRIES = 20
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0

log = structlog.get_logger("tagboat.deploy")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a deploy is carried out with. `installation` marks this installation's containers among others' on the engine.

    `traffic` is None where no ingress leads any: every instance is then reached at its own port. `base_domain` is what stages
    have their addresses below, `front_proto` (`http` or `https`) by what people come to them. `host_path` says where a path of
    the engine's machine leads, or raises InvalidValueError where containers may not have it. `places` are shared by all
    deploys at work: whoever only waits rests.
    """

    store: Store
    engine: Engine
    tag_source: TagSource
    probe: Probe
    free_port: Callable[[Collection[int]], int]
    clock: Callable[[], datetime]
    installation: str
    counters: Counters
    traffic: Traffic | None = None
    base_domain: str = "localhost"
    front_proto: str = "http"
    host_path: Callable[[str], str] = no_host_path
    places: Places = field(default_factory=Places)


class Containers:
    """Makes and removes what one deploy needs."""

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._engine = parts.engine
        self._journal = journal
        self._alone = False

    async def start(self, scene: Scene) -> Instance:
        """Start the new instance, on record before it is made; how it stands. An earlier try's remains are removed first."""
        if scene.own is not None:
            await self._remove_own(scene.deploy.id, INSTANCE)
        instance, new = scene.own or _new_instance(scene, self._parts.clock()), scene.own is None
        config = scene.config
        taken = await self._journal.ports_taken() if config.port else frozenset()
        self._alone = await self._is_alone(scene)
        for _ in range(_PORT_TRIES):
            host_port = self._parts.free_port(taken) if config.port else 0
            instance = replace(
                instance,
                container_id="",
                host_port=host_port,
                fingerprint=config.fingerprint,
                protocol=config.protocol,
                started_at=self._parts.clock(),
            )
            await self._journal.put_instance(instance, new=new, config=config)
            new = False
            container = await self._create(
                instance_spec(scene, instance, self._parts.installation, alone=self._alone)
            )
            try:
                await self._engine.start(
                    instance.container
                )  # by the name that it was given a moment ago: people know it
            except PortTakenError as error:
                await self._engine.remove(container)
                unless_published(str(error), config)
                taken |= {host_port}
            else:
                return replace(instance, container_id=container)
        raise DeployFailedError(
            f"found no free loopback port for the new container in {_PORT_TRIES} tries"
        )

    async def release(self, scene: Scene) -> Collection[str]:
        """Run the release command in a container of its own, once; what it said. Raises ReleaseFailedError when it fails.

        One that was begun before, by this server or another, is waited for, or was: it is never ended for that, and never
        begun again.
        """
        container = await self._begun_release(scene) or await self._begin_release(scene)
        limit_s = release_timeout_s(scene.config.options)
        try:
            async with self._parts.places.rest():
                status = await self._until_ended(container, limit_s)
        except TimeoutError:
            await self._engine.stop(container)
            reason = (
                f"the release command was still running after {limit_s:g} s and was ended in the middle of its work: look at "
                "what it left, and give it more time with release_timeout_s if it needs it"
            )
        else:
            reason = (
                f"the release command exited with code {status.exit_code}; what is live is unchanged"
                if status.exit_code
                else ""
            )
        lines = await last_words(self._engine, container)
        if reason:  # its container stays until that is on record: whoever goes on after a death finds the same
            raise ReleaseFailedError(reason, lines)
        await self._journal.change(released=True, log=self._journal.masked("\n".join(lines)))
        await self._engine.remove(container)
        return lines

    async def take_names(self, scene: Scene) -> bool:
        """Let the new instance be found by the stage's names; whether that has cut its connections on those networks."""
        own = scene.own
        if own is None or not _waits_for_names(scene, own):
            return False
        waiting = {
            name: aliases
            for name, aliases in scene.aliases.items()
            if not (self._alone and name == scene.network)
        }
        for network, aliases in waiting.items():
            await self._engine.rejoin(own.handle, network, aliases)
        return bool(waiting)

    async def forget_release(self, deploy_id: str) -> None:
        """Remove the container of a release command whose end is on record."""
        await self._remove_own(deploy_id, RELEASE)

    async def discard(self, scene: Scene, keep: Callable[[str], Awaitable[None]]) -> None:
        """Remove what the deploy has made, if anything, once `keep` has what it last said, which may be more than once.

        A release command that runs is told to end, and given its time. An engine that is away leaves it to the next sweep.
        """
        try:
            for status in await self._own(scene.deploy.id, scene.container):
                if role_of(status) == RELEASE and status.running:
                    await self._engine.stop(status.id)
                await keep("\n".join(await last_words(self._engine, status.id)))
                await self._engine.remove(status.id)
        except EngineError as error:
            log.warning(
                "container left to the next sweep",
                action="undo",
                container=scene.container,
                reason=str(error),
            )

    async def _begun_release(self, scene: Scene) -> str | None:
        """The container in which the release command was begun, None if it never was. ReleaseFailedError if it is gone."""
        found = next(
            (one for one in await self._own(scene.deploy.id) if role_of(one) == RELEASE), None
        )
        if found is not None and found.started_at is not None:
            return found.id
        if found is not None:  # died between making and starting it
            await self._journal.change(
                release_id=""
            )  # first: a death in between must not make it seem begun, and gone
            await self._engine.remove(found.id)
        elif scene.deploy.release_id:
            raise ReleaseFailedError(
                "the container of the release command was removed by somebody else: it is not known how that ended, and it is "
                "not begun again; look at what it left, and deploy again",
                (),
            )
        return None

    async def _is_alone(self, scene: Scene) -> bool:
        """Whether nobody but the stage's own instances runs on the project's network, which is made where it is missing."""
        members = await ensure_project_network(
            self._engine, self._parts.installation, scene.project
        )
        return members <= {one.container_id for one in scene.others}

    async def _begin_release(self, scene: Scene) -> str:
        await ensure_project_network(self._engine, self._parts.installation, scene.project)
        spec = _release_spec(scene, self._parts.installation)
        container = await self._create(spec)
        await self._journal.change(release_id=container)
        try:
            await self._engine.start(spec.name)
        except EngineError as error:
            if error.retryable:
                raise
            raise ReleaseFailedError(
                f"the release command cannot be run: {error}; what is live is unchanged", ()
            ) from error
        return container

    async def _create(self, spec: ContainerSpec) -> str:
        """Create the container; what an earlier try left under its name, and nothing else, makes way for it."""
        spec = with_host_paths(spec, self._parts.host_path)
        try:
            return await self._engine.create(spec)
        except NameTakenError:
            if not await self._remove_own(spec.labels["tagboat.deploy"], spec.labels[ROLE]):
                raise DeployFailedError(
                    f"another container is named {spec.name}; Tagboat does not touch it: rename or remove it, and deploy again"
                ) from None
            return await self._engine.create(spec)

    async def _own(self, deploy_id: str, deleted: str = "") -> list[ContainerStatus]:
        """The containers of the deploy that are there; see `made_here`."""
        labels = {"tagboat.installation": self._parts.installation, "tagboat.deploy": deploy_id}
        found = await self._engine.containers(labels)
        if not found:
            return []
        return await self._parts.store.read(
            lambda reader: [one for one in found if made_here(reader, one, deleted)]
        )

    async def those_of(self, deploy_id: str, role: str) -> list[ContainerStatus]:
        """The containers of the deploy that have that role."""
        return [status for status in await self._own(deploy_id) if role_of(status) == role]

    async def _remove_own(self, deploy_id: str, role: str) -> bool:
        """Remove the deploy's containers of that role; whether there was any."""
        found = await self.those_of(deploy_id, role)
        for status in found:
            await self._engine.remove(status.id)
        return bool(found)

    async def _until_ended(self, container: str, limit_s: float) -> ContainerStatus:
        """Raises TimeoutError once the container has been running for `limit_s` seconds."""
        pause = _FIRST_PAUSE_S
        while True:
            status = await self._engine.status(container)
            if status is None:
                raise ReleaseFailedError(
                    "the container of the release command was removed by somebody else", ()
                )
            if not status.running:
                return status
            if (
                status.started_at
                and (self._parts.clock() - status.started_at).total_seconds() > limit_s
            ):
                raise TimeoutError
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)


class ReleaseFailedError(DeployFailedError):
    """The release command failed; `lines` is what it said."""

    def __init__(self, reason: str, lines: Collection[str]) -> None:
        super().__init__(reason)
        self.lines = lines


async def last_words(engine: Engine, container: str) -> Collection[str]:
    """The last lines that a container wrote, none where the engine cannot tell."""
    try:
        return await engine.logs(container, LOG_LINES)
    except EngineError:
        return ()


def release_timeout_s(options: RunOptions) -> int:
    """Seconds that the release command may run."""
    return RELEASE_TIMEOUT_S if options.release_timeout_s is None else options.release_timeout_s


def instance_spec(
    scene: Scene, instance: Instance, installation: str, *, alone: bool = False
) -> ContainerSpec:
    """What the engine is to run as the new instance; `alone` is whether nobody else is on the project's network."""
    spec = as_instance(
        _common_spec(scene, instance.container, installation, INSTANCE), scene.config.options
    )
    spec = replace(
        spec, port=scene.config.port, host_port=instance.host_port, aliases=scene.aliases
    )
    if not _waits_for_names(scene, instance):
        return spec
    if alone:
        return replace(spec, aliases={scene.network: scene.aliases[scene.network]})
    return replace(spec, aliases={}, keeps_address=True)


def _waits_for_names(scene: Scene, instance: Instance) -> bool:
    """Whether the stage's names lead to another instance, and not to this one before it is known to be healthy."""
    return instance.state is InstanceState.STARTING and bool(scene.others_that(InstanceState.LIVE))


def _release_spec(scene: Scene, installation: str) -> ContainerSpec:
    spec = _common_spec(scene, release_container(scene.container), installation, RELEASE)
    return as_release(spec, scene.config.options)


def _common_spec(scene: Scene, name: str, installation: str, role: str) -> ContainerSpec:
    options = scene.config.options
    spec = ContainerSpec(
        name=name,
        image=scene.image,
        labels={**options.labels, **_own_labels(scene, installation, role)},
        env={**scene.config.env, **options.secrets},
        user=options.user,
        volumes=stage_volumes(scene.stage, scene.config),
        volume_labels=_volume_labels(scene, installation),
        files={
            f"{SECRETS_FOLDER}/{file}": content for file, content in options.secret_files.items()
        },
        memory=options.memory,
        cpus=options.cpus,
        pids=options.pids,
        network=scene.network,
        networks=options.networks,
        stop_signal=options.stop_signal,
        stop_timeout_s=options.stop_timeout_s,
    )
    return with_surroundings(spec, options)


def _own_labels(scene: Scene, installation: str, role: str) -> Mapping[str, str]:
    return {
        "tagboat.managed": "true",
        "tagboat.project": scene.project.name,
        "tagboat.stage": scene.stage.name,
        "tagboat.deploy": scene.deploy.id,
        "tagboat.installation": installation,
        ROLE: role,
    }


def _volume_labels(scene: Scene, installation: str) -> Mapping[str, str]:
    """By these a person can tell whose a volume was, after project and stage are gone too."""
    own = {
        name: value
        for name, value in _own_labels(scene, installation, "").items()
        if name not in {"tagboat.deploy", ROLE}
    }
    return own | {"tagboat.stage_id": scene.stage.id}


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
        image=deploy.image,
        state=InstanceState.STARTING,
        container=scene.container,
        host_port=0,
        fingerprint="",
        started_at=now,
    )
