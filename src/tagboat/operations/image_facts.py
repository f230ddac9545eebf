"""Descriptions of images by digest, quickly or not at all: pages do not wait for a registry."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping

from msgspec import Struct

from tagboat.core.catalog import Registry
from tagboat.core.errors import TagboatError
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.operations.services import OperationServices

WITHIN_S = 0.8
"""Seconds in which engine and registry are to describe an image."""
_FACTS_REMEMBERED = 128
_NO_TAG = "latest"
"""The tag of a reference with a digest, which decides."""


class ImageAt(Struct, frozen=True):
    """An image by digest, and the registry that may have it; None for one not configured."""

    image: ImageName
    digest: Digest
    registry: Registry | None


class ImageFacts(Struct, frozen=True):
    """The description of an image; None with the reason why it is not known."""

    info: ImageInfo | None
    reason: str = ""


class KnownImages:
    """Describes images: from memory, else from the engine, else from their registry.

    What a digest describes never changes, so that it may be remembered.
    """

    def __init__(self, services: OperationServices) -> None:
        self._services = services
        self._known: OrderedDict[tuple[ImageName, Digest], ImageInfo] = OrderedDict()

    async def describe(
        self, images: Collection[ImageAt], within_s: float = WITHIN_S
    ) -> Mapping[Digest, ImageFacts]:
        """Return the description of each of `images` by digest, within `within_s` seconds."""
        # Both at once: the limit is for the page, and not for each image.
        wanted = {one.digest: one for one in images}
        tasks = {
            digest: asyncio.ensure_future(self._describe(one)) for digest, one in wanted.items()
        }
        if tasks:
            await asyncio.wait(tasks.values(), timeout=within_s)
        found = {}
        for digest, task in tasks.items():
            if task.done():
                found[digest] = task.result()
            else:
                task.cancel()
                host = wanted[digest].image.host
                why = f"neither the engine nor {host} described the image within {within_s:g} s"
                found[digest] = ImageFacts(None, why)
        return found

    async def _describe(self, one: ImageAt) -> ImageFacts:
        key = (one.image, one.digest)
        info = self._known.get(key)
        if info is None:
            try:
                info = await self._inspect(one)
            except TagboatError as error:
                return ImageFacts(None, f"the image could not be described: {error}")
            # Failures are not remembered: the registry may answer the next time.
            self._known[key] = info
            if len(self._known) > _FACTS_REMEMBERED:
                self._known.popitem(last=False)
        return ImageFacts(info)

    async def _inspect(self, one: ImageAt) -> ImageInfo:
        try:
            info = await self._services.engine.inspect_image(f"{one.image}@{one.digest}")
        except TagboatError:
            info = None  # the registry can answer as well
        if info is not None:
            return info
        return await self._services.inspect(ImageRef(one.image, _NO_TAG, one.digest), one.registry)
