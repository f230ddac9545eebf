"""What an image says of itself: asked of the engine first, else of the registry."""

from tagboat.core.errors import EngineError
from tagboat.core.image import ImageInfo, ImageRef
from tagboat.core.ports import Store, TagSource
from tagboat.core.runtime import Runtime


class EngineThenRegistry:
    """Implements `ImageInspector`. Nothing is pulled: the registry gives the configuration alone."""

    def __init__(self, engine: Runtime, tag_source: TagSource, store: Store) -> None:
        self._engine = engine
        self._tag_source = tag_source
        self._store = store

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo:
        """Inspect; raise NotAnImageError if it is none, another RegistryError when neither can tell."""
        try:
            info = await self._engine.inspect_image(_engine_name(image_ref))
        except EngineError:
            info = None
        if info is not None:
            return info
        registry = await self._store.read(
            lambda reader: reader.registry_for_host(image_ref.name.host)
        )
        return await self._tag_source.inspect(image_ref, registry)


def _engine_name(ref: ImageRef) -> str:
    return f"{ref.name}@{ref.digest}" if ref.digest else f"{ref.name}:{ref.tag}"
