"""One push for each tag: senders announce a tag several times, and some registries ignore case."""

from collections.abc import Container, Sequence

from tagboat.core.catalog import RegistryKind
from tagboat.core.image import ImageName
from tagboat.core.ports import Reader
from tagboat.core.push import Push
from tagboat.core.values import replace
from tagboat.intake.admit import as_stored, kind_at


def distinct(pushes: Sequence[Push]) -> tuple[Push, ...]:
    """Return one push for each image and tag, in order, with the digest that they name.

    If they name two digests, nobody knows which is newer: the push has none, and the deploy
    resolves the tag.
    """
    if len(pushes) == 1:
        return tuple(pushes)
    groups: dict[tuple[ImageName, str], list[Push]] = {}
    for push in pushes:
        groups.setdefault((push.image.name, push.image.tag), []).append(push)
    merged: list[Push] = []
    for first, *others in groups.values():
        if others:
            digests = {push.image.digest for push in (first, *others)} - {None}
            digest = digests.pop() if len(digests) == 1 else None
            merged.append(replace(first, image=replace(first.image, digest=digest)))
        else:
            merged.append(first)
    return tuple(merged)


def distinct_as_stored(
    reader: Reader, pushes: Sequence[Push], unknown: Container[ImageName]
) -> Sequence[Push]:
    """Return the distinct pushes, tags as the registry stores them: Gitea ignores their case.

    `unknown` are the images that have no project.
    """
    if len(pushes) == 1:
        return [as_stored(pushes[0], kind_at(reader, pushes[0].image.name))]
    kinds: dict[tuple[str, ImageName | None], RegistryKind | None] = {}
    stored: list[Push] = []
    for push in pushes:
        name = push.image.name
        # Images without a project differ by host only, so one read for each host is enough.
        key = name.host, None if name in unknown else name
        if key not in kinds:
            kinds[key] = kind_at(reader, name)
        stored.append(as_stored(push, kinds[key]))
    # Tags that differed only in case may be one now.
    return distinct(stored)
