"""The images that Tagboat had the engine pull: noted before, kept as long as a stage wants them, removed then.

An image is marked, in one transaction with the question whether anybody wants it, before the engine is told to remove it. A
deploy has its digest on record before it looks for the image: so either it is seen by that question, or it sees the mark.
"""

import asyncio
import contextlib
from datetime import timedelta
from functools import partial

import structlog

from tagboat.core.catalog import Registry
from tagboat.core.config import read_config
from tagboat.core.errors import EngineError, EngineUnavailableError, TagboatError
from tagboat.core.image import Digest, ImageName
from tagboat.core.keeping import PulledImage
from tagboat.core.ports import Topic, Tx
from tagboat.deploy.services import DeployServices

EVERY_S = 3600.0
BREATH_S = 5.0
SHARE = 20
"""A round is followed by a rest of so many times as long: looking through many images must not be all that is done."""
PAGE = 50
MOST = 200
"""Images that one round tries to remove at most; the next one goes on behind them."""
_REMOVING = timedelta(seconds=120)
_WAIT_S = 0.2
_PAUSE_S = 0.05

log = structlog.get_logger("tagboat.images")


async def note_pull(services: DeployServices, image: ImageName, digest: Digest) -> None:
    """Put on record that an image that the engine has not is about to be pulled: from now on it is Tagboat's to remove."""
    await services.store.write(lambda tx: tx.note_pull(image, digest, services.clock()))


async def until_not_removed(services: DeployServices, image: ImageName, digest: Digest) -> None:
    """Return once nobody is about to remove that image; call it with a deploy on record that names the digest."""
    while True:
        found = await services.store.read(lambda reader: reader.pulled_image(image, digest))
        if (
            found is None
            or found.removing_until is None
            or found.removing_until <= services.clock()
        ):
            return
        await asyncio.sleep(_WAIT_S)


async def ensure_image(
    services: DeployServices, image: ImageName, digest: Digest, registry: Registry | None
) -> None:
    """Make an image available to the runtime. Raises EngineError."""
    await services.runtime.ensure_image(
        image,
        digest,
        registry,
        before_pull=partial(note_pull, services, image, digest),
        progress=lambda _: None,
    )


async def lift_marks(services: DeployServices) -> None:
    """Take off the marks of a server that has died: nobody is at it any more, and who wants such an image need not wait.

    Where other servers share the records, a mark may be theirs: it runs out by itself.
    """
    if services.store.exclusive:
        await services.store.write(_lift_marks)


def _lift_marks(tx: Tx) -> None:
    for pulled in tx.pulled_images():
        if pulled.removing_until is not None:
            tx.end_removal(pulled.image, pulled.digest, gone=False)


async def keep_tidying(services: DeployServices) -> None:
    """Remove what nobody wants any more: at once, after deploys and deletions, and each hour; until cancelled."""
    news = asyncio.Event()
    for topic in (Topic.DEPLOYS, Topic.ROUTES, Topic.SETTINGS):
        services.store.listen(topic, news.set)
    tidying, clock = Tidying(services), asyncio.get_running_loop().time
    lifted = False
    while True:
        news.clear()
        began = clock()
        try:
            if not lifted:
                await lift_marks(services)
                lifted = True
            await tidying.round()
        except TagboatError as error:
            log.warning("images stay for now", action="tidy", reason=str(error))
        await asyncio.sleep(max(BREATH_S, SHARE * (clock() - began)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), EVERY_S)


class Tidying:
    """Goes through the images that nobody wants, round by round."""

    def __init__(self, services: DeployServices) -> None:
        self._services = services
        self._after = ("", "")

    async def round(self) -> int:
        """Remove what is unwanted, at most `MOST`; how many went. Raises EngineUnavailableError, StoreUnavailableError."""
        gone = 0
        for _ in range(MOST // PAGE):
            page = await self._services.store.read(
                lambda reader: reader.unwanted_images(
                    read_config(reader).images_keep, self._after, PAGE
                )
            )
            for pulled in page:
                gone += await self._remove(pulled)
                self._after = (str(pulled.image), pulled.digest)
                await asyncio.sleep(_PAUSE_S)
            if len(page) < PAGE:
                self._after = ("", "")
                break
        return gone

    async def _remove(self, pulled: PulledImage) -> bool:
        """Remove one, unless it is wanted again by now or somebody else needs it; whether it went."""
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
            raise
        except EngineError as error:
            log.warning("image stays for now", action="tidy", image=str(pulled), reason=str(error))
        finally:
            await services.store.write(lambda tx: tx.end_removal(image, digest, gone=gone))
        if gone:
            log.info("image removed", action="tidy", image=str(pulled))
        return gone
