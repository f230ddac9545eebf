"""The images that Tagboat pulled: noted before, kept as long as a stage wants them, then removed.

An image is marked before it is removed, in the transaction that asks whether anything wants it. A
deploy has its digest on record before it looks for the image. So either that transaction sees the
deploy, or the deploy sees the mark.
"""

import asyncio
from datetime import timedelta
from functools import partial

import structlog

from tagboat.core.catalog import Registry
from tagboat.core.config import read_config
from tagboat.core.errors import EngineError, EngineUnavailableError
from tagboat.core.image import Digest, ImageName
from tagboat.core.keeping import PulledImage
from tagboat.core.ports import Topic, Tx
from tagboat.core.run import EngineKind
from tagboat.deploy.services import DeployServices
from tagboat.loops import PeriodicTask

TIDY_IMAGES_EVERY_S = 3600.0
TIDY_AGAIN_S = 60.0
TIDY_MIN_INTERVAL_S = 5.0
TIDY_REST_SHARE = 20
"""A round is followed by a rest that is so many times longer, whatever the number of images."""
PAGE = 50
MOST = 200
"""Images that one round tries to remove at most; the next one goes on after them."""
_REMOVING = timedelta(seconds=120)
_WAIT_S = 0.2
_BETWEEN_REMOVALS_S = 0.05

log = structlog.get_logger("tagboat.images")


async def note_pull(services: DeployServices, image: ImageName, digest: Digest) -> None:
    """Record that an image is about to be pulled: from now on, Tagboat may remove it."""
    await services.store.write(lambda tx: tx.note_pull(image, digest, services.clock()))


async def until_not_removed(services: DeployServices, image: ImageName, digest: Digest) -> None:
    """Return once nobody is removing that image; the digest is on record in a deploy by then."""
    while True:
        found = await services.store.read(lambda reader: reader.pulled_image(image, digest))
        # An expired mark was left by a server that died: nobody removes the image any more.
        if (
            found is None
            or found.removing_until is None
            or found.removing_until <= services.clock()
        ):
            return
        await asyncio.sleep(_WAIT_S)


async def ensure_image(
    services: DeployServices,
    image: ImageName,
    digest: Digest,
    registry: Registry | None,
    engine: EngineKind | None,
) -> None:
    """Make an image available to the runtime of that engine. Raises EngineError."""
    runtime = await services.runtime.on(engine)
    await runtime.ensure_image(
        image,
        digest,
        registry,
        before_pull=partial(note_pull, services, image, digest),
        progress=lambda _: None,
    )


async def lift_marks(services: DeployServices) -> None:
    """Remove the marks of a server that has died, so that no deploy waits for them.

    Where other servers share the database, a mark may be theirs: it expires by itself.
    """

    def lift_all(tx: Tx) -> None:
        for pulled in tx.pulled_images():
            if pulled.removing_until is not None:
                tx.end_removal(pulled.image, pulled.digest, gone=False)

    if services.store.exclusive:
        await services.store.write(lift_all)


async def keep_tidying(services: DeployServices) -> None:
    """Remove unwanted images at once, after deploys and deletions, and hourly; until cancelled."""
    tidying = Tidying(services)
    lifted = tried_again = False

    async def tidy() -> float:
        nonlocal lifted, tried_again
        # Here and not before the task: the database may be away at the start.
        if not lifted:
            await lift_marks(services)
            lifted = True
        await tidying.round()
        # The engine may still be removing the container of an image that stays: once more, soon.
        # One that is somebody else's too stays for good, and must not be tried each minute.
        tried_again = tidying.some_stay and not tried_again
        return TIDY_AGAIN_S if tried_again else TIDY_IMAGES_EVERY_S

    task = PeriodicTask(
        tidy,
        retry_s=TIDY_IMAGES_EVERY_S,
        warn=partial(log.warning, "images stay for now", action="tidy"),
        rest_s=lambda took_s: max(TIDY_MIN_INTERVAL_S, TIDY_REST_SHARE * took_s),
    )
    for topic in (Topic.DEPLOYS, Topic.ROUTES, Topic.SETTINGS):
        services.store.listen(topic, task.wake)
    await task.run()


class Tidying:
    """Removes the images that nothing wants, round by round."""

    def __init__(self, services: DeployServices) -> None:
        self._services = services
        self._after = ("", "")
        self.some_stay = False
        """True where the last round has left images that nothing wants."""

    async def round(self) -> int:
        """Remove unwanted images, at most `MOST`; return how many went.

        Raises EngineUnavailableError and StoreUnavailableError.
        """
        gone, self.some_stay = 0, False
        for _ in range(MOST // PAGE):
            page = await self._services.store.read(
                lambda reader: reader.unwanted_images(
                    read_config(reader).images_keep, self._after, PAGE
                )
            )
            for pulled in page:
                is_gone = await self.remove(pulled)
                gone += is_gone
                self.some_stay |= not is_gone
                # Images that cannot be removed must not keep a later round from those after them.
                self._after = (str(pulled.image), pulled.digest)
                await asyncio.sleep(_BETWEEN_REMOVALS_S)
            if len(page) < PAGE:
                self._after = ("", "")
                break
        return gone

    async def remove(self, pulled: PulledImage) -> bool:
        """Remove one; return False where something wants it by now, or somebody else needs it."""
        services, now = self._services, self._services.clock()
        image, digest = pulled.image, pulled.digest
        if not await services.store.write(
            lambda tx: tx.begin_removal(
                image, digest, read_config(tx).images_keep, now, now + _REMOVING
            )
        ):
            return False
        gone = False
        try:
            gone = await services.runtime.remove_image(str(pulled))
        except EngineUnavailableError:
            # All other removals would fail as well: the round ends here.
            raise
        except EngineError as error:
            log.warning("image stays for now", action="tidy", image=str(pulled), reason=str(error))
        finally:
            # After a failure too: deploys of this image wait as long as the mark is there.
            await services.store.write(lambda tx: tx.end_removal(image, digest, gone=gone))
        if gone:
            log.info("image removed", action="tidy", image=str(pulled))
        return gone
