"""The workloads of a deploy: making them, waiting for the release command, and removing them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import structlog

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import (
    DeployFailedError,
    EndpointTakenError,
    EngineError,
    NameTakenError,
)
from tagboat.core.ids import new_id
from tagboat.core.run import RELEASE_TIMEOUT_S, RunOptions
from tagboat.core.runtime import Runtime
from tagboat.core.workload import WorkloadSpec, WorkloadStatus
from tagboat.deploy.context import DeployContext
from tagboat.deploy.networks import ensure_project_network
from tagboat.deploy.options import unless_published, with_host_paths
from tagboat.deploy.ownership import INSTANCE, RELEASE, ROLE, made_here, role_of
from tagboat.deploy.record import DeployRecord
from tagboat.deploy.services import DeployServices
from tagboat.deploy.specs import instance_spec, release_spec, waits_for_names

LOG_LINES = 100
T = TypeVar("T")
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0

log = structlog.get_logger("tagboat.deploy")


class Containers:
    """Makes and removes what one deploy needs."""

    def __init__(self, services: DeployServices, record: DeployRecord) -> None:
        self._services = services
        self._runtime = services.runtime
        self._record = record
        self._alone = False

    async def start(self, context: DeployContext) -> Instance:
        """Start the new instance, on record before it is made, and return it with its endpoint.

        What an earlier try has left is removed first.
        """
        if context.own is not None:
            await self._remove_own(context.deploy.id, INSTANCE)
        config = context.config
        taken = await self._record.endpoints_taken() if config.port else frozenset()
        self._alone = await self._is_alone(context)
        instance = replace(
            context.own or _new_instance(context, self._services.clock()),
            container_id="",
            endpoint=None,
            fingerprint=config.fingerprint,
            protocol=config.protocol,
            started_at=self._services.clock(),
        )
        await self._record.put_instance(instance, new=context.own is None, config=config)
        spec = with_host_paths(
            instance_spec(context, instance, self._services.installation, alone=self._alone),
            self._services.host_path,
        )
        try:
            launched = await self._in_its_name(spec, lambda: self._runtime.launch(spec, taken))
        except EndpointTakenError as error:
            unless_published(str(error), config)
            raise
        return replace(instance, container_id=launched.id, endpoint=launched.endpoint)

    async def release(self, context: DeployContext) -> Collection[str]:
        """Run the release command in a container of its own, once; what it said. Raises ReleaseFailedError when it fails.

        One that was begun before, by this server or another, is waited for, or was: it is never ended for that, and never
        begun again.
        """
        container = await self._begun_release(context) or await self._begin_release(context)
        limit_s = release_timeout_s(context.config.options)
        try:
            async with self._services.places.rest():
                status = await self._until_ended(container, limit_s)
        except TimeoutError:
            await self._runtime.stop(container)
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
        lines = await last_words(self._runtime, container)
        if reason:  # its container stays until that is on record: whoever goes on after a death finds the same
            raise ReleaseFailedError(reason, lines)
        await self._record.change(released=True, log=self._record.masked("\n".join(lines)))
        await self._runtime.remove(container)
        return lines

    async def take_names(self, context: DeployContext) -> bool:
        """Let the new instance be found by the stage's names; whether that has cut its connections on those networks."""
        own = context.own
        if own is None or not waits_for_names(context, own):
            return False
        waiting = {
            name: aliases
            for name, aliases in context.aliases.items()
            if not (self._alone and name == context.network)
        }
        for network, aliases in waiting.items():
            await self._runtime.rejoin(own.handle, network, aliases)
        return bool(waiting)

    async def forget_release(self, deploy_id: str) -> None:
        """Remove the container of a release command whose end is on record."""
        await self._remove_own(deploy_id, RELEASE)

    async def discard(self, context: DeployContext, keep: Callable[[str], Awaitable[None]]) -> None:
        """Remove what the deploy has made, if anything, once `keep` has what it last said, which may be more than once.

        A release command that runs is told to end, and given its time. An engine that is away leaves it to the next sweep.
        """
        try:
            for status in await self._own(context.deploy.id, context.container):
                if role_of(status) == RELEASE and status.running:
                    await self._runtime.stop(status.id)
                await keep("\n".join(await last_words(self._runtime, status.id)))
                await self._runtime.remove(status.id)
        except EngineError as error:
            log.warning(
                "container left to the next sweep",
                action="undo",
                container=context.container,
                reason=str(error),
            )

    async def _begun_release(self, context: DeployContext) -> str | None:
        """The container in which the release command was begun, None if it never was. ReleaseFailedError if it is gone."""
        found = next(
            (one for one in await self._own(context.deploy.id) if role_of(one) == RELEASE), None
        )
        if found is not None and found.started_at is not None:
            return found.id
        if found is not None:  # died between making and starting it
            await self._record.change(
                release_id=""
            )  # first: a death in between must not make it seem begun, and gone
            await self._runtime.remove(found.id)
        elif context.deploy.release_id:
            raise ReleaseFailedError(
                "the container of the release command was removed by somebody else: it is not known how that ended, and it is "
                "not begun again; look at what it left, and deploy again",
                (),
            )
        return None

    async def _is_alone(self, context: DeployContext) -> bool:
        """Whether nobody but the stage's own instances runs on the project's network, which is made where it is missing."""
        members = await ensure_project_network(
            self._runtime, self._services.installation, context.project
        )
        return members <= {one.container_id for one in context.others}

    async def _begin_release(self, context: DeployContext) -> str:
        await ensure_project_network(self._runtime, self._services.installation, context.project)
        spec = with_host_paths(
            release_spec(context, self._services.installation), self._services.host_path
        )
        container = await self._in_its_name(spec, lambda: self._runtime.create(spec))
        await self._record.change(release_id=container)
        try:
            await self._runtime.start(spec.name)
        except EngineError as error:
            if error.retryable:
                raise
            raise ReleaseFailedError(
                f"the release command cannot be run: {error}; what is live is unchanged", ()
            ) from error
        return container

    async def _in_its_name(self, spec: WorkloadSpec, make: Callable[[], Awaitable[T]]) -> T:
        """Make the workload; what an earlier try left under its name is removed first, and nothing else."""
        try:
            return await make()
        except NameTakenError:
            if not await self._remove_own(spec.labels["tagboat.deploy"], spec.labels[ROLE]):
                raise DeployFailedError(
                    f"another container is named {spec.name}; Tagboat does not touch it: rename or remove it, and deploy again"
                ) from None
            return await make()

    async def _own(self, deploy_id: str, deleted: str = "") -> list[WorkloadStatus]:
        """The containers of the deploy that are there; see `made_here`."""
        labels = {"tagboat.installation": self._services.installation, "tagboat.deploy": deploy_id}
        found = await self._runtime.list_workloads(labels)
        if not found:
            return []
        return await self._services.store.read(
            lambda reader: [one for one in found if made_here(reader, one, deleted)]
        )

    async def those_of(self, deploy_id: str, role: str) -> list[WorkloadStatus]:
        """The containers of the deploy that have that role."""
        return [status for status in await self._own(deploy_id) if role_of(status) == role]

    async def _remove_own(self, deploy_id: str, role: str) -> bool:
        """Remove the deploy's containers of that role; whether there was any."""
        found = await self.those_of(deploy_id, role)
        for status in found:
            await self._runtime.remove(status.id)
        return bool(found)

    async def _until_ended(self, container: str, limit_s: float) -> WorkloadStatus:
        """Raises TimeoutError once the container has been running for `limit_s` seconds."""
        pause = _FIRST_PAUSE_S
        while True:
            status = await self._runtime.status(container)
            if status is None:
                raise ReleaseFailedError(
                    "the container of the release command was removed by somebody else", ()
                )
            if not status.running:
                return status
            if (
                status.started_at
                and (self._services.clock() - status.started_at).total_seconds() > limit_s
            ):
                raise TimeoutError
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)


class ReleaseFailedError(DeployFailedError):
    """The release command failed; `lines` is what it said."""

    def __init__(self, reason: str, lines: Collection[str]) -> None:
        super().__init__(reason)
        self.lines = lines


async def last_words(runtime: Runtime, container: str) -> Collection[str]:
    """The last lines that a container wrote, none where the engine cannot tell."""
    try:
        return await runtime.logs(container, LOG_LINES)
    except EngineError:
        return ()


def release_timeout_s(options: RunOptions) -> int:
    """Seconds that the release command may run."""
    return RELEASE_TIMEOUT_S if options.release_timeout_s is None else options.release_timeout_s


def _new_instance(context: DeployContext, now: datetime) -> Instance:
    deploy = context.deploy
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
        container=context.container,
        endpoint=None,
        fingerprint="",
        started_at=now,
    )
