"""The receipt of a deploy as `deploys show` and `--wait` print it."""

from typing import Any

import pytest

from tagboat.cli.deploy_receipt import receipt_sentence
from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import DEPLOY, FakeServer

SIDE = {
    "requests": 0,
    "answered": 0,
    "failed_5xx": 0,
    "aborted": 0,
    "left_by_client": 0,
    "in_flight": 0,
}
RECEIPT: dict[str, Any] = {
    "requests": 412,
    "failed": 3,
    "old": SIDE | {"requests": 31, "answered": 31},
    "new": SIDE
    | {"requests": 381, "answered": 378, "failed_5xx": 1, "aborted": 2, "left_by_client": 2},
    "longest_drain_s": 1.25,
    "downtime_s": 0.0,
    "turned_away": 0,
    "complete": True,
    "reason": None,
    "since": "2026-11-24T10:00:00Z",
    "until": "2026-11-24T10:00:20Z",
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "412 requests (31 to the old instance, 381 to the new one); 3 failed; no downtime",
        ),
        (
            {"requests": 0, "failed": 0},
            "0 requests; 0 failed; no downtime",
        ),
        (
            {"downtime_s": 2.34, "complete": False, "reason": "HAProxy was restarted"},
            (
                "412 requests (31 to the old instance, 381 to the new one); 3 failed;"
                " requests waited 2.3 s; not complete: HAProxy was restarted"
            ),
        ),
    ],
)
def test_the_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert receipt_sentence(RECEIPT | changes) == sentence


def test_deploys_show_has_a_table_of_both_sides(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys/d1"] = DEPLOY | {"receipt": RECEIPT}
    shown = tagboat("deploys", "show", "d1").stdout
    (new,) = [line.split() for line in shown.splitlines() if line.startswith("new ")]
    assert new == ["new", "381", "378", "1", "2", "2", "0"]
    assert "last request on the old instance: 1.2 s after" in shown
    assert "met no instance" not in shown
    assert "412 requests" in shown


def test_one_without_a_receipt_says_nothing_of_it(tagboat: Tagboat, server: FakeServer) -> None:
    for deploy in (DEPLOY, DEPLOY | {"receipt": None}):
        server.answers["GET /api/deploys/d1"] = deploy
        assert "receipt" not in tagboat("deploys", "show", "d1").stdout


def test_waiting_ends_with_the_sentence(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys/d1"] = DEPLOY | {"receipt": RECEIPT}
    done = tagboat("deploy", "app", "dev", "v1", "--wait")
    assert done.stderr.splitlines()[-1] == receipt_sentence(RECEIPT)
