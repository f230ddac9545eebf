"""The source of what a swarm's managers cannot say of images: they do not have them."""

from typing import Protocol

from tagboat.core.catalog import Registry
from tagboat.core.image import (
    ImageInfo,
    ImageName,
    ImageRef,
    parse_digest,
    parse_image_name,
)


class ImageSource(Protocol):
    """The registries, as the record and their client know them."""

    async def registry_of(self, image: ImageName) -> Registry | None:
        """Return the registry with the login for an image, None for an anonymous pull."""

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:
        """Return the configuration of an image. Raises RegistryError."""


def reference_of(image: str) -> ImageRef:
    """Return `NAME@DIGEST`, as specs of workloads have it, as a reference."""
    name, _, digest = image.partition("@")
    return ImageRef(parse_image_name(name), "", parse_digest(digest))
