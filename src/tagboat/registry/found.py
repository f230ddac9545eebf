"""What one poll learns of a repository, and what the registry keeps from it.

One tag that the registry does not give, whatever its reasons, hides no other: it is a complaint, and looked at again by the
next poll.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tagboat.core.errors import (
    NotAnImageError,
    RegistryDeniedError,
    RegistryError,
    RegistryFailedError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RepositoryUnknownError,
)
from tagboat.core.image import Digest, ImageRef
from tagboat.core.poll import MOST_COMPARED, Looked, find_news, to_look_at
from tagboat.core.serving import Serving
from tagboat.registry.failures import BudgetSpentError
from tagboat.registry.situation import Situation

MOST_LOOKED_AT = 2 * MOST_COMPARED
_AT_A_TIME = 8
_COMPLAINTS_TOLD = 3
_REFUSALS = (RegistryDeniedError, RegistryNotFoundError, RegistryProtocolError, RegistryFailedError)
"""What a registry may answer about one thing, while it gives others."""


@dataclass(frozen=True, slots=True)
class Found:
    """The tags that are there, the digests of the watched ones, and what was looked at besides.

    `is_news` is whether any of it is to be recorded. `whole` is whether the registry has listed all tags: else `tags` are
    watched ones only. `complaint` is what it refused.
    """

    is_news: bool
    tags: Sequence[str]
    digests: Mapping[str, Digest]
    looked: Looked
    whole: bool
    complaint: str | None


async def find(
    situation: Situation, read_whole: Callable[[Situation], Awaitable[Situation]], now: datetime
) -> Found:
    """One listing, one HEAD for each watched tag, and a look at the images of what may be deployed.

    `read_whole` reads what is on record of a repository, where that matters. Raises RegistryError where the registry gives
    nothing at all, or is overloaded; NotFoundError where the project is gone.
    """
    listed, complaints = await _list(situation)
    refused: dict[str, str] = {}
    digests = await _digests(situation, situation.watched, listed, refused)
    if listed is None and not digests:
        raise complaints[0]
    whole = listed is not None
    tags = (
        list(dict.fromkeys([*(listed or ()), *digests]))
        if whole or situation.state.first_done
        else []
    )
    told = [
        f"{error}; new tags cannot be seen, only those that are live or named by a pattern"
        for error in complaints
    ]
    is_news = situation.is_news(tags, digests, whole=whole)
    if not is_news or (whole and not situation.state.first_done):
        return Found(is_news, tags, digests, Looked(), whole, _as_one([*told, *refused.values()]))
    situation = await read_whole(situation)
    missing = [tag for tag in situation.watched if tag not in digests and tag not in refused]
    digests |= await _digests(situation, missing, listed, refused)
    looked = await _look_at_news(situation, tags, digests, now)
    new = [f"{why}; it is looked at again by the next poll" for why in looked.refused.values()]
    return Found(is_news, tags, digests, looked, whole, _as_one([*told, *refused.values(), *new]))


async def _list(situation: Situation) -> tuple[list[str] | None, list[RegistryError]]:
    """All tags; None where the registry refuses to list them and there are tags to look at all the same, with the refusal."""
    try:
        return await situation.tags.list_tags(situation.project.image, situation.registry), []
    except RepositoryUnknownError:  # nothing was pushed there yet
        return [], []
    except _REFUSALS as error:
        if not situation.watched:
            raise
        return None, [error]


async def _digests(
    situation: Situation, tags: Sequence[str], listed: Sequence[str] | None, refused: dict[str, str]
) -> dict[str, Digest]:
    """What `tags` point to. Those that are not given are put among the `refused`, unless they are not `listed` either."""
    digests: dict[str, Digest] = {}
    for tag in tags:
        try:
            digests[tag] = await situation.tags.resolve(
                situation.project.image, tag, situation.registry
            )
        except RegistryNotFoundError as error:
            if listed is not None and tag in listed:
                refused[tag] = str(error)
        except _REFUSALS as error:
            refused[tag] = str(error)
    return digests


async def _look_at_news(
    situation: Situation, tags: Sequence[str], digests: Mapping[str, Digest], now: datetime
) -> Looked:
    news = find_news(tags, digests, situation.known, situation.live)
    looked = Looked()
    while True:
        wanted = to_look_at(
            situation.project, situation.stages, news, looked, situation.serving, now
        )
        if not wanted.images:
            return looked
        if len(looked.seen) >= MOST_LOOKED_AT:
            image = situation.project.image
            late = {
                tag: f"{image}:{tag} was not looked at: there are too many"
                for tag in map(_tag, wanted.images)
            }
            return looked.and_then(Looked(refused=late))
        try:
            looked = looked.and_then(await _look_at(situation, wanted.images))
        except BudgetSpentError:
            if wanted.to_choose:
                raise
            return looked  # what is to be deployed is known by name, and its deploy will tell whether it is an image


async def _look_at(situation: Situation, wanted: Sequence[Serving | str]) -> Looked:
    looked = Looked()
    for at in range(0, len(wanted), _AT_A_TIME):
        for sight in await asyncio.gather(
            *(_look_at_one(situation, one) for one in wanted[at : at + _AT_A_TIME])
        ):
            looked = looked.and_then(sight)
    return looked


async def _look_at_one(situation: Situation, wanted: Serving | str) -> Looked:
    tag, image = _tag(wanted), situation.project.image
    ref = ImageRef(image, tag)
    if isinstance(wanted, Serving):
        ref = ImageRef(wanted.image or image, tag, wanted.digest)
    seen = frozenset({tag})
    try:
        info = await situation.tags.inspect(ref, situation.registry)
    except NotAnImageError as error:
        return Looked(others={tag: str(error)}, seen=seen)
    except _REFUSALS as error:
        return Looked(refused={} if isinstance(wanted, Serving) else {tag: str(error)}, seen=seen)
    return Looked({tag: info.created} if info.created else {}, seen=seen)


def _tag(wanted: Serving | str) -> str:
    return wanted.tag if isinstance(wanted, Serving) else wanted


def _as_one(complaints: Sequence[str]) -> str | None:
    told = [*complaints[:_COMPLAINTS_TOLD]]
    if left := len(complaints) - len(told):
        told.append(f"and {left} more of the kind")
    return "; ".join(told) or None
