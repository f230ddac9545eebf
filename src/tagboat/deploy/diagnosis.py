"""Questions to the registry about an image that cannot be pulled or started."""

from tagboat.core.errors import DeployFailedError, NotAnImageError, TagboatError
from tagboat.core.image import ImageRef
from tagboat.core.ports import TagSource
from tagboat.deploy.context import DeployContext
from tagboat.deploy.failure import MovedOnError


async def raise_if_moved_on(tags: TagSource, context: DeployContext) -> None:
    """Raise MovedOnError where the tag points to another image by now."""
    # Many registries delete the image that a tag pointed to as soon as it is pushed again.
    if context.deploy.is_exact:
        return
    try:
        digest = await tags.resolve(context.repository, context.deploy.tag, context.registry)
    except TagboatError:
        return  # the error that ended the step says more
    if digest != context.deploy.digest:
        raise MovedOnError


async def raise_if_no_image(tags: TagSource, context: DeployContext) -> None:
    """Raise DeployFailedError where the registry says that it is not a container image."""
    # Engines report this in words that mislead, such as an unsupported media type.
    image = ImageRef(context.repository, context.deploy.tag, context.deploy.digest)
    try:
        await tags.inspect(image, context.registry)
    except NotAnImageError as error:
        raise DeployFailedError(str(error)) from error
    except TagboatError:
        return  # the error that ended the step says more
