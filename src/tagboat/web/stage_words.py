"""The sentences of the pages of projects and stages: pure functions of values."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.catalog import HeldPush, Stage
from tagboat.core.ending import EndingKind
from tagboat.core.excerpt import as_sentence
from tagboat.core.health import Trouble
from tagboat.operations.queries.lane import Gap, GapReason, gap_between
from tagboat.operations.queries.matrix import StageCell
from tagboat.operations.queries.project_page import StageDetail, StageOnPage
from tagboat.operations.views import InstanceView
from tagboat.web.cell_words import (
    CellWords,
    cell_words,
    has_failed,
    has_usual_name,
    usual_place,
)
from tagboat.web.deploy_words import step_sentence
from tagboat.web.durations import age
from tagboat.web.messages import Tone

_ENDING_TONES = {
    EndingKind.SERVING: Tone.OK,
    EndingKind.ROLLED_BACK: Tone.WAIT,
    EndingKind.FAILED_WATCH: Tone.BAD,
}
_GAP_WORDS = {
    GapReason.NOTHING_BEFORE: "Nothing is live in {name} yet.",
    GapReason.SAME: "The same version as in {name}.",
    GapReason.UNDER_WAY: "{tag} of {name} is on its way.",
    GapReason.HELD: "Held: {tag} of {name} does not come by itself.",
    GapReason.STOPPED: "Stopped: {tag} of {name} does not come by itself.",
    GapReason.UNWELL: "{tag} is not well in {name}.",
    GapReason.NO_MATCH: "{tag} of {name} does not match {pattern}: promote it by hand.",
    GapReason.BY_HAND: "{tag} is live in {name}; pushes wait for a person here.",
    GapReason.NOT_YET: "{tag} is live in {name}, and not here.",
}
_SHOWN_TAGS = 3
_FEW = 5


class LaneStep(Struct, frozen=True):
    """A stage on the way of a tag, or beside it if its name says nothing (`is_on_way`).

    `gap` is why it lacks what `source` has, empty for the first.
    """

    on_page: StageOnPage
    is_on_way: bool
    words: CellWords
    gap: str
    source: Stage | None
    can_promote: bool


def lane_steps(stages: Sequence[StageOnPage]) -> list[LaneStep]:
    """Return the stages in the usual way of a tag, each with what keeps the tag before it away."""
    steps: list[LaneStep] = []
    source: StageCell | None = None
    for one in sorted(stages, key=lambda one: usual_place(one.view.stage.name)):
        # Of previews and other names nobody knows what comes before them.
        is_on_way = has_usual_name(one.view.stage.name)
        gap = gap_between(source, one.cell) if source and is_on_way else None
        steps.append(
            LaneStep(
                on_page=one,
                is_on_way=is_on_way,
                words=cell_words(one.cell),
                gap=gap_words(gap, source, one.cell) if gap and source else "",
                source=source.stage if source and gap else None,
                can_promote=gap is not None and gap.offered is not None,
            )
        )
        # A stage without anything live has nothing to pass on: the one before it still has.
        if is_on_way and (one.cell.live or source is None):
            source = one.cell
    return steps


def split_lane(steps: Sequence[LaneStep]) -> tuple[list[LaneStep], list[LaneStep]]:
    """Return the stages that are shown as the way of a tag, and the others; few are all shown."""
    if len(steps) <= _FEW:
        return list(steps), []
    return [one for one in steps if one.is_on_way], [one for one in steps if not one.is_on_way]


def project_warnings(stages: Sequence[StageOnPage]) -> list[str]:
    """Return what will not go as one might expect, each once; the first few."""
    # A stage that covers others names all of them, and so does each of the others.
    return list(dict.fromkeys(text for one in stages for text in one.view.warnings))[:_FEW]


def gap_words(gap: Gap, before: StageCell, after: StageCell) -> str:
    """Return why `after` does not serve what `before` serves."""
    words = _GAP_WORDS[gap.reason]
    tag = gap.offered.tag if gap.offered else ""
    return words.format(name=before.stage.name, tag=tag, pattern=after.stage.pattern)


def stage_tone(cell: StageCell) -> Tone:
    """Return the colour of a stage."""
    return cell_words(cell).tone


def stage_sentence(cell: StageCell, now: datetime) -> str:
    """Return what a stage serves, what is under way there, and what is wrong."""
    parts = [_what_serves(cell, now)]
    if cell.under_way:
        deploy = cell.under_way[-1]
        parts.append(f"{deploy.tag} is under way. {step_sentence(deploy)}.")
    elif cell.trouble is not None:
        parts.append(f"It is not well: {cell.trouble.detail}.")
    elif cell.newest is not None and has_failed(cell):
        reason = as_sentence(cell.newest.reason or "no reason is on record")
        parts.append(f"{cell.newest.tag} failed: {reason}")
    return " ".join(parts)


def _what_serves(cell: StageCell, now: datetime) -> str:
    if not cell.live:
        return stop_sentence(cell.stage, now) or "Nothing is live."
    if len(cell.live) > 1:
        tags = [one.tag for one in cell.live]
        more = f" and {len(tags) - _SHOWN_TAGS} more" if len(tags) > _SHOWN_TAGS else ""
        return f"{len(tags)} tags are live: {', '.join(tags[:_SHOWN_TAGS])}{more}."
    newest = cell.live[0]
    return f"{newest.tag} is live, for {age(newest.live_at or newest.started_at, now)}."


def hold_sentence(stage: Stage, waiting: Sequence[HeldPush], now: datetime) -> str:
    """Return since when a stage is held, by whom, and what waits; empty if it is not held."""
    if not stage.held:
        return ""
    since = f" for {age(stage.held_at, now)}" if stage.held_at else ""
    by = f" by {stage.held_by}" if stage.held_by else ""
    return f"Held{since}{by}: {waiting_words(waiting)}"


def stop_sentence(stage: Stage, now: datetime) -> str:
    """Return since when a stage is stopped, and by whom; empty if it is not stopped."""
    if stage.stopped_at is None:
        return ""
    by = f" by {stage.stopped_by}" if stage.stopped_by else ""
    return f"Stopped for {age(stage.stopped_at, now)}{by}: nothing runs, and pushes wait."


def waiting_words(waiting: Sequence[HeldPush]) -> str:
    """Return how many pushes wait, and which came last."""
    if not waiting:
        return "pushes and polls deploy nothing here. None has come since."
    # A tag that was pushed twice waits once.
    tags = list(dict.fromkeys(push.tag for push in reversed(waiting)))
    number = "1 push waits" if len(tags) == 1 else f"{len(tags)} pushes wait"
    return f"{number}, newest {tags[0]}."


def health_words(view: InstanceView) -> tuple[str, Tone]:
    """Return what the engine reported last of a live instance, and its colour."""
    vitals = view.vitals
    if vitals is None:
        return "not reported yet", Tone.PLAIN
    if vitals.trouble is not Trouble.NONE:
        return vitals.detail, Tone.BAD
    restarts = f", restarted {vitals.restarts} times" if vitals.restarts else ""
    return f"{vitals.health or 'running'}{restarts}", Tone.OK


def ending_tone(kind: EndingKind) -> Tone:
    """Return the colour of how the time of an instance as the live one ended."""
    return _ENDING_TONES.get(kind, Tone.PLAIN)


def pending_title(changes: int) -> str:
    """Return the heading of changes that are saved and not live."""
    return f"Saved, not live: {changes} change{'' if changes == 1 else 's'}"


def promote_sources(detail: StageDetail) -> list[StageCell]:
    """Return the other stages that have something live to promote, in the usual way of a tag."""
    found = [cell for cell in detail.others if cell.live]
    return sorted(found, key=lambda cell: usual_place(cell.stage.name))
