from datetime import UTC, datetime

import pytest

from tagboat.core.delivery import DeliverySummary, Named, PushResult, Receipt
from tagboat.core.deploy import DeployStatus
from tagboat.core.push import Outcome
from tagboat.operations.queries.deliveries import DeliveryRow, read_row
from tagboat.web.delivery_words import (
    call_sentence,
    call_tone,
    known_senders,
    outcome_tone,
    pretty_body,
    tag_words,
    would_be,
)
from tagboat.web.messages import Tone

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def a_row(
    *outcomes: Outcome, status: int = 202, reason: str | None = None, needs_you: bool = False
) -> DeliveryRow:
    pushes = tuple(
        PushResult(image="i", tag="v1", digest=None, outcome=one, reason="so") for one in outcomes
    )
    receipt = Receipt("d", pushes, reason, needs_you=needs_you)
    summary = DeliverySummary(
        id="d", sender="quay", status=status, receipt=receipt, received_at=NOW
    )
    return read_row(summary, {})


@pytest.mark.parametrize(
    ("row", "tone", "sentence"),
    [
        (a_row(Outcome.QUEUED), Tone.OK, "The call brought 1 push: queued."),
        (
            a_row(Outcome.QUEUED, Outcome.WAITING),
            Tone.WAIT,
            "The call brought 2 pushes: 1 queued, 1 waiting.",
        ),
        (a_row(Outcome.WAITING, Outcome.REFUSED), Tone.BAD, None),
        (a_row(Outcome.UNMATCHED), Tone.PLAIN, "The call brought 1 push: unmatched."),
        (a_row(reason="it is a ping"), Tone.PLAIN, "The call pushed nothing: it is a ping."),
        (a_row(status=400, reason="no image"), Tone.BAD, "The call was refused: no image."),
        (a_row(status=400), Tone.BAD, "The call was refused: no reason is on record."),
        (a_row(Outcome.QUEUED, needs_you=True), Tone.WAIT, None),
    ],
)
def test_a_call(row: DeliveryRow, tone: Tone, sentence: str | None) -> None:
    assert call_tone(row) is tone
    if sentence is not None:
        assert call_sentence(row) == sentence


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        (Outcome.QUEUED, DeployStatus.SUCCEEDED, "deployed"),
        (Outcome.MERGED, DeployStatus.FAILED, "failed"),
        (Outcome.QUEUED, DeployStatus.SUPERSEDED, "superseded"),
        (Outcome.QUEUED, DeployStatus.RUNNING, "queued"),
        (Outcome.WAITING, None, "waiting"),
    ],
)
def test_a_tag_is_said_by_how_its_deploy_ended(
    outcome: Outcome, status: DeployStatus | None, said: str
) -> None:
    assert tag_words(outcome, status) == said


def test_every_outcome_has_a_sentence() -> None:
    shop, prod = Named("p", "shop"), Named("s", "prod")
    said = {outcome: would_be(outcome, shop, prod) for outcome in Outcome}
    assert said[Outcome.QUEUED] == "It would be deployed in shop prod."
    assert len(set(said.values())) == len(Outcome)
    assert would_be(Outcome.QUEUED, None, None) == "It would be deployed in a new project."
    assert outcome_tone(Outcome.MERGED) is Tone.OK


@pytest.mark.parametrize(
    ("body", "text", "lines"),
    [
        ('{"a":[1,"ä"]}', '{\n  "a": [\n    1,\n    "ä"\n  ]\n}', 6),
        ("payload=x", "payload=x", 1),
        ('{"cut": "sho', '{"cut": "sho', 1),
        ("[" * 50_000, "[" * 50_000, 1),
        ("9" * 5_000, "9" * 5_000, 1),
    ],
)
def test_bodies(body: str, text: str, lines: int) -> None:
    read = pretty_body(body)
    assert (read.text, read.lines) == (text, lines)


@pytest.mark.parametrize(("depth", "lines"), [(50, 99), (51, 1), (900, 1), (30_000, 1)])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_a_body_that_is_nested_deeply_stays_as_it_is(
    depth: int, lines: int, opens: str, closes: str
) -> None:
    core = "[]" if opens == "[" else "{}"
    body = opens * (depth - 1) + core + closes * (depth - 1)
    read = pretty_body(body)
    assert read.lines == lines
    assert (read.text == body) == (lines == 1)


def test_the_sender_asked_for_can_be_chosen() -> None:
    assert known_senders(["quay", "gitea", "quay"], "") == ("gitea", "quay")
    assert known_senders(["quay"], "unknown") == ("quay", "unknown")
