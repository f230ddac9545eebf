"""Which tags are new, which of them must be inspected, and which are deployed: pure decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from msgspec import Struct

from tagboat.core.catalog import KnownTag, Project, Stage
from tagboat.core.decision import Decision, decide, match_words
from tagboat.core.deploy import Instance
from tagboat.core.image import Digest
from tagboat.core.natural import natural_key
from tagboat.core.newest import FOUND_LATER, Candidate, Names, Order
from tagboat.core.polling import Change
from tagboat.core.push import Outcome
from tagboat.core.serving import Serving
from tagboat.core.values import replace

MAX_COMPARED = 200
"""New tags of one stage that are inspected because their names do not put them in order."""
_KNOWN_SAMPLE = 100
_FOUND_BEFORE, _FOUND_NOW = 0.0, 1.0
_FIRST_NEW = "the first poll of an image records its tags and deploys none"
_FIRST_CHANGED = "the first poll of an image deploys none, and leaves it to the next"


@dataclass(frozen=True, slots=True)
class TagChanges:
    """Tags of one poll never seen before, in the order found, and known ones with a new digest.

    `sample` are some of the known tags: next to other commit hashes, one that happens to be all
    digits is recognised as a hash.
    """

    new: tuple[str, ...]
    changed: tuple[tuple[str, Digest], ...]
    sample: tuple[str, ...] = field(default=(), compare=False)

    @property
    def tags(self) -> tuple[str, ...]:
        """All of them, each once."""
        return (*(tag for tag, _ in self.changed), *self.new)


@dataclass(frozen=True, slots=True)
class InspectedImages:
    """Images that were inspected: of changed tags, and of tags that a stage has.

    `created` is when images were built, where that is known; `not_images` are tags of something
    else, with what they are; `refused` those that the registry does not give, with its answer.
    `seen` are all tags that were asked for.
    """

    created: Mapping[str, datetime] = field(default_factory=dict)
    not_images: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()

    def merge(self, other: "InspectedImages") -> "InspectedImages":
        """Return both together."""
        return InspectedImages(
            {**self.created, **other.created},
            {**self.not_images, **other.not_images},
            {**self.refused, **other.refused},
            self.seen | other.seen,
        )


class ImagesToInspect(Struct, frozen=True):
    """Changed tags, and tags that a stage has. Without `needed_to_choose` the choice is made."""

    images: Sequence[Serving | str]
    needed_to_choose: bool


class TagDecision(Struct, frozen=True):
    """A changed tag and what to do about it; `recorded` if it is only made known."""

    tag: str
    change: Change
    decision: Decision


@dataclass(frozen=True, slots=True)
class StageCandidates:
    """The tags that are due in a stage, or will be once it is released.

    `serving` is what the stage has, to compare them with; `sample` as in `TagChanges`.
    """

    stage: Stage
    serving: Sequence[Serving]
    sample: Sequence[str]
    due: dict[str, Decision] = field(default_factory=dict)


class _Choice(Struct, frozen=True):
    """The order of a stage's candidates, and the `chosen` ones, the newest first.

    `standing` is, by tag, what the stage has that counts against what is due; `left_out` are tags
    not compared because there are too many.
    """

    order: Order
    standing: Mapping[str, Serving]
    left_out: frozenset[str]
    chosen: Sequence[Candidate]


def find_changes(
    listed: Sequence[str],
    digests: Mapping[str, Digest],
    known: Mapping[str, KnownTag],
    live: Sequence[Instance],
) -> TagChanges:
    """Compare the registry's answer with the record.

    A digest seen for the first time is not a change. A tag whose digest was never looked up is
    compared with the digest of its live instance.
    """
    changed: list[tuple[str, Digest]] = []
    for tag, digest in digests.items():
        if (entry := known.get(tag)) is None:
            continue
        # A tag known by webhook alone has no digest on record, but its instance has.
        running = next((instance.digest for instance in live if instance.tag == tag), None)
        if (entry.digest or running) not in {None, digest}:
            changed.append((tag, digest))
    new = tuple(tag for tag in listed if tag not in known)
    return TagChanges(new, tuple(changed), tuple(islice(known, _KNOWN_SAMPLE)))


def images_to_inspect(
    project: Project,
    stages: Sequence[Stage],
    changes: TagChanges,
    inspected: InspectedImages,
    serving: Mapping[str, Sequence[Serving]],
    now: datetime,
) -> ImagesToInspect:
    """Return what must be inspected before `choose_new_tags` can choose.

    These are the tags that names alone do not put in order, and those that are to be deployed: are
    they images? Call it again after each inspection, until nothing is left. `serving` maps stage
    ids to what the stage has.
    """
    to_choose: dict[str, Serving | str] = {}
    to_deploy: dict[str, Serving | str] = {}
    decisions = {tag: decide(project, stages, tag) for tag in changes.tags}
    for candidates in _candidates_by_stage(decisions, changes, serving):
        choice = _choose_newest(candidates, inspected, now)
        for candidate in choice.order.undecided(candidates.stage.max_instances):
            to_choose[candidate.tag] = choice.standing.get(candidate.tag, candidate.tag)
        to_deploy |= {one.tag: one.tag for one in choice.chosen if one.tag in candidates.due}
    images = [one for tag, one in (to_deploy | to_choose).items() if tag not in inspected.seen]
    return ImagesToInspect(images, needed_to_choose=not to_choose.keys() <= inspected.seen)


def choose_new_tags(
    project: Project,
    stages: Sequence[Stage],
    live: Sequence[Instance],
    changes: TagChanges,
    inspected: InspectedImages,
    serving: Mapping[str, Sequence[Serving]],
    now: datetime,
    *,
    first: bool,
) -> list[TagDecision]:
    """Decide about each changed tag, in the order to carry out: a stage's newest goes live last.

    `first` is whether this is the first poll of the image. A stage takes its `max_instances`
    newest, counting what it has; a held one keeps these for its release. A tag that the registry
    refuses is left for the next poll.
    """
    changed = {tag for tag, _ in changes.changed}
    if first:
        decisions = {
            tag: Decision(Outcome.RECORDED, _FIRST_CHANGED if tag in changed else _FIRST_NEW)
            for tag in changes.tags
        }
    else:
        decisions = {tag: decide(project, stages, tag) for tag in changes.tags}
    for candidates in _candidates_by_stage(decisions, changes, serving):
        # The others first: deploys are queued in the order of these keys, the newest last.
        others = {tag: one for tag, one in decisions.items() if tag not in candidates.due}
        decisions = others | decide_in_stage(candidates, inspected, now)
    running = {instance.tag for instance in live}
    for tag in changed & decisions.keys():
        cause = "is live"
        if tag not in running:
            named_by = next(stage.name for stage in stages if stage.pattern.literal == tag)
            cause = f"the stage {named_by} names"
        why = f"the digest of {tag}, which {cause}, has changed: {decisions[tag].reason}"
        decisions[tag] = replace(decisions[tag], reason=why)
    return [
        TagDecision(tag, Change.CHANGED if tag in changed else Change.NEW, decision)
        for tag, decision in decisions.items()
    ]


def _candidates_by_stage(
    decisions: Mapping[str, Decision],
    changes: TagChanges,
    serving: Mapping[str, Sequence[Serving]],
) -> list[StageCandidates]:
    stages: dict[str, StageCandidates] = {}
    for tag, decision in decisions.items():
        stage = decision.stage
        # A held or stopped stage keeps for its release what it would deploy otherwise.
        if stage and (decision.outcome is Outcome.QUEUED or stage.closed_to_news):
            candidates = stages.setdefault(
                stage.id, StageCandidates(stage, serving.get(stage.id, ()), changes.sample)
            )
            candidates.due[tag] = decision
    return list(stages.values())


def _choose_newest(
    candidates: StageCandidates, inspected: InspectedImages, now: datetime
) -> _Choice:
    stage = candidates.stage
    images = [
        tag
        for tag in candidates.due
        if tag not in inspected.not_images and tag not in inspected.refused
    ]
    standing = (
        {}
        if stage.allow_downgrade
        else {one.tag: one for one in candidates.serving if one.tag not in images}
    )
    before = [Candidate(tag, inspected.created.get(tag), _FOUND_BEFORE) for tag in standing]
    new = [Candidate(tag, inspected.created.get(tag), _FOUND_NOW) for tag in images]
    names = Names(stage.pattern, [*standing, *images, *candidates.sample])
    whole = Order(stage.pattern, before + new, now, names)
    competing = whole.contenders(stage.max_instances)
    # Comparing them takes time that grows with their square.
    of_new = sorted(
        (one for one in competing if one.tag not in standing), key=lambda one: natural_key(one.tag)
    )
    compared = [one for one in competing if one.tag in standing] + of_new[-MAX_COMPARED:]
    order = whole.only(compared)
    left_out = frozenset(one.tag for one in of_new[:-MAX_COMPARED])
    return _Choice(order, standing, left_out, order.first(stage.max_instances))


def decide_in_stage(
    candidates: StageCandidates, inspected: InspectedImages, now: datetime
) -> dict[str, Decision]:
    """Decide about the candidates of a stage, the newest last.

    As many as the stage takes are due as decided before, the others are recorded.
    """
    choice = _choose_newest(candidates, inspected, now)
    due = [tag for tag in candidates.due if tag not in inspected.refused]
    images = len([tag for tag in due if tag not in inspected.not_images])
    taken = {
        one.tag: decide_chosen(candidates, choice, one, images)
        # The newest comes last: deploys of a stage are carried out in this order.
        for one in choice.chosen[::-1]
        if one.tag in candidates.due
    }
    recorded = {
        tag: replace(
            candidates.due[tag],
            outcome=Outcome.RECORDED,
            reason=reason_not_chosen(candidates.stage, choice, inspected, tag),
        )
        for tag in due
        if tag not in taken
    }
    return recorded | taken


def decide_chosen(
    candidates: StageCandidates, choice: _Choice, one: Candidate, found: int
) -> Decision:
    """Return the decision about a chosen tag, with the reason why it is chosen out of `found`."""
    decision, takes = candidates.due[one.tag], candidates.stage.max_instances
    if decision.outcome is not Outcome.QUEUED:
        return decision
    reason = decision.reason
    if found > takes:
        place = "the newest" if takes == 1 else f"among the {takes} newest"
        reason = f"{reason} and is {place} of {found} found"
    standing = [other for other in choice.order.candidates if other.tag in choice.standing]
    # Being found later is a weak reason, so it is said.
    only_later = all(choice.order.rule(one, other) == FOUND_LATER for other in standing)
    if takes == 1 and standing and only_later:
        before = choice.standing[standing[0].tag]
        reason = (
            f"{reason}; it was found after {before.tag}, which {before.state}, "
            "and nothing else shows which is newer"
        )
    return replace(decision, reason=reason)


def reason_not_chosen(stage: Stage, choice: _Choice, inspected: InspectedImages, tag: str) -> str:
    """Return the reason why `tag` is recorded only."""
    match = match_words(stage, tag)
    if tag in inspected.not_images:
        return f"{match}, but {inspected.not_images[tag]}"
    if tag in choice.left_out:
        return (
            f"{match}, but of the new tags that names do not put in order "
            f"only the {MAX_COMPARED} that sort last are compared"
        )
    # What lost to the last of those chosen has lost to the others too.
    least = choice.chosen[-1]
    one = Candidate(tag, inspected.created.get(tag), _FOUND_NOW)
    rule = choice.order.rule(least, one)
    if least.tag in choice.standing:
        state = choice.standing[least.tag].state
        return (
            f"{match}, but {least.tag}, which {state}, {rule}; a poll goes back only where "
            f"allow_downgrade is set on the stage {stage.name}"
        )
    takes = "one" if stage.max_instances == 1 else stage.max_instances
    return f"{match}, but {least.tag} {rule} and the stage {stage.name} takes {takes}"
