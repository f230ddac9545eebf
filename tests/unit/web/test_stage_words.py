"""The sentences of the pages of projects and stages."""

from datetime import timedelta

from tagboat.core.catalog import HeldPush
from tagboat.core.deploy import DeployStatus
from tagboat.core.ending import EndingKind
from tagboat.core.values import replace
from tagboat.operations.queries.lane import GapReason, gap_between
from tagboat.operations.queries.matrix import StageCell
from tagboat.web import stage_words as said
from tagboat.web.messages import Tone
from tests.unit.operations.queries.test_lane import (
    BEFORE,
    ILL,
    NOW,
    ONE,
    OTHER,
    UNDER_WAY,
    live,
    stage_cell,
)

EMPTY = stage_cell("prod")


def push(tag: str, minutes: int) -> HeldPush:
    return HeldPush(
        stage_id="s",
        tag=tag,
        digest=None,
        source="webhook",
        seen_at=NOW - timedelta(minutes=minutes),
    )


def test_a_stage_says_what_it_serves() -> None:
    def sentence(cell: StageCell) -> str:
        return said.stage_sentence(cell, NOW)

    assert sentence(EMPTY) == "Nothing is live."
    assert sentence(BEFORE) == "v2 is live, for 1 h."
    four = stage_cell("dev", *(live(f"v{number}", ONE) for number in range(4)))
    assert sentence(four) == "4 tags are live: v0, v1, v2 and 1 more."
    assert sentence(replace(BEFORE, trouble=ILL)).endswith("It is not well: ill.")
    under_way = replace(EMPTY, under_way=(replace(UNDER_WAY, status=DeployStatus.QUEUED),))
    assert sentence(under_way) == "Nothing is live. v2 is under way. Queued."
    failed = replace(UNDER_WAY, status=DeployStatus.FAILED, reason="no such tag.")
    assert sentence(replace(BEFORE, newest=failed)).endswith("v2 failed: no such tag.")


def test_a_hold_says_since_when_by_whom_and_what_waits() -> None:
    held = stage_cell("prod", held=True, held_at=NOW - timedelta(hours=2), held_by="ada").stage
    assert said.hold_sentence(EMPTY.stage, [push("v1", 1)], NOW) == ""
    assert said.hold_sentence(held, [], NOW).startswith("Held for 2 h by ada: pushes and polls")
    waiting = [push("v1", 9), push("v2", 5), push("v1", 1)]
    assert said.hold_sentence(held, waiting, NOW) == (
        "Held for 2 h by ada: 2 pushes wait, newest v1."
    )
    unknown = replace(held, held_at=None, held_by=None)
    assert said.hold_sentence(unknown, [push("v1", 1)], NOW) == "Held: 1 push waits, newest v1."


def test_a_stopped_stage_says_since_when_and_by_whom() -> None:
    at = NOW - timedelta(hours=2)
    stopped = stage_cell("prod", stopped_at=at, stopped_by="ada")
    assert said.stage_sentence(stopped, NOW) == (
        "Stopped for 2 h by ada: nothing runs, and pushes wait."
    )
    failed = replace(UNDER_WAY, status=DeployStatus.FAILED, reason="no such tag.")
    before = replace(failed, finished_at=at - timedelta(hours=1))
    after = replace(failed, finished_at=at + timedelta(hours=1))
    assert "failed" not in said.stage_sentence(replace(stopped, newest=before), NOW)
    assert said.stage_sentence(replace(stopped, newest=after), NOW).endswith(
        "v2 failed: no such tag."
    )
    gap = gap_between(BEFORE, stopped)
    assert said.gap_words(gap, BEFORE, stopped) == "Stopped: v2 of dev does not come by itself."


def test_every_gap_has_its_sentence() -> None:
    assert set(said._GAP_WORDS) == set(GapReason)
    gap = gap_between(BEFORE, stage_cell("prod", live("v1", OTHER), pattern="main-*"))
    after = stage_cell("prod", pattern="main-*")
    assert said.gap_words(gap, BEFORE, after) == (
        "v2 of dev does not match main-*: promote it by hand."
    )


def test_titles_and_colours() -> None:
    assert said.pending_title(1) == "Saved, not live: 1 change"
    assert said.pending_title(2) == "Saved, not live: 2 changes"
    assert said.ending_tone(EndingKind.FAILED_WATCH) is Tone.BAD
    assert said.ending_tone(EndingKind.RETIRED) is Tone.PLAIN
