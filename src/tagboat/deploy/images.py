"""Having the engine hold the image that is wanted."""

from collections.abc import Callable

from tagboat.core.catalog import Registry
from tagboat.core.image import Digest, ImageName
from tagboat.core.ports import Engine


async def ensure_image(
    engine: Engine,
    image: ImageName,
    digest: Digest,
    registry: Registry | None,
    progress: Callable[[str], None] = lambda _: None,
) -> bool:
    """Pull `image`@`digest` unless the engine has it already; whether that was needed. Raises EngineError."""
    if await engine.inspect_image(f"{image}@{digest}") is not None:
        return False
    await engine.pull(image, digest, registry, progress)
    return True
