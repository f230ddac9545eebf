"""What a poll makes of a registry's answer: pure decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from tagboat.core.catalog import KnownTag, Project, Stage
from tagboat.core.decision import Decision, decide, match_words
from tagboat.core.deploy import Instance
from tagboat.core.image import Digest
from tagboat.core.natural import natural_key
from tagboat.core.newest import FOUND_LATER, Candidate, Names, Order
from tagboat.core.polling import Change
from tagboat.core.push import Outcome
from tagboat.core.serving import Serving

MOST_COMPARED = 200
"""New tags of one stage that are looked at where their names do not put them in order."""
_OLDER = 100
_BEFORE, _NOW = 0.0, 1.0
"""When a tag was found: before this poll, or by it."""
_FIRST = "the first poll of an image records its tags and deploys none"
_FIRST_CHANGED = "the first poll of an image deploys none, and leaves it to the next"


@dataclass(frozen=True, slots=True)
class News:
    """Of one poll: tags never seen before, in the order found, and known ones whose digest changed.

    `older` are some of the known tags: among commits, one that happens to have no letters is told by the others.
    """

    fresh: tuple[str, ...]
    changed: tuple[tuple[str, Digest], ...]
    older: tuple[str, ...] = field(default=(), compare=False)

    @property
    def tags(self) -> tuple[str, ...]:
        """All of them, each once."""
        return (*(tag for tag, _ in self.changed), *self.fresh)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was learnt by looking at images: of tags that are news, and of those that a stage has.

    `created` is when the images of some were built; `others` are tags that are not images, with what they are; `refused` those
    that the registry does not give, with what it said. All that were asked for are in `seen`.
    """

    created: Mapping[str, datetime] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()

    def and_then(self, more: "Looked") -> "Looked":
        """Both together."""
        return Looked(
            {**self.created, **more.created},
            {**self.others, **more.others},
            {**self.refused, **more.refused},
            self.seen | more.seen,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be looked at: tags that are news, and what a stage has. `to_choose` is whether the choice depends on it."""

    images: Sequence[Serving | str]
    to_choose: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """A tag that is news, and what to do about it: `recorded` where it is made known and no more."""

    tag: str
    change: Change
    decision: Decision


@dataclass(frozen=True, slots=True)
class _Lane:
    """A stage, the tags that are due in it, or will be once it is released, and what it has that they are compared with."""

    stage: Stage
    serving: Sequence[Serving]
    older: Sequence[str]
    due: dict[str, Decision] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Choice:
    """The order of what competes in a lane, and the newest of that.

    `standing` is, by tag, what the stage has that counts against what is due; `left_out` are tags not compared, for there are
    too many.
    """

    order: Order
    standing: Mapping[str, Serving]
    left_out: frozenset[str]
    chosen: Sequence[Candidate]


def watched(named: Sequence[str], live: Sequence[Instance]) -> list[str]:
    """The tags whose digest is looked up, each once: those that are live, and those that are `named` outright by a pattern."""
    return list(dict.fromkeys([*(instance.tag for instance in live), *named]))


def recorded_digest(
    tag: str, known: Mapping[str, KnownTag], live: Sequence[Instance]
) -> str | None:
    """The digest that `tag` was last seen to have; that of its live instance where it was never looked up."""
    entry = known.get(tag)
    if entry is not None and entry.digest is not None:
        return entry.digest
    return next((instance.digest for instance in live if instance.tag == tag), None)


def find_news(
    listed: Sequence[str],
    digests: Mapping[str, Digest],
    known: Mapping[str, KnownTag],
    live: Sequence[Instance],
) -> News:
    """Compare what the registry says with what is on record. A digest seen for the first time is no news."""
    fresh = tuple(tag for tag in listed if tag not in known)
    changed = tuple(
        (tag, digest)
        for tag, digest in digests.items()
        if tag in known and recorded_digest(tag, known, live) not in {None, digest}
    )
    return News(fresh, changed, tuple(islice(known, _OLDER)))


def to_look_at(
    project: Project,
    stages: Sequence[Stage],
    news: News,
    looked: Looked,
    serving: Mapping[str, Sequence[Serving]],
    now: datetime,
) -> Wanted:
    """What must be looked at before `judge` can tell; again after each look, until there is nothing more.

    These are the tags that names alone do not put in order, and those that are to be deployed: are they images? `serving` is
    what each stage has, by its id; of that, only what the others are compared with.
    """
    to_choose: dict[str, Serving | str] = {}
    to_deploy: dict[str, Serving | str] = {}
    for lane in _lanes({tag: decide(project, stages, tag) for tag in news.tags}, news, serving):
        choice = _choice(lane, looked, now)
        for candidate in choice.order.undecided(lane.stage.max_instances):
            to_choose[candidate.tag] = choice.standing.get(candidate.tag, candidate.tag)
        to_deploy |= {
            candidate.tag: candidate.tag for candidate in choice.chosen if candidate.tag in lane.due
        }
    images = [one for tag, one in (to_deploy | to_choose).items() if tag not in looked.seen]
    return Wanted(images, to_choose=not to_choose.keys() <= looked.seen)


def judge(
    project: Project,
    stages: Sequence[Stage],
    live: Sequence[Instance],
    news: News,
    looked: Looked,
    serving: Mapping[str, Sequence[Serving]],
    now: datetime,
    *,
    first: bool,
) -> list[Judged]:
    """What to do about each tag that is news, in the order in which to do it: of one stage, the newest goes live last.

    `first` is whether this is the first poll of the image. A stage takes its `max_instances` newest, counting what it has; of
    a held one these are what is kept for its release. A tag that the registry refuses is left for the next poll.
    """
    decisions = _first(news) if first else {tag: decide(project, stages, tag) for tag in news.tags}
    for lane in _lanes(decisions, news, serving):
        decisions = {
            tag: decision for tag, decision in decisions.items() if tag not in lane.due
        } | _choose(lane, looked, now)
    for tag, _ in news.changed:
        if tag in decisions:
            decisions[tag] = _changed(decisions[tag], tag, stages, live)
    changed = {tag for tag, _ in news.changed}
    return [
        Judged(tag, Change.CHANGED if tag in changed else Change.NEW, decision)
        for tag, decision in decisions.items()
    ]


def _first(news: News) -> dict[str, Decision]:
    changed = dict.fromkeys(
        (tag for tag, _ in news.changed), Decision(Outcome.RECORDED, _FIRST_CHANGED)
    )
    return changed | dict.fromkeys(news.fresh, Decision(Outcome.RECORDED, _FIRST))


def _changed(
    decision: Decision, tag: str, stages: Sequence[Stage], live: Sequence[Instance]
) -> Decision:
    """The decision about a known tag, with the reason why it is news."""
    if any(instance.tag == tag for instance in live):
        cause = "is live"
    else:
        cause = f"the stage {next(stage.name for stage in stages if stage.pattern.literal == tag)} names"
    return replace(
        decision, reason=f"the digest of {tag}, which {cause}, has changed: {decision.reason}"
    )


def _lanes(
    decisions: Mapping[str, Decision], news: News, serving: Mapping[str, Sequence[Serving]]
) -> list[_Lane]:
    lanes: dict[str, _Lane] = {}
    for tag, decision in decisions.items():
        stage = decision.stage
        if stage and (decision.outcome is Outcome.QUEUED or stage.held):
            lanes.setdefault(stage.id, _Lane(stage, serving.get(stage.id, ()), news.older)).due[
                tag
            ] = decision
    return list(lanes.values())


def _choice(lane: _Lane, looked: Looked, now: datetime) -> _Choice:
    stage = lane.stage
    images = [tag for tag in lane.due if tag not in looked.others and tag not in looked.refused]
    standing = (
        {}
        if stage.allow_downgrade
        else {one.tag: one for one in lane.serving if one.tag not in images}
    )
    there = [Candidate(tag, looked.created.get(tag), _BEFORE) for tag in standing]
    new = [Candidate(tag, looked.created.get(tag), _NOW) for tag in images]
    names = Names(stage.pattern, [*standing, *images, *lane.older])
    whole = Order(stage.pattern, there + new, now, names)
    competing = whole.contenders(stage.max_instances)
    of_new = sorted(
        (one for one in competing if one.tag not in standing), key=lambda one: natural_key(one.tag)
    )
    compared = [one for one in competing if one.tag in standing] + of_new[-MOST_COMPARED:]
    order = whole.only(compared)
    left_out = frozenset(one.tag for one in of_new[:-MOST_COMPARED])
    return _Choice(order, standing, left_out, order.first(stage.max_instances))


def _choose(lane: _Lane, looked: Looked, now: datetime) -> dict[str, Decision]:
    """The tags of a lane, the newest last: as many as the stage takes are due as decided, the others are recorded."""
    choice = _choice(lane, looked, now)
    due = [tag for tag in lane.due if tag not in looked.refused]
    images = len([tag for tag in due if tag not in looked.others])
    taken = {
        one.tag: _taken(lane, choice, one, images)
        for one in choice.chosen[::-1]
        if one.tag in lane.due
    }
    left = {
        tag: replace(
            lane.due[tag], outcome=Outcome.RECORDED, reason=_left(lane.stage, choice, looked, tag)
        )
        for tag in due
        if tag not in taken
    }
    return left | taken


def _taken(lane: _Lane, choice: _Choice, one: Candidate, of: int) -> Decision:
    decision, takes = lane.due[one.tag], lane.stage.max_instances
    if decision.outcome is not Outcome.QUEUED:
        return decision
    reason = decision.reason
    if of > takes:
        place = "the newest" if takes == 1 else f"among the {takes} newest"
        reason = f"{reason} and is {place} of {of} found"
    if takes == 1 and (before := _only_found_before(choice, one)):
        reason = f"{reason}; it was found after {before.tag}, which {before.state}, and nothing else tells which is newer"
    return replace(decision, reason=reason)


def _only_found_before(choice: _Choice, one: Candidate) -> Serving | None:
    """What the stage has, where `one` is newer only for having been found later."""
    older = [other for other in choice.order.candidates if other.tag in choice.standing]
    found = [other for other in older if choice.order.rule(one, other) == FOUND_LATER]
    return choice.standing[found[0].tag] if found and len(found) == len(older) else None


def _left(stage: Stage, choice: _Choice, looked: Looked, tag: str) -> str:
    """Why `tag` is not among the chosen."""
    match = match_words(stage, tag)
    if tag in looked.others:
        return f"{match}, but {looked.others[tag]}"
    if tag in choice.left_out:
        return (
            f"{match}, but of the new tags that names do not put in order "
            f"only the {MOST_COMPARED} that sort last are compared"
        )
    least = choice.chosen[-1]
    one = Candidate(tag, looked.created.get(tag), _NOW)
    rule = choice.order.rule(least, one)
    if least.tag in choice.standing:
        state = choice.standing[least.tag].state
        return (
            f"{match}, but {least.tag}, which {state}, {rule}; a poll goes back only where allow_downgrade is set on the "
            f"stage {stage.name}"
        )
    takes = "one" if stage.max_instances == 1 else stage.max_instances
    return f"{match}, but {least.tag} {rule} and the stage {stage.name} takes {takes}"
