"""Screening of a call's images without a project: which may become one, and which to inspect."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from tagboat.core.auto_create import Screened, newcomers
from tagboat.core.config import read_auto_create
from tagboat.core.errors import NotAnImageError
from tagboat.core.image import ImageInfo, ImageRef
from tagboat.core.ports import DeployTriggerer, Reader, Tx
from tagboat.core.push import Push
from tagboat.core.values import replace
from tagboat.intake.admit import Admission
from tagboat.intake.inspections import INSPECTIONS, Inspected

_CROWD = 5
"""Tags of one name in a call that are no images, from which on the name is taken for none."""


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
    at_hand = {image.name for image in inspected}.intersection(unknown)
    return newcomers(read_auto_create(reader), unknown, at_hand, reader.count_projects())


def uninspected_images(
    pushes: Sequence[Push], screened: Screened, inspected: Inspected
) -> tuple[ImageRef, ...]:
    """Return the images still to be inspected: those of names that may become a project.

    One of each name comes first; at most `INSPECTIONS` for each call.
    """
    wanted: dict[ImageRef, None] = {}
    others: dict[ImageRef, None] = {}
    names = {image.name for image in inspected}
    for push in pushes:
        # By tag: the digest that a call names is only a hint.
        image = replace(push.image, digest=None)
        if screened.get(image.name, "known") is None and image not in inspected:
            (others if image.name in names else wanted)[image] = None
            names.add(image.name)
    # Tags of projects, which were asked about before, take no place from these.
    left = INSPECTIONS - sum(image.name in screened for image in inspected)
    return (*wanted, *others)[: max(left, 0)]


def admission(
    tx: Tx, deployer: DeployTriggerer, now: datetime, screened: Screened, inspected: Inspected
) -> Admission:
    """Return the admission of the pushes of a call that was screened and inspected."""
    if not screened and not inspected:
        return Admission(tx, deployer, now)
    no_images = {
        image: str(found)
        for image, found in inspected.items()
        if isinstance(found, NotAnImageError)
    }
    # Others of a name with so many of these are not looked at, and are most likely the same.
    crowds = Counter(image.name for image in no_images if image.name in screened)
    images = {image.name for image, found in inspected.items() if isinstance(found, ImageInfo)}
    refused = {
        name: f"it was not looked at: {count} other tags of {name} in this call are no images"
        for name, count in crowds.items()
        if count >= _CROWD and name not in images
    }
    refused |= {name: why for name, why in screened.items() if why is not None}
    infos = {
        image.name: found for image, found in inspected.items() if isinstance(found, ImageInfo)
    }
    # Of an image with a project, the registry was asked just now.
    looked_up = {
        image: found.digest
        for image, found in inspected.items()
        if isinstance(found, ImageInfo) and found.digest and image.name not in screened
    }
    return Admission(tx, deployer, now, refused, no_images, infos, looked_up)
