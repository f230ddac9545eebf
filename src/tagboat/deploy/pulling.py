"""The step that makes the image available, and the settings that a deploy takes from it."""

import asyncio
from functools import partial

from tagboat.core.deploy import Step, StepName, StepStatus
from tagboat.core.errors import DeployFailedError
from tagboat.core.image import ImageInfo
from tagboat.core.values import replace
from tagboat.deploy.context import DeployContext
from tagboat.deploy.following import follow, followed, foreign, unusable_labels
from tagboat.deploy.images import note_pull, until_not_removed
from tagboat.deploy.record import DeployRecord
from tagboat.deploy.services import DeployServices

_PROGRESS_EVERY_S = 1.0


class Pulling:
    """Pulls the image of one deploy. `info` is its description, None before it is known."""

    def __init__(self, services: DeployServices, record: DeployRecord) -> None:
        self._services = services
        self._runtime = services.runtime
        self._record = record
        self.info: ImageInfo | None = None

    async def pull(self) -> Step:
        """Make the image available, and set the project to what it says."""
        context = await self._record.context()
        if context.deploy.digest is not None:
            # The digest is on record by now, so that no removal begins from here on.
            await until_not_removed(self._services, context.repository, context.deploy.digest)
        info, detail = await self._ensure_image(context)
        self.info = info
        if info is not None:
            # A rollback may bring an older image, and the project follows the newest.
            if not context.deploy.is_exact and follow(context.project, info) != context.project:
                await self._record.fill_project(partial(follow, info=info))
            own = await self._runtime.platform()
            notes = (unusable_labels(context.project, info), foreign(info.platform, own))
            detail = "; ".join(filter(None, (detail, *notes)))
        return Step(StepName.PULL, StepStatus.DONE, detail=detail)

    async def followed(self, context: DeployContext) -> DeployContext:
        """Return the context with port, healthcheck and protocol of its image.

        A person's settings, and a configuration that is on record, come first.
        """
        project = context.project
        if context.kept or (project.port_set and project.healthcheck_set and project.protocol_set):
            return context
        info = self.info or await self._runtime.inspect_image(context.image)
        return (
            context
            if info is None
            else replace(context, config=followed(context.config, context.project, info))
        )

    async def _ensure_image(self, context: DeployContext) -> tuple[ImageInfo | None, str]:
        """Make it available, noting progress each second; also return words for the outcome."""
        digest = context.deploy.digest
        if digest is None:
            raise DeployFailedError("the deploy has no digest to pull")
        latest, pulled = "", False
        runtime = await self._runtime.on(context.config.engine)

        def take(words: str) -> None:
            nonlocal latest
            latest = words

        async def before_pull() -> None:
            nonlocal pulled
            pulled = True
            await note_pull(self._services, context.repository, digest)

        pulling = asyncio.ensure_future(
            runtime.ensure_image(
                context.repository,
                digest,
                context.registry,
                before_pull=before_pull,
                progress=take,
            )
        )
        try:
            noted = ""
            while not (await asyncio.wait([pulling], timeout=_PROGRESS_EVERY_S))[0]:
                if latest != noted:
                    noted = latest
                    await self._record.note(StepName.PULL, noted)
            info = await pulling
            if runtime.is_cluster:
                return info, "each node pulls it as a task starts there, unless it has it"
            return info, "pulled" if pulled else "the engine had it already"
        finally:
            # It is a task of its own, which would go on after the deploy was cancelled.
            pulling.cancel()
