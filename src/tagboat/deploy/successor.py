"""The deploy that waits during a watch: its image is looked up and pulled by then."""

import asyncio

import structlog

from tagboat.core.deploy import Deploy, DeployStatus, Instance
from tagboat.core.errors import TagboatError
from tagboat.core.ports import Reader
from tagboat.deploy.context import read_context
from tagboat.deploy.fence import ClaimLostError
from tagboat.deploy.images import ensure_image
from tagboat.deploy.resolving import wanted_digest
from tagboat.deploy.services import DeployServices

PREPARE_EVERY_S = 5.0

log = structlog.get_logger("tagboat.deploy")


class Successor:
    """Finds a deploy that waits and is sure to bring another image than the `watched` instance.

    It is sure once its tag was looked up and its image is there. Nothing of this is on record: its
    own turn begins with a look-up, and finds the image. Without `may_cut` the watch is never cut
    short. `took_over` is the last answer of `takes_over`.
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
        """Return whether it is sure by now; the preparation goes on in the background."""

        def find_waiting(reader: Reader) -> Deploy | None:
            closed = reader.stage(self._watched.stage_id).closed_to_news
            queued = (
                one
                for one in reader.open_deploys(self._watched.stage_id)
                if one.status is DeployStatus.QUEUED and not (closed and one.by_news)
            )
            # In the order in which workers begin them.
            return min(queued, key=lambda one: (one.by_news, one.id), default=None)

        waiting = await self._services.store.read(find_waiting) if self._may_cut else None
        if waiting is None:
            await self.close()
            return False
        # For another deploy, and after a merged push, the tag has to be looked up again.
        if self._of != (waiting.id, waiting.merges):
            await self.close()
            self._of = (waiting.id, waiting.merges)
        now = asyncio.get_running_loop().time()
        if self._preparing is None and now >= self._again_at:
            self._again_at = now + PREPARE_EVERY_S
            self._preparing = asyncio.create_task(self._prepare(waiting.id))
        await asyncio.sleep(0)
        self.took_over = False
        if self._preparing is not None and self._preparing.done():
            try:
                self.took_over = self._preparing.result()
            except (TagboatError, ClaimLostError) as error:
                words = "the deploy that waits cannot be prepared"
                of_it = {"deploy": waiting.id, "tag": waiting.tag}
                log.info(words, action="watch", reason=str(error), **of_it)
                self._preparing = None  # tried again after a while; until then, the watch goes on
            except Exception:
                # A fault in preparing the next deploy must not take back a healthy one.
                of_it = {"deploy": waiting.id, "tag": waiting.tag}
                log.exception("a fault inside Tagboat", action="watch", **of_it)
                self._preparing = None
        return self.took_over

    async def close(self) -> None:
        """Break off the preparation."""
        self._of, self._again_at = None, 0.0
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.gather(self._preparing, return_exceptions=True)
            self._preparing = None

    async def _prepare(self, deploy_id: str) -> bool:
        context = await self._services.store.read(lambda reader: read_context(reader, deploy_id))
        digest = await wanted_digest(self._services.tag_source, context)
        stage_id, by_news = context.stage.id, context.deploy.by_news
        taken_back = await self._services.store.read(lambda reader: reader.taken_back(stage_id))
        # One that brings nothing new, or is refused in its turn, is no reason to end a watch.
        if digest == self._watched.digest or (
            by_news and any(version.digest == digest for version in taken_back)
        ):
            return False
        engine = context.config.engine
        await ensure_image(self._services, context.repository, digest, context.registry, engine)
        return True
