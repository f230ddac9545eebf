"""What a poll makes of a registry's answer: pure decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tagboat.core.catalog import KnownTag, Project, Stage
from tagboat.core.decision import Decision, decide, match_words
from tagboat.core.deploy import Instance
from tagboat.core.image import Digest
from tagboat.core.polling import Change
from tagboat.core.push import Outcome
from tagboat.core.tags import Candidate, is_semver, newer_by, newest

_FIRST = "the first poll of an image records its tags and deploys none"
_FIRST_CHANGED = "the first poll of an image deploys none, and leaves it to the next"


@dataclass(frozen=True, slots=True)
class News:
    """Of one poll: tags never seen before, in the order found, and known ones whose digest changed."""

    fresh: tuple[str, ...]
    changed: tuple[tuple[str, Digest], ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """All of them, in the order in which the later counts as the newer where nothing else tells."""
        return (*(tag for tag, _ in self.changed), *self.fresh)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was learnt of tags that are news: when the images of some were built, and which are no images."""

    created: Mapping[str, datetime] = field(default_factory=dict)
    imageless: frozenset[str] = frozenset()

    def candidates(self, tags: Sequence[str]) -> list[Candidate]:
        """What to choose from: a tag that is no image, such as a build's cache, only where nothing else is news."""
        images = [tag for tag in tags if tag not in self.imageless] or tags
        return [Candidate(tag, self.created.get(tag)) for tag in images]


@dataclass(frozen=True, slots=True)
class Judged:
    """A tag that is news, and what to do about it: `recorded` where it is made known and no more."""

    tag: str
    change: Change
    decision: Decision


@dataclass(frozen=True, slots=True)
class _Lane:
    """The tags that are due in a stage, or will be once it is released."""

    stage: Stage
    due: dict[str, Decision] = field(default_factory=dict)


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


def in_doubt(project: Project, stages: Sequence[Stage], news: News) -> list[str]:
    """The tags whose images must be looked at, since the tags' own order does not tell which is the newest of a stage."""
    lanes = _lanes({tag: decide(project, stages, tag) for tag in news.tags})
    return [tag for lane in lanes if len(lane.due) > 1 and not all(map(is_semver, lane.due)) for tag in lane.due]


def judge(
    project: Project, stages: Sequence[Stage], live: Sequence[Instance], news: News, looked: Looked, *, first: bool
) -> list[Judged]:
    """What to do about each tag that is news, in the order in which to do it: of one stage, the newest goes live last.

    `first` is whether this is the first poll of the image. A stage takes its `max_instances` newest; of a held one these are
    what is kept for its release.
    """
    decisions = _first(news) if first else {tag: decide(project, stages, tag) for tag in news.tags}
    for lane in _lanes(decisions):
        decisions = {tag: decision for tag, decision in decisions.items() if tag not in lane.due} | _choose(lane, looked)
    for tag, _ in news.changed:
        decisions[tag] = _changed(decisions[tag], tag, stages, live)
    changed = {tag for tag, _ in news.changed}
    return [Judged(tag, Change.CHANGED if tag in changed else Change.NEW, decision) for tag, decision in decisions.items()]


def worth_deploying(candidates: Sequence[Candidate], max_instances: int) -> list[Candidate]:
    """The `max_instances` newest, the newest last, so that it goes live last."""
    left = list(candidates)
    chosen: list[Candidate] = []
    while left and len(chosen) < max_instances:
        best = newest(left)
        left.remove(best)
        chosen.append(best)
    return chosen[::-1]


def _first(news: News) -> dict[str, Decision]:
    changed = dict.fromkeys((tag for tag, _ in news.changed), Decision(Outcome.RECORDED, _FIRST_CHANGED))
    return changed | dict.fromkeys(news.fresh, Decision(Outcome.RECORDED, _FIRST))


def _changed(decision: Decision, tag: str, stages: Sequence[Stage], live: Sequence[Instance]) -> Decision:
    """The decision about a known tag, with the reason why it is news."""
    if any(instance.tag == tag for instance in live):
        cause = "is live"
    else:
        cause = f"the stage {next(stage.name for stage in stages if stage.pattern.literal == tag)} names"
    return replace(decision, reason=f"the digest of {tag}, which {cause}, has changed: {decision.reason}")


def _lanes(decisions: Mapping[str, Decision]) -> list[_Lane]:
    lanes: dict[str, _Lane] = {}
    for tag, decision in decisions.items():
        stage = decision.stage
        if stage and (decision.outcome is Outcome.QUEUED or stage.held):
            lanes.setdefault(stage.id, _Lane(stage)).due[tag] = decision
    return list(lanes.values())


def _choose(lane: _Lane, looked: Looked) -> dict[str, Decision]:
    """The tags of a lane, the newest last: as many as the stage takes are due as decided, the others are recorded."""
    candidates = looked.candidates(list(lane.due))
    chosen = worth_deploying(candidates, lane.stage.max_instances)
    found = {candidate.tag: (place, candidate) for place, candidate in enumerate(candidates)}
    taken = {candidate.tag: _taken(lane, candidate.tag, len(candidates)) for candidate in chosen}
    left = {
        tag: replace(decision, outcome=Outcome.RECORDED, reason=_left(lane.stage, tag, found.get(tag), found[chosen[0].tag]))
        for tag, decision in lane.due.items()
        if tag not in taken
    }
    return left | taken


def _taken(lane: _Lane, tag: str, of: int) -> Decision:
    decision, takes = lane.due[tag], lane.stage.max_instances
    if decision.outcome is not Outcome.QUEUED or of <= takes:
        return decision
    place = "the newest" if takes == 1 else f"among the {takes} newest"
    return replace(decision, reason=f"{decision.reason} and is {place} of {of} found")


def _left(stage: Stage, tag: str, found: tuple[int, Candidate] | None, least: tuple[int, Candidate]) -> str:
    """Why `tag` is not among the chosen, of which `least` is the oldest. A tag that is no candidate was not `found`."""
    match = match_words(stage, tag)
    if found is None:
        return f"{match}, but it is no image that can be read, such as a build's cache, and there are others"
    is_newer = newer_by(least[1], found[1], found_later=least[0] > found[0])
    takes = "one" if stage.max_instances == 1 else stage.max_instances
    return f"{match}, but {least[1].tag} {is_newer} and the stage {stage.name} takes {takes}"
