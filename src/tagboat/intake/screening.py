"""Screening of a call's images without a project: which may become one, and which to inspect."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from tagboat.core.auto_create import Screened, newcomers
from tagboat.core.config import read_auto_create
from tagboat.core.errors import NotAnImageError
from tagboat.core.image import ImageInfo, ImageName, ImageRef
from tagboat.core.ports import DeployTriggerer, Reader, Tx
from tagboat.core.push import Push
from tagboat.intake.admit import Admission
from tagboat.intake.inspections import INSPECTIONS, Inspected


def screen(reader: Reader, pushes: Sequence[Push], inspected: Inspected) -> Screened:
    """Return, for each image without a project, None if it may become one, else the reason."""
    # The usual call names one image that has a project: one read is enough.
    if len(pushes) == 1 and reader.project_by_image(pushes[0].image.name) is not None:
        return {}
    names = dict.fromkeys(push.image.name for push in pushes)
    known = reader.projects_by_image(names)
    unknown = [name for name in names if name not in known]
    if not unknown:
        return {}
    # Images that this call was found to make projects of keep their places.
    at_hand = {image.name for image in inspected}
    return newcomers(read_auto_create(reader), unknown, at_hand, reader.count_projects())


def uninspected_images(
    pushes: Sequence[Push], screened: Screened, inspected: Inspected
) -> tuple[ImageRef, ...]:
    """Return the images still to be inspected: one of each name that may become a project.

    If that one is not an image, all others of its name; at most `INSPECTIONS` for each call.
    """
    settled, inspected_names = _settled_names(inspected), {image.name for image in inspected}
    found: dict[ImageRef, None] = {}
    names: set[ImageName] = set()
    for push in pushes:
        # By tag: the digest that a call names is only a hint.
        image = replace(push.image, digest=None)
        wanted = (
            screened.get(image.name, "known") is None
            and image.name not in settled
            and image not in inspected
        )
        if wanted and (image.name in inspected_names or image.name not in names):
            names.add(image.name)
            found[image] = None
    return tuple(found)[: INSPECTIONS - len(inspected)]


def admission(
    tx: Tx, deployer: DeployTriggerer, now: datetime, screened: Screened, inspected: Inspected
) -> Admission:
    """Return the admission of the pushes of a call that was screened and inspected."""
    if not screened and not inspected:
        return Admission(tx, deployer, now)
    settled = _settled_names(inspected)
    no_images = {
        image: str(found)
        for image, found in inspected.items()
        if isinstance(found, NotAnImageError)
    }
    # Of an image with a project, only the tag is refused that is not an image.
    refused = {
        image.name: why
        for image, why in no_images.items()
        if image.name in screened and image.name not in settled
    }
    refused |= {name: why for name, why in screened.items() if why is not None}
    infos = {
        image.name: found for image, found in inspected.items() if isinstance(found, ImageInfo)
    }
    return Admission(tx, deployer, now, refused, no_images, infos)


def _settled_names(inspected: Inspected) -> frozenset[ImageName]:
    """Return the names that have an image, or may have one because it could not be read."""
    return frozenset(
        image.name for image, found in inspected.items() if not isinstance(found, NotAnImageError)
    )
