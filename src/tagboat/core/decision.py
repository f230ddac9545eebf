"""Decisions about pushes: pure functions that return a named reason."""

from collections.abc import Container, Sequence
from functools import lru_cache

from msgspec import Struct

from tagboat.core.catalog import Project, RegistryKind, Stage
from tagboat.core.deploy import TakenBack
from tagboat.core.image import Digest
from tagboat.core.newest import Names
from tagboat.core.push import Outcome, Source
from tagboat.core.serving import Serving
from tagboat.core.tags import TagPattern
from tagboat.core.values import replace


class Considered(Struct, frozen=True):
    """A stage that was tried: its name, its pattern, and whether the tag matches."""

    stage: str
    pattern: str
    matches: bool


class Decision(Struct, frozen=True):
    """The decision about a push; `queued` means that a deploy is due, which may still be merged.

    `stage` is the one that matches, None if none does; `tried` are the stages in order, up to that
    one.
    """

    outcome: Outcome
    reason: str
    stage: Stage | None = None
    tried: Sequence[Stage] = ()

    @property
    def considered(self) -> tuple[Considered, ...]:
        """Each stage that was tried, with its result."""
        return tuple(
            Considered(stage.name, stage.pattern.text, matches=stage is self.stage)
            for stage in self.tried
        )


def decide(project: Project, stages: Sequence[Stage], tag: str) -> Decision:
    """Choose the first stage, in the order given, whose pattern matches `tag`."""
    for place, stage in enumerate(stages, 1):
        if stage.pattern.matches(tag):
            outcome, reason = in_stage(stage, tag)
            return Decision(outcome, reason, stage, stages[:place])
    if not stages:
        return Decision(Outcome.UNMATCHED, f"the project {project.name} has no stage yet")
    tried = ", ".join(f"{stage.name} {stage.pattern.text}" for stage in stages)
    # Each hint once: several stages often have the same range.
    near = dict.fromkeys(filter(None, (stage.pattern.near_miss(tag) for stage in stages)))
    reason = "; ".join((f"tag {tag} matches no stage's pattern (tried {tried})", *near))
    return Decision(Outcome.UNMATCHED, reason, None, stages)


def unless_taken_back(
    decision: Decision, digest: Digest | None, taken_back: Sequence[TakenBack], tag: str
) -> Decision:
    """Return `decision`, or `waiting` if its deploy would be of a digest that was taken back."""
    # Only a deploy that is due can be stopped; other outcomes keep their own reason.
    found = next((version for version in taken_back if version.digest == digest), None)
    if decision.outcome is not Outcome.QUEUED or decision.stage is None or found is None:
        return decision
    stage = decision.stage
    return replace(
        decision,
        outcome=Outcome.WAITING,
        reason=f"{match_words(stage, tag)}, but {taken_back_words(found, stage)}",
    )


def taken_back_words(version: TakenBack, stage: Stage) -> str:
    """Return why pushes and polls do not deploy a version that was taken back, and what to do."""
    return (
        f"its image was taken back in the stage {stage.name} at {version.at:%Y-%m-%d %H:%M} UTC "
        f"({version.reason}); deploy {version.tag} by hand, or release the stage with --including, "
        "to try it again"
    )


def goes_by_version(decision: Decision, source: Source) -> bool:
    """Return whether a deploy is due in a stage that refuses lower versions.

    Each stage refuses them from a poll, unless it allows downgrades.
    """
    stage = decision.stage
    if decision.outcome is not Outcome.QUEUED or stage is None or stage.allow_downgrade:
        return False
    return stage.pattern.by_semver or source is Source.POLL


def unless_lower(
    decision: Decision, tag: str, source: Source, serving: Sequence[Serving]
) -> Decision:
    """Return `decision`, or `waiting` if the stage has as many higher versions as it may have."""
    stage = decision.stage
    if stage is None or not goes_by_version(decision, source):
        return decision
    names = Names(stage.pattern, [tag, *(one.tag for one in serving)])
    # None means that the names do not decide; the push then counts as not lower.
    higher = [one for one in serving if (names.compare(one.tag, tag) or 0) > 0]
    if len(higher) < stage.max_instances:
        return decision
    return replace(
        decision,
        outcome=Outcome.WAITING,
        reason=f"{match_words(stage, tag)}, but {higher[0].tag}, which {higher[0].state}, is the "
        f"higher version; deploy {tag} by hand, or set allow_downgrade on the stage {stage.name}, "
        "to go back",
    )


def normal_tag(tag: str, kind: RegistryKind | None) -> str:
    """Return `tag` as the registry stores it: Gitea stores tags in lower case only."""
    return tag.lower() if kind is RegistryKind.GITEA else tag


@lru_cache(maxsize=16)
def hidden_places(patterns: tuple[TagPattern, ...]) -> frozenset[tuple[int, int]]:
    """Return the pairs of places of which the first pattern matches all that the second does.

    Remembered: a project may have hundreds of stages, and its page is read again and again.
    """
    return frozenset(
        (first, second)
        for second, later in enumerate(patterns)
        for first, earlier in enumerate(patterns[:second])
        if earlier.covers(later)
    )


def shadowed(
    stage: Stage, stages: Sequence[Stage], hidden: Container[tuple[int, int]] | None = None
) -> list[str]:
    """Return a warning, with its correction, for each stage that `stage` leaves without any tag.

    `stages` are all stages of the project in order, `hidden` their `hidden_places` where these are
    known. An earlier stage can hide `stage` too.
    """
    # By id: the list may have the stage as it was before a change.
    place = next(index for index, other in enumerate(stages) if other.id == stage.id)
    pairs = [
        *((index, place, other, stage) for index, other in enumerate(stages[:place])),
        *((place, place + 1 + n, stage, other) for n, other in enumerate(stages[place + 1 :])),
    ]
    return [
        f"stage {later.name} ({later.pattern.text}) will never get a tag: stage {earlier.name} "
        f"({earlier.pattern.text}) is tried first and matches everything that it matches; "
        f"give {later.name} a position below {earlier.position}"
        for first, second, earlier, later in pairs
        if (earlier.pattern.covers(later.pattern) if hidden is None else (first, second) in hidden)
    ]


def match_words(stage: Stage, tag: str) -> str:
    """Return the beginning of each reason about a stage whose pattern matches `tag`."""
    return f"tag {tag} matches {stage.pattern.text}"


def merged_reason(reason: str) -> str:
    """Return the reason for a push that is merged into a deploy."""
    return f"{reason}, and a deploy of it is under way already"


def in_stage(stage: Stage, tag: str) -> tuple[Outcome, str]:
    """Return outcome and reason of a push of `tag` in the stage whose pattern it matches."""
    match = match_words(stage, tag)
    # A person's decision comes before the stage's settings.
    if stage.stopped:
        return Outcome.WAITING, f"{match}, but the stage {stage.name} is stopped"
    if stage.held:
        return Outcome.WAITING, f"{match}, but the stage {stage.name} is held"
    if stage.auto_deploy:
        return Outcome.QUEUED, match
    reason = f"{match}, but auto_deploy of the stage {stage.name} is off"
    if stage.image_volumes:
        volumes = "the VOLUME" if len(stage.image_volumes) == 1 else "the VOLUMEs"
        reason += (
            f"; the image keeps data, in {volumes} {', '.join(stage.image_volumes)}, and a second "
            "instance must not start on it automatically: deploy it by hand, or set auto_deploy"
        )
    return Outcome.WAITING, reason
