"""An image that is to become a project: its tags and configuration, as its registry has them."""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from tagboat.core.catalog import Project, Registry
from tagboat.core.decision import normal_tag
from tagboat.core.errors import TagboatError
from tagboat.core.image import ImageInfo, ImageName, ImageRef
from tagboat.core.inspection import healthcheck_of, port_of
from tagboat.core.natural import natural_key
from tagboat.core.ports import Reader
from tagboat.core.tags import TagPattern
from tagboat.operations.queries.patterns import newest_of
from tagboat.operations.services import OperationServices

ANSWERS_WITHIN_S = 4.0
"""Seconds in which a registry is to answer while a person waits."""
_EVERY_TAG = TagPattern("*")


class TagMatches(Struct, frozen=True, kw_only=True):
    """The effect of a pattern on the tags that a registry has.

    `matching` is how many of the `tags` match, and `newest` are the first of them, newest first.
    On an `error`, in words, nothing was found.
    """

    matching: int = 0
    tags: int = 0
    newest: tuple[str, ...] = ()
    error: str = ""


class ImageLook(Struct, frozen=True, kw_only=True):
    """The newest tags of an image, and its configuration.

    `info` is that of the newest tag, None with an `error` in words.
    """

    matches: TagMatches
    info: ImageInfo | None = None
    error: str = ""

    @property
    def port(self) -> int:
        """The port that the image asks for, 0 for none."""
        return port_of(self.info) if self.info else 0

    @property
    def healthcheck(self) -> str:
        """The health check that the image asks for, empty for none."""
        return healthcheck_of(self.info) if self.info else ""


class ImageLookQueries(Struct, frozen=True):
    """Asks a registry about an image, for a limited time. Changes nothing."""

    services: OperationServices

    async def project_of(self, image: ImageName) -> Project | None:
        """Return the project that deploys an image, None if there is none."""
        return await self.services.store.read(lambda reader: reader.project_by_image(image))

    async def matches(
        self, image: ImageName, pattern: TagPattern, registry_id: str | None = None
    ) -> TagMatches:
        """Return which tags of an image a pattern matches."""
        registry = await self._registry(image, registry_id)
        return await self._matches(image, pattern, registry)

    async def look(
        self, image: ImageName, pattern: TagPattern = _EVERY_TAG, registry_id: str | None = None
    ) -> ImageLook:
        """Return the tags that match, and the configuration of the newest of them."""
        registry = await self._registry(image, registry_id)
        matches = await self._matches(image, pattern, registry)
        # Without a tag there is no configuration to read.
        if not matches.newest:
            return ImageLook(matches=matches, error=matches.error or "the image has no such tag")
        ref = ImageRef(image, matches.newest[0])
        try:
            # Once more the whole time: the list may have used up most of the first.
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                return ImageLook(matches=matches, info=await self.services.inspect(ref, registry))
        except (TimeoutError, TagboatError) as error:
            return ImageLook(matches=matches, error=_words_of(error, image))

    async def _matches(
        self, image: ImageName, pattern: TagPattern, registry: Registry | None
    ) -> TagMatches:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                listed = await self.services.list_tags(image, registry)
        except (TimeoutError, TagboatError) as error:
            return TagMatches(error=_words_of(error, image))
        kind = registry.kind if registry else None
        # As they would be deployed: a Gitea lists one tag in any case.
        tags = list(dict.fromkeys(normal_tag(tag, kind) for tag in listed))
        matching = [tag for tag in tags if pattern.matches(tag)]
        return TagMatches(
            matching=len(matching), tags=len(tags), newest=self._newest(pattern, matching)
        )

    def _newest(self, pattern: TagPattern, tags: Sequence[str]) -> tuple[str, ...]:
        now = self.services.clock()
        # Nobody knows when they were pushed: they are newest by name.
        in_order = sorted(tags, key=natural_key, reverse=True)
        return newest_of(pattern, [(tag, now) for tag in in_order], now)

    async def _registry(self, image: ImageName, registry_id: str | None) -> Registry | None:
        def work(reader: Reader) -> Registry | None:
            if registry_id is not None:
                return reader.registry(registry_id)
            return reader.registry_for_host(image.host)

        return await self.services.store.read(work)


def _words_of(error: Exception, image: ImageName) -> str:
    if isinstance(error, TimeoutError):
        return f"{image.host} did not answer within {ANSWERS_WITHIN_S:g} s"
    return str(error)
