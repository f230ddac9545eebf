"""Inspection of an image: on the engine first, otherwise at the registry."""

from typing import Protocol

from tagboat.core.catalog import Registry
from tagboat.core.errors import EngineError
from tagboat.core.image import Digest, ImageInfo, ImageRef
from tagboat.core.ports import Store, TagSource
from tagboat.core.runtime import Runtime


class TagIdentifier(Protocol):
    """A registry that is asked what tags are. It may leave the registry's limit to deploys.

    `identify` returns the digest of an image, and raises NotAnImageError if it is none, else
    RegistryError.
    """

    async def identify(self, image: ImageRef, registry: Registry | None) -> Digest:
        """Return the digest of `image`."""


class EngineThenRegistry:
    """Implements `ImageInspector`. Pulls nothing: reads only the configuration at the registry."""

    def __init__(
        self, engine: Runtime, tag_source: TagSource, store: Store, checks: TagIdentifier
    ) -> None:
        self._checks = checks
        self._engine = engine
        self._tag_source = tag_source
        self._store = store

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo:
        """Inspect; raise NotAnImageError if it is none, another RegistryError if neither has it."""
        # The engine may have the image already, and then no registry is asked.
        digest = image_ref.digest
        suffix = f"@{digest}" if digest else f":{image_ref.tag}"
        try:
            info = await self._engine.inspect_image(f"{image_ref.name}{suffix}")
        except EngineError:
            # The registry can answer as well, so that a push does not depend on the engine here.
            info = None
        if info is not None:
            return info
        registry = await self._store.read(
            lambda reader: reader.registry_for_host(image_ref.name.host)
        )
        return await self._tag_source.inspect(image_ref, registry)

    async def inspect_at_registry(
        self, image_ref: ImageRef, registry: Registry | None
    ) -> ImageInfo:
        """Return the digest of a pushed tag, and nothing else of it, by its manifest alone."""
        return ImageInfo(digest=await self._checks.identify(image_ref, registry))
