"""A registry's tags for tests, without HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from tagboat.core.catalog import Registry
from tagboat.core.errors import RegistryError
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef


@dataclass
class FakeTagSource:
    """A registry of the given tags.

    `error` is what it fails with, for one `broken` repository alone or for all.
    """

    tags: list[str] = field(default_factory=list)
    error: RegistryError | None = None
    asked: int = 0
    resolved: int = 0
    digest: Digest = Digest("sha256:" + "a" * 64)  # noqa: RUF009 - a text, which nothing changes
    at_a_time: int = 0
    most_at_a_time: int = 0
    on_asked: Callable[[], Awaitable[None]] | None = None
    broken: str | None = None
    images: list[str] = field(default_factory=list)
    refusals: dict[str, RegistryError] = field(default_factory=dict)
    """What it answers to questions about single tags, listed or not."""
    digests: dict[str, str] = field(default_factory=dict)
    built: dict[str, datetime] = field(default_factory=dict)
    on_inspected: Callable[[], Awaitable[None]] | None = None

    async def list_tags(
        self,
        image: ImageName,
        registry: Registry | None,  # noqa: ARG002 - the port's
    ) -> list[str]:
        self.asked += 1
        self.images.append(image.path)
        self.at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
        await (self.on_asked() if self.on_asked else asyncio.sleep(0))
        self.at_a_time -= 1
        if self.error is not None and self.broken in {None, image.path}:
            raise self.error
        return self.tags

    async def resolve(
        self,
        image: ImageName,  # noqa: ARG002
        tag: str,
        registry: Registry | None,  # noqa: ARG002 - the port's
    ) -> Digest:
        self.resolved += 1
        if tag in self.refusals:
            raise self.refusals[tag]
        return Digest("sha256:" + self.digests[tag] * 64) if tag in self.digests else self.digest

    async def inspect(
        self,
        image: ImageRef,
        registry: Registry | None,  # noqa: ARG002 - the port's
    ) -> ImageInfo:
        if self.on_inspected:
            await self.on_inspected()
        if image.tag in self.refusals:
            raise self.refusals[image.tag]
        return ImageInfo(created=self.built.get(image.tag))
