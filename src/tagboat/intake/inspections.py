"""Inspections of images that may become projects, with time limits and a limit on how many run."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from tagboat.core.auto_create import MOST_NEW_PROJECTS
from tagboat.core.errors import NotAnImageError, TagboatError
from tagboat.core.image import ImageInfo, ImageRef
from tagboat.core.ports import ImageInspector
from tagboat.shared_calls import SharedCalls

# Seconds, after which a project is made without the image's configuration: senders wait for the
# answer. The second limit holds for a call that names more than a few unknown images.
INSPECTION_LIMIT_S = 4.0
MANY_LIMIT_S = 1.5
_FEW_IMAGES = 3

# Images of all calls that are inspected at the same time.
INSPECTIONS = MOST_NEW_PROJECTS

log = structlog.get_logger("tagboat.intake")

InspectionResult = ImageInfo | NotAnImageError | None
"""The result of an inspection; None if the image could not be read."""
Inspected = Mapping[ImageRef, InspectionResult]


class Inspections:
    """Inspects images; calls that need the same image at the same time share one inspection."""

    def __init__(self, inspector: ImageInspector) -> None:
        self._inspector = inspector
        self._shared: SharedCalls[InspectionResult] = SharedCalls()
        self._places = asyncio.Semaphore(INSPECTIONS)

    async def inspect(self, images: Sequence[ImageRef], *, again: bool = False) -> Inspected:
        """Inspect all `images`; `again` means that their call has already waited for others."""
        many = again or len(images) > _FEW_IMAGES
        limit_s = MANY_LIMIT_S if many else INSPECTION_LIMIT_S

        found = await asyncio.gather(
            *(self._shared.call(image, partial(self._inspect, image, limit_s)) for image in images)
        )
        return dict(zip(images, found, strict=True))

    async def _inspect(self, image: ImageRef, limit_s: float) -> InspectionResult:
        try:
            # The wait for a place counts as well: the sender waits for both.
            async with asyncio.timeout(limit_s), self._places:
                return await self._inspector.inspect_image(image)
        except NotAnImageError as error:
            return error
        except (TagboatError, TimeoutError) as error:
            log.warning(
                "image not inspected",
                action="inspect",
                image=str(image),
                reason=str(error) or "it took too long",
            )
            return None
