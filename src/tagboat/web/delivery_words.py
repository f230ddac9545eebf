"""The words of the log of calls: states in colour, names of senders, bodies as people read them."""

import json
from collections.abc import Mapping, Sequence

from msgspec import Struct

from tagboat.core.delivery import FIRST_REFUSAL, Named
from tagboat.core.deploy import DeployStatus
from tagboat.core.push import Outcome
from tagboat.operations.queries.deliveries import DeliveryRow
from tagboat.web.messages import Tone

_OUTCOME_TONES: Mapping[Outcome, Tone] = {
    Outcome.QUEUED: Tone.OK,
    Outcome.MERGED: Tone.OK,
    Outcome.WAITING: Tone.WAIT,
    Outcome.REFUSED: Tone.BAD,
}
_OUTCOME_SENTENCES: Mapping[Outcome, str] = {
    Outcome.QUEUED: "It would be deployed in {stage}.",
    Outcome.MERGED: "It would join a deploy of the same tag in {stage}.",
    Outcome.WAITING: "It would wait in {stage} for a person.",
    Outcome.UNMATCHED: "Nothing would be deployed: no stage takes this tag.",
    Outcome.REFUSED: "It would be refused.",
}
_DEEPEST = 50
_WORST_FIRST = (Tone.BAD, Tone.WAIT, Tone.OK)


class CallBody(Struct, frozen=True):
    """The body of a call; `text` has a line for each value where it is JSON."""

    text: str
    lines: int


def outcome_tone(outcome: Outcome) -> Tone:
    """Return the colour of a push's outcome."""
    return _OUTCOME_TONES.get(outcome, Tone.PLAIN)


def tag_words(outcome: Outcome, status: DeployStatus | None) -> str:
    """Return what became of a pushed tag: the end of its deploy, or the outcome until it ends."""
    if status is None or not status.final:
        return str(outcome)
    return "deployed" if status is DeployStatus.SUCCEEDED else str(status)


def call_tone(row: DeliveryRow) -> Tone:
    """Return the colour of a call: that of its worst push, bad where it was refused."""
    if row.delivery.status >= FIRST_REFUSAL:
        return Tone.BAD
    if row.needs_you:
        return Tone.WAIT
    tones = {outcome_tone(push.outcome) for push in row.pushes}
    return next((tone for tone in _WORST_FIRST if tone in tones), Tone.PLAIN)


def call_sentence(row: DeliveryRow) -> str:
    """Return what came of a call, in a sentence."""
    if row.delivery.status >= FIRST_REFUSAL:
        return f"The call was refused: {row.reason or 'no reason is on record'}."
    if not row.pushes:
        return f"The call pushed nothing: {row.reason or 'no reason is on record'}."
    pushes = "1 push" if len(row.pushes) == 1 else f"{len(row.pushes)} pushes"
    return f"The call brought {pushes}: {row.outcome}."


def would_be(outcome: Outcome, project: Named | None, stage: Named | None) -> str:
    """Return what a push would do, in a sentence; None for a project or stage not made yet."""
    where = f"{project.name} {stage.name}" if project and stage else "a new project"
    return _OUTCOME_SENTENCES.get(outcome, f"It would be {outcome}.").format(stage=where)


def pretty_body(body: str) -> CallBody:
    """Return a body as people read it; one that is not JSON, or nested deeply, stays as it is."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return CallBody(body, body.count("\n") + 1)
    # Each level indents all lines within: 64 kB of brackets would become 59 MB.
    text = json.dumps(read, indent=2, ensure_ascii=False) if _is_flat(read, _DEEPEST) else body
    return CallBody(text, text.count("\n") + 1)


def _is_flat(value: object, levels: int) -> bool:
    """Return whether lists and objects are nested in at most so many levels."""
    if not isinstance(value, list | dict):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(one, levels - 1) for one in inner)


def known_senders(heard: Sequence[str], asked: str) -> tuple[str, ...]:
    """Return the senders to choose from: those heard, and the one that is asked for."""
    return tuple(sorted({*heard, *([asked] if asked else [])}))
