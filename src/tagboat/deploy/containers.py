"""The workloads of a deploy: making them, waiting for the release command, and removing them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import (
    DeployFailedError,
    EndpointTakenError,
    EngineError,
    NameTakenError,
)
from tagboat.core.generics import T
from tagboat.core.ids import new_id
from tagboat.core.run import RELEASE_TIMEOUT_S, RunOptions
from tagboat.core.runtime import Runtime
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec, WorkloadStatus
from tagboat.deploy.context import DeployContext
from tagboat.deploy.fence import ClaimLostError
from tagboat.deploy.networks import ensure_project_network
from tagboat.deploy.options import unless_published, with_host_paths
from tagboat.deploy.ownership import INSTANCE, RELEASE, ROLE, claim_of, made_here, role_of
from tagboat.deploy.record import DeployRecord
from tagboat.deploy.services import DeployServices
from tagboat.deploy.specs import instance_spec, release_spec, waits_for_names

LOG_LINES = 100
_FIRST_LOOK_S = 0.01
_LONGEST_LOOK_S = 1.0

log = structlog.get_logger("tagboat.deploy")


class Containers:
    """Makes and removes the workloads of one deploy."""

    def __init__(self, services: DeployServices, record: DeployRecord) -> None:
        self._services = services
        self._runtime = services.runtime
        self._record = record
        self._alone = False

    async def start(self, context: DeployContext) -> Instance:
        """Start the new instance, on record before it is made, and return it with its endpoints.

        What an earlier try has left is removed first. Raises DeployFailedError and EngineError.
        """
        deploy, config, now = context.deploy, context.config, self._services.clock()
        if deploy.digest is None:
            raise DeployFailedError("the deploy has no digest to start")
        # A death may have come after its record, so that its container may exist.
        if context.own is not None:
            await self._remove_own(deploy.id, INSTANCE)
        taken = await self._record.endpoints_taken() if config.port else frozenset()
        runtime = await self._runtime.on(config.engine)
        members = await ensure_project_network(
            runtime, self._services.installation, context.project
        )
        # Where only the stage's own instances are on the network, nobody can be misled by a name.
        self._alone = members <= {one.container_id for one in context.others}
        instance = Instance(
            id=context.own.id if context.own else new_id(),
            deploy_id=deploy.id,
            project_id=deploy.project_id,
            stage_id=deploy.stage_id,
            tag=deploy.tag,
            digest=deploy.digest,
            image=deploy.image,
            state=InstanceState.STARTING,
            container=context.container,
            endpoints=(),
            fingerprint=config.fingerprint,
            protocol=config.protocol,
            started_at=now,
        )
        await self._record.put_instance(instance, new=context.own is None, config=config)
        spec = with_host_paths(
            instance_spec(
                context,
                instance,
                self._services.installation,
                alone=self._alone,
                keeps_names=runtime.is_cluster,
            ),
            self._services.host_path,
        )
        try:
            launched = await self._in_its_name(spec, lambda: runtime.launch(spec, taken))
        except EndpointTakenError as error:
            # If publish asks for the port, another endpoint would not help.
            unless_published(str(error), config)
            raise
        return replace(instance, container_id=launched.id, endpoints=launched.endpoints)

    async def release(self, context: DeployContext) -> Collection[str]:
        """Run the release command once, in its own container, and return what it wrote.

        One that was begun before, by this server or another, is waited for: it is never ended for
        that, and never begun again. Raises ReleaseFailedError when it fails.
        """
        container = await self._begun_release(context)
        if container is None:
            container = await self._begin_release(context)
        limit_s = release_timeout_s(context.config.options)
        lines: Collection[str] = ()
        try:
            # It only waits from here on: another deploy can have the place.
            async with self._services.places.rest():
                status = await self._until_ended(container, limit_s)
        except TimeoutError:
            # A cluster keeps nothing of what was told to stop.
            lines = await last_words(self._runtime, container)
            await self._runtime.stop(container)
            reason = (
                f"the release command was still running after {limit_s:g} s and was ended in the"
                " middle of its work: look at what it left, and give it more time with"
                " release_timeout_s if it needs it"
            )
        else:
            how = f"exited with code {status.exit_code}" if status.began else "cannot be run"
            said = f": {status.said}" if status.said else ""
            # With code 0 it has done its work, whatever else there is to say.
            failed = bool(status.exit_code) or not status.began
            reason = f"the release command {how}{said}; what is live is unchanged" if failed else ""
        lines = await last_words(self._runtime, container) or lines
        if reason:
            # Its container stays until the failure is on record: after a death, the next try must
            # find the same end and not begin it again.
            raise ReleaseFailedError(reason, lines)
        # The record first: else a death in between would leave a release that was begun, and whose
        # container counts as removed by somebody.
        await self._record.change(released=True, log=self._record.masked("\n".join(lines)))
        await self._runtime.remove(container)
        return lines

    async def take_names(self, context: DeployContext) -> bool:
        """Let the new instance be found by the stage's names; True where connections were cut."""
        own, runtime = context.own, await self._runtime.on(context.config.engine)
        if runtime.is_cluster or own is None or not waits_for_names(context, own):
            return False
        waiting = {
            name: aliases
            for name, aliases in context.aliases.items()
            # Alone on the network of the project, it has its names there from the start.
            if not (self._alone and name == context.network)
        }
        for network, aliases in waiting.items():
            await runtime.rejoin(own.handle, network, aliases)
        return bool(waiting)

    async def forget_release(self, deploy_id: str) -> None:
        """Remove the container of a release command whose end is on record."""
        await self._remove_own(deploy_id, RELEASE)

    async def discard(
        self, context: DeployContext, keep: Callable[[str], Awaitable[None]] | None
    ) -> None:
        """Remove all that the deploy has made, after `keep` has got its last output.

        `keep` may be called more than once; None drops the output. A release command that runs is
        stopped, and given its time. Containers on an engine that is away are left to reconcile.
        """
        try:
            for status in await self._own(context.deploy.id, context.container):
                if role_of(status) == RELEASE and status.running:
                    await self._runtime.stop(status.id)
                lines = await last_words(self._runtime, status.id)
                if keep is not None:
                    await keep("\n".join(lines))
                await self._runtime.remove(status.id)
        except EngineError as error:
            log.warning(
                "container left to the next reconcile",
                action="undo",
                container=context.container,
                reason=str(error),
            )

    async def made_for(self, deploy_id: str, role: str) -> list[WorkloadStatus]:
        """Return the workloads of the deploy that have this role."""
        return [status for status in await self._own(deploy_id) if role_of(status) == role]

    async def _begun_release(self, context: DeployContext) -> str | None:
        """Return the container in which the release command was begun, None if it never was."""
        for found in await self.made_for(context.deploy.id, RELEASE):
            if found.started_at is not None:
                return found.id
            # Made, but a death came before its start. The record comes first: a death right here
            # must not make the command seem begun, and its container lost.
            await self._record.change(release_id="")
            await self._runtime.remove(found.id)
            return None
        if context.deploy.release_id:
            raise ReleaseFailedError(
                "the container of the release command was removed by somebody else: it is not known"
                " how that ended, and it is not begun again; look at what it left, and deploy"
                " again",
                (),
            )
        return None

    async def _begin_release(self, context: DeployContext) -> str:
        installation = self._services.installation
        runtime = await self._runtime.on(context.config.engine)
        await ensure_project_network(runtime, installation, context.project)
        spec = with_host_paths(release_spec(context, installation), self._services.host_path)
        container = await self._in_its_name(spec, lambda: runtime.create(spec))
        # On record before it is started: from now on it is found again, and never run twice.
        await self._record.change(release_id=container)
        try:
            await runtime.start(spec.name)
        except EngineError as error:
            # The next try finds how far this one came: see `_begun_release`.
            if error.retryable:
                raise
            raise ReleaseFailedError(
                f"the release command cannot be run: {error}; what is live is unchanged", ()
            ) from error
        return container

    async def _in_its_name(self, spec: WorkloadSpec, make: Callable[[], Awaitable[T]]) -> T:
        """Make the workload; an earlier try's of the same name is removed, and nothing else."""
        try:
            return await make()
        except NameTakenError:
            if not await self._remove_own(spec.labels["tagboat.deploy"], spec.labels[ROLE]):
                raise DeployFailedError(
                    f"another container is named {spec.name}; Tagboat does not touch it: rename or"
                    " remove it, and deploy again"
                ) from None
            return await make()

    async def _own(self, deploy_id: str, deleted: str = "") -> list[WorkloadStatus]:
        """Return the workloads of the deploy that exist; see `made_here`.

        Raises ClaimLostError where one was made by a later claim than ours.
        """
        labels = {"tagboat.installation": self._services.installation, "tagboat.deploy": deploy_id}
        found = await self._runtime.list_workloads(labels)
        # Usual before a first try: the database need not be asked.
        if not found:
            return []
        own = await self._services.store.read(
            lambda reader: [one for one in found if made_here(reader, one, deleted)]
        )
        # A server that slept must not take what serves by now for what it has left behind.
        claim = self._record.fence.claim
        if claim is not None and any(claim_of(one) > claim for one in own):
            raise ClaimLostError
        return own

    async def _remove_own(self, deploy_id: str, role: str) -> bool:
        """Remove the deploy's workloads of that role; return whether there was any."""
        found = await self.made_for(deploy_id, role)
        for status in found:
            await self._runtime.remove(status.id)
        return bool(found)

    async def _until_ended(self, container: str, limit_s: float) -> WorkloadStatus:
        """Return its last status; raise TimeoutError once it has been running for `limit_s`."""
        pause = _FIRST_LOOK_S
        while True:
            status = await self._runtime.status(container)
            if status is None:
                raise ReleaseFailedError(
                    "the container of the release command was removed by somebody else", ()
                )
            if status.ended:
                return status
            # Not since this wait began: a restart of the server gives it no more time.
            began = status.started_at
            if began and (self._services.clock() - began).total_seconds() > limit_s:
                raise TimeoutError
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK_S)


class ReleaseFailedError(DeployFailedError):
    """The release command failed; `lines` is its last output."""

    def __init__(self, reason: str, lines: Collection[str]) -> None:
        super().__init__(reason)
        self.lines = lines


async def last_words(runtime: Runtime, container: str) -> Collection[str]:
    """Return the last lines of a container's output, none where the runtime cannot read them."""
    try:
        return [line.text for line in await runtime.logs(container, LOG_LINES)]
    except EngineError:
        return ()


def release_timeout_s(options: RunOptions) -> int:
    """Return how many seconds the release command may run."""
    return RELEASE_TIMEOUT_S if options.release_timeout_s is None else options.release_timeout_s
