"""What a poll makes of a registry's answer: pure decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagboat.core.catalog import KnownTag, Stage
from tagboat.core.deploy import Instance
from tagboat.core.image import Digest
from tagboat.core.tags import Candidate, newest


@dataclass(frozen=True, slots=True)
class News:
    """Of one poll: tags never seen before, in the order found, and known ones whose digest changed."""

    fresh: tuple[str, ...]
    changed: tuple[tuple[str, Digest], ...]


def watched(stages: Sequence[Stage], live: Sequence[Instance], listed: Sequence[str]) -> list[str]:
    """The listed tags whose digest is looked up: those that are live, and those that a pattern names outright."""
    wanted = {instance.tag for instance in live} | {stage.pattern.literal for stage in stages}
    return [tag for tag in listed if tag in wanted]


def recorded_digest(tag: str, known: Mapping[str, KnownTag], live: Sequence[Instance]) -> str | None:
    """The digest that `tag` was last seen to have; that of its live instance where it was never looked up."""
    entry = known.get(tag)
    if entry is not None and entry.digest is not None:
        return entry.digest
    return next((instance.digest for instance in live if instance.tag == tag), None)


def find_news(
    listed: Sequence[str], digests: Mapping[str, Digest], known: Mapping[str, KnownTag], live: Sequence[Instance]
) -> News:
    """Compare what the registry says with what is on record. A digest seen for the first time is no news."""
    fresh = tuple(tag for tag in listed if tag not in known)
    changed = tuple(
        (tag, digest)
        for tag, digest in digests.items()
        if tag in known and recorded_digest(tag, known, live) not in {None, digest}
    )
    return News(fresh, changed)


def worth_deploying(candidates: Sequence[Candidate], max_instances: int) -> list[Candidate]:
    """The `max_instances` newest, the newest last, so that it goes live last."""
    left = list(candidates)
    chosen: list[Candidate] = []
    while left and len(chosen) < max_instances:
        best = newest(left)
        left.remove(best)
        chosen.append(best)
    return chosen[::-1]
