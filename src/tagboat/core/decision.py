"""What to do about a push: pure functions that return a named reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tagboat.core.catalog import Project, RegistryKind, Stage
from tagboat.core.deploy import TakenBack
from tagboat.core.image import Digest
from tagboat.core.newest import Names
from tagboat.core.push import Outcome, Source
from tagboat.core.serving import Serving


@dataclass(frozen=True, slots=True)
class Considered:
    """A stage that was tried: its name, its pattern, and whether the tag matches."""

    stage: str
    pattern: str
    matches: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """`queued` here means that a deploy is due; queueing may still find it merged.

    `stage` is the one that matches, None when none does; `tried` are the stages in their order, up to that one.
    """

    outcome: Outcome
    reason: str
    stage: Stage | None = None
    tried: Sequence[Stage] = ()

    @property
    def considered(self) -> tuple[Considered, ...]:
        """The account of it: every stage that was tried, and whether it matches."""
        return tuple(
            Considered(stage.name, stage.pattern.text, matches=stage is self.stage)
            for stage in self.tried
        )


def decide(project: Project, stages: Sequence[Stage], tag: str) -> Decision:
    """Choose the first stage, in the order given, whose pattern matches `tag`, and say what follows."""
    for place, stage in enumerate(stages, 1):
        if stage.pattern.matches(tag):
            outcome, reason = in_stage(stage, tag)
            return Decision(outcome, reason, stage, stages[:place])
    return Decision(Outcome.UNMATCHED, _unmatched(project, stages, tag), None, stages)


def unless_taken_back(
    decision: Decision, digest: Digest | None, taken_back: Sequence[TakenBack], tag: str
) -> Decision:
    """The same decision, but `waiting` where a deploy is due of a digest that was taken back in its stage."""
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
    """Why pushes and polls do not deploy a version that was taken back, and what lifts that."""
    return (
        f"its image was taken back in the stage {stage.name} at {version.at:%Y-%m-%d %H:%M} UTC ({version.reason}); "
        f"deploy {version.tag} by hand, or release the stage with --including, to try it again"
    )


def goes_by_version(decision: Decision, source: Source) -> bool:
    """Whether a deploy is due in a stage that takes no lower version than those it has: none does so from a poll."""
    stage = decision.stage
    if decision.outcome is not Outcome.QUEUED or stage is None or stage.allow_downgrade:
        return False
    return stage.pattern.by_semver or source is Source.POLL


def unless_lower(
    decision: Decision, tag: str, source: Source, serving: Sequence[Serving]
) -> Decision:
    """The same decision, but `waiting` where it `goes_by_version` and the stage has as many higher versions as it takes."""
    stage = decision.stage
    if stage is None or not goes_by_version(decision, source):
        return decision
    names = Names(stage.pattern, [tag, *(one.tag for one in serving)])
    higher = [one for one in serving if (names.compare(one.tag, tag) or 0) > 0]
    if len(higher) < stage.max_instances:
        return decision
    return replace(
        decision,
        outcome=Outcome.WAITING,
        reason=f"{match_words(stage, tag)}, but {higher[0].tag}, which {higher[0].state}, is the higher version; deploy "
        f"{tag} by hand, or set allow_downgrade on the stage {stage.name}, to go back",
    )


def normal_tag(tag: str, kind: RegistryKind | None) -> str:
    """`tag` as the registry stores it: Gitea knows tags in lower case only."""
    return tag.lower() if kind is RegistryKind.GITEA else tag


def shadowed(stage: Stage, stages: Sequence[Stage]) -> list[str]:
    """Warnings, each with its mend, where `stage` and the others of its project (in order) leave one without any tag."""
    place = next(index for index, other in enumerate(stages) if other.id == stage.id)
    hidden_by = [
        (earlier, stage) for earlier in stages[:place] if earlier.pattern.covers(stage.pattern)
    ]
    hides = [(stage, later) for later in stages[place + 1 :] if stage.pattern.covers(later.pattern)]
    return [_shadow_warning(earlier, later) for earlier, later in (*hidden_by, *hides)]


def _shadow_warning(earlier: Stage, later: Stage) -> str:
    return (
        f"stage {later.name} ({later.pattern.text}) will never get a tag: stage {earlier.name} ({earlier.pattern.text}) is "
        f"tried first and matches everything that it matches; give {later.name} a position below {earlier.position}"
    )


def match_words(stage: Stage, tag: str) -> str:
    """How every reason begins that has to do with a stage whose pattern matches `tag`."""
    return f"tag {tag} matches {stage.pattern.text}"


def merged_reason(reason: str) -> str:
    """The reason for a push that is due, and merges into a deploy."""
    return f"{reason}, and a deploy of it is under way already"


def in_stage(stage: Stage, tag: str) -> tuple[Outcome, str]:
    """What a push of `tag` comes to in the stage whose pattern it matches, and why."""
    match = match_words(stage, tag)
    if stage.held:
        return Outcome.WAITING, f"{match}, but the stage {stage.name} is held"
    if not stage.auto_deploy:
        return (
            Outcome.WAITING,
            f"{match}, but auto_deploy of the stage {stage.name} is off{_data_waits(stage)}",
        )
    return Outcome.QUEUED, match


def _data_waits(stage: Stage) -> str:
    if not stage.image_volumes:
        return ""
    volumes = "the VOLUME" if len(stage.image_volumes) == 1 else "the VOLUMEs"
    return (
        f"; the image keeps data, in {volumes} {', '.join(stage.image_volumes)}, and no second instance must start on that"
        " unasked: deploy it by hand, or set auto_deploy"
    )


def _unmatched(project: Project, stages: Sequence[Stage], tag: str) -> str:
    if not stages:
        return f"the project {project.name} has no stage yet"
    tried = ", ".join(f"{stage.name} {stage.pattern.text}" for stage in stages)
    lacks = dict.fromkeys(filter(None, (stage.pattern.near_miss(tag) for stage in stages)))
    return "; ".join((f"tag {tag} matches no stage's pattern (tried {tried})", *lacks))
