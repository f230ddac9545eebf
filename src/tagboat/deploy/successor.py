"""The deploy that waits while the one before it is watched: looked up and pulled meanwhile."""

import asyncio

import structlog

from tagboat.core.deploy import Deploy, DeployStatus, Instance
from tagboat.core.errors import TagboatError
from tagboat.core.ports import Reader
from tagboat.deploy.context import DeployContext, read_context
from tagboat.deploy.images import ensure_image
from tagboat.deploy.resolving import wanted_digest
from tagboat.deploy.services import DeployServices

RETRY_S = 5.0

log = structlog.get_logger("tagboat.deploy")


class Successor:
    """Says whether a deploy waits that is sure to bring another image than the `watched` instance serves.

    Sure is one whose tag was looked up and whose image is on the engine. Nothing of that is on record: its own turn begins
    with a look-up, and finds the image there. Unless it `may_cut` the watch short, it never does.
    """

    def __init__(self, services: DeployServices, watched: Instance, *, may_cut: bool) -> None:
        self._services = services
        self._may_cut = may_cut
        self._watched = watched
        self._preparing: asyncio.Task[bool] | None = None
        self._of: tuple[str, int] | None = None
        self._again_at = 0.0
        self.took_over = False

    async def takes_over(self) -> bool:
        """Whether it is sure by now; prepares the deploy that waits beside this call, which never takes long."""
        waiting = await self._services.store.read(self._waiting) if self._may_cut else None
        if waiting is None:
            await self.close()
            return False
        if self._of != (waiting.id, waiting.merges):
            await self.close()
            self._of = (waiting.id, waiting.merges)
        now = asyncio.get_running_loop().time()
        if self._preparing is None and now >= self._again_at:
            self._again_at = now + RETRY_S
            self._preparing = asyncio.create_task(self._prepare(waiting.id))
        await asyncio.sleep(0)
        self.took_over = self._outcome()
        return self.took_over

    async def close(self) -> None:
        """Break off what is being prepared."""
        self._of, self._again_at = None, 0.0
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.gather(self._preparing, return_exceptions=True)
            self._preparing = None

    def _outcome(self) -> bool:
        if self._preparing is None or not self._preparing.done():
            return False
        try:
            return self._preparing.result()
        except TagboatError as error:
            log.info(
                "the deploy that waits cannot be prepared",
                action="watch",
                deploy=self._of,
                reason=str(error),
            )
        except (
            Exception
        ):  # of a fault in preparing the next, what is watched and healthy must not be taken back
            log.exception("a fault inside Tagboat", action="watch", deploy=self._of)
        self._preparing = (
            None  # again in a while: until then, what is watched goes on to be watched
        )
        return False

    def _waiting(self, reader: Reader) -> Deploy | None:
        """The deploy that is carried out next."""
        held = reader.stage(self._watched.stage_id).held
        queued = [
            one
            for one in reader.open_deploys(self._watched.stage_id)
            if one.status is DeployStatus.QUEUED
        ]
        return next((one for one in queued if not (held and one.by_news)), None)

    async def _prepare(self, deploy_id: str) -> bool:
        context = await self._services.store.read(lambda reader: read_context(reader, deploy_id))
        digest = await wanted_digest(self._services.tag_source, context)
        if digest == self._watched.digest or await self._is_taken_back(context, digest):
            return False
        await ensure_image(self._services, context.repository, digest, context.registry)
        return True

    async def _is_taken_back(self, context: DeployContext, digest: str) -> bool:
        taken_back = await self._services.store.read(
            lambda reader: reader.taken_back(context.stage.id)
        )
        return context.deploy.by_news and any(version.digest == digest for version in taken_back)
