"""Silent registries: they used to call, and polling finds pushes that they did not report."""

from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.delivery import DeliverySummary, Named, PushResult, Receipt
from tagboat.core.heard import PollFinds, calls_heard, find_silence, found_more
from tagboat.core.push import Outcome

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
HOST = "git.example.com"


def ago(**much: float) -> datetime:
    return NOW - timedelta(**much)


def finds(first: datetime, last: datetime, pushes: int = 4) -> PollFinds:
    return PollFinds(host=HOST, first_at=first, last_at=last, pushes=pushes)


@pytest.mark.parametrize(
    ("case", "last_call", "called_from", "found", "silent"),
    [
        ("it called, then did not", ago(days=3), None, finds(ago(days=2), ago(hours=1)), True),
        ("it has a URL and never called", None, ago(days=3), finds(ago(days=2), ago(days=1)), True),
        ("nobody expects its calls", None, None, finds(ago(days=2), ago(hours=1)), False),
        ("nothing was found", ago(days=3), None, None, False),
        ("it called since", ago(minutes=5), None, finds(ago(days=2), ago(hours=1)), False),
        ("its URL is newer", None, ago(minutes=5), finds(ago(days=2), ago(hours=1)), False),
        ("one poll after a start", ago(days=3), None, finds(ago(hours=1), ago(hours=1)), False),
        ("long ago", ago(days=30), None, finds(ago(days=20), ago(days=8)), False),
        ("a URL made before the calls", ago(days=1), ago(days=9), finds(ago(days=8), NOW), False),
    ],
)
def test_silence(
    case: str,
    last_call: datetime | None,
    called_from: datetime | None,
    found: PollFinds | None,
    silent: bool,
) -> None:
    silence = find_silence(HOST, last_call, called_from, found, NOW)

    assert (silence is not None) == silent, case
    if silence:
        assert (silence.last_call, silence.pushes) == (last_call, 4)


def test_finds_add_up_until_a_call() -> None:
    first = found_more(None, HOST, None, 2, ago(hours=3))
    second = found_more(first, HOST, ago(hours=9), 1, ago(hours=2))
    assert second == finds(ago(hours=3), ago(hours=2), 3)

    assert found_more(second, HOST, ago(hours=1), 1, NOW) == finds(NOW, NOW, 1)
    # A clock that was set back changes no order.
    assert found_more(second, HOST, None, 1, ago(hours=8)).last_at == ago(hours=2)


def push(image: str, *, known: bool = True) -> PushResult:
    return PushResult(
        image=image,
        tag="v1",
        digest=None,
        project=Named("1", "shop") if known else None,
        outcome=Outcome.QUEUED if known else Outcome.REFUSED,
        reason="",
    )


@pytest.mark.parametrize(
    ("status", "pushes", "hosts"),
    [
        (202, (push("a.example/x"), push("b.example:5000/y/z"), push("a.example/z")), 2),
        (202, (push("stranger.example/x", known=False),), [""]),
        (202, (), [""]),
        (400, (push("a.example/x"),), []),
    ],
)
def test_a_call_is_heard_of_the_hosts_of_known_images(
    status: int, pushes: tuple[PushResult, ...], hosts: object
) -> None:
    delivery = DeliverySummary(
        id="d", sender="gitea", status=status, receipt=Receipt("d", pushes), received_at=NOW
    )
    heard = [call.host for call in calls_heard(delivery)]
    assert heard == (["a.example", "b.example:5000"] if hosts == 2 else hosts)
