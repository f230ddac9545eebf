"""The findings of a poll at a registry: one listing, and a look at each tag that matters.

A tag that the registry refuses, for any reason, hides no other: it is a complaint, and the next
poll looks at it again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.errors import (
    ANSWERS_ABOUT_A_TAG,
    BudgetSpentError,
    NotAnImageError,
    RegistryError,
    RegistryNotFoundError,
    RepositoryUnknownError,
)
from tagboat.core.image import Digest, ImageRef
from tagboat.core.ports import Store
from tagboat.core.serving import Serving
from tagboat.polling.tag_changes import (
    MAX_COMPARED,
    InspectedImages,
    find_changes,
    images_to_inspect,
)
from tagboat.polling.target import PollTarget

MAX_INSPECTED = 2 * MAX_COMPARED
_INSPECTED_AT_A_TIME = 8
_MAX_COMPLAINTS = 3


class Findings(Struct, frozen=True):
    """The tags of a repository, the digests of the watched ones, and what images were inspected.

    `has_changes` is whether anything must be recorded. `complete` is whether the registry listed
    all tags: else `tags` are watched ones only. `complaint` is what it refused, None if nothing.
    """

    has_changes: bool
    tags: Sequence[str]
    digests: Mapping[str, Digest]
    inspected: InspectedImages
    complete: bool
    complaint: str | None


async def find(target: PollTarget, store: Store, now: datetime) -> Findings:
    """Ask the registry: list tags, HEAD each watched one, inspect images that may be deployed.

    Raises RegistryError if the registry gives nothing at all, or is overloaded; NotFoundError if
    the project was deleted.
    """
    listed, complaints = await list_if_allowed(target)
    refused: dict[str, str] = {}
    digests = await _resolve(target, target.watched, listed, refused)
    if listed is None and not digests:
        raise complaints[0]
    complete = listed is not None
    tags = (
        list(dict.fromkeys([*(listed or ()), *digests]))
        if complete or target.state.first_done
        else []
    )
    notes = [
        f"{error}; new tags cannot be seen, only those that are live or named by a pattern"
        for error in complaints
    ]
    has_changes, inspected = target.has_changes(tags, digests, complete=complete), InspectedImages()
    if has_changes and not (complete and not target.state.first_done):
        target = await target.reread(store)
        # Other tags may be watched by now.
        missing = [tag for tag in target.watched if tag not in digests and tag not in refused]
        digests |= await _resolve(target, missing, listed, refused)
        inspected = await inspect_changes(target, tags, digests, now)
    complaint = join_complaints(
        [
            *notes,
            *refused.values(),
            *(f"{why}; the next poll looks at it again" for why in inspected.refused.values()),
        ]
    )
    return Findings(has_changes, tags, digests, inspected, complete, complaint)


async def list_if_allowed(target: PollTarget) -> tuple[list[str] | None, list[RegistryError]]:
    """Return all tags; None and the error if the registry refuses the list but tags are watched."""
    try:
        return await target.source.list_tags(target.project.image, target.registry), []
    except RepositoryUnknownError:  # nothing was pushed there yet
        return [], []
    except ANSWERS_ABOUT_A_TAG as error:
        if not target.watched:
            raise
        return None, [error]


async def _resolve(
    target: PollTarget, tags: Sequence[str], listed: Sequence[str] | None, refused: dict[str, str]
) -> dict[str, Digest]:
    """Return the digests of `tags`. Adds errors to `refused`, except for tags that do not exist."""
    digests: dict[str, Digest] = {}
    for tag in tags:
        try:
            digests[tag] = await target.source.resolve(target.project.image, tag, target.registry)
        except RegistryNotFoundError as error:
            # A registry that lists a tag and then denies it is broken; a deleted tag is not.
            if listed is not None and tag in listed:
                refused[tag] = str(error)
        except ANSWERS_ABOUT_A_TAG as error:
            refused[tag] = str(error)
    return digests


async def inspect_changes(
    target: PollTarget, tags: Sequence[str], digests: Mapping[str, Digest], now: datetime
) -> InspectedImages:
    """Inspect images until it is clear which tags are to be deployed, MAX_INSPECTED at most."""
    changes = find_changes(tags, digests, target.known, target.live)
    inspected = InspectedImages()
    while True:
        wanted = images_to_inspect(
            target.project, target.stages, changes, inspected, target.serving, now
        )
        if not wanted.images:
            return inspected
        # Each round can rule out what was chosen, and so ask for more.
        if len(inspected.seen) >= MAX_INSPECTED:
            image = target.project.image
            return inspected.merge(
                InspectedImages(
                    refused={
                        tag: f"{image}:{tag} was not inspected: there are too many"
                        for tag in map(_tag_of, wanted.images)
                    }
                )
            )
        try:
            inspected = inspected.merge(await inspect_images(target, wanted.images))
        except BudgetSpentError:
            if wanted.needed_to_choose:
                raise
            # The choice is made by name; its deploy finds out whether it is an image.
            return inspected


async def inspect_images(target: PollTarget, wanted: Sequence[Serving | str]) -> InspectedImages:
    """Inspect images, a few at a time. Raises RegistryError if the registry is down."""
    inspected = InspectedImages()
    for at in range(0, len(wanted), _INSPECTED_AT_A_TIME):
        group = wanted[at : at + _INSPECTED_AT_A_TIME]
        for one in await asyncio.gather(*(inspect_image(target, image) for image in group)):
            inspected = inspected.merge(one)
    return inspected


async def inspect_image(target: PollTarget, wanted: Serving | str) -> InspectedImages:
    """Inspect a tag, or what a stage has of it. Raises RegistryError if the registry is down."""
    tag, image = _tag_of(wanted), target.project.image
    ref = ImageRef(image, tag)
    if isinstance(wanted, Serving):
        # By digest: the tag may have moved since it was deployed.
        ref = ImageRef(wanted.image or image, tag, wanted.digest)
    seen = frozenset({tag})
    try:
        info = await target.source.inspect(ref, target.registry)
    except NotAnImageError as error:
        return InspectedImages(not_images={tag: str(error)}, seen=seen)
    except ANSWERS_ABOUT_A_TAG as error:
        # What a stage has is only compared with; without it, the new tag is still recorded.
        refused = {} if isinstance(wanted, Serving) else {tag: str(error)}
        return InspectedImages(refused=refused, seen=seen)
    return InspectedImages({tag: info.created} if info.created else {}, seen=seen)


def _tag_of(wanted: Serving | str) -> str:
    return wanted.tag if isinstance(wanted, Serving) else wanted


def join_complaints(complaints: Sequence[str]) -> str | None:
    """Return the first few complaints as one text, None if there are none."""
    shown = [*complaints[:_MAX_COMPLAINTS]]
    if left := len(complaints) - len(shown):
        shown.append(f"and {left} more like these")
    return "; ".join(shown) or None
