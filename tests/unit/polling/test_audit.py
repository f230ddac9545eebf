from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tagboat.core.audit import AuditEntry
from tagboat.core.catalog import Project
from tagboat.core.image import ImageName
from tagboat.core.polling import Change, PollReport, TagReport
from tagboat.core.ports import Tx
from tagboat.core.principal import SERVER, Principal
from tagboat.core.push import Outcome, PushVerdict, Source
from tagboat.polling.audit import record_poll

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
PROJECT = Project(id="p", name="shop", image=ImageName("docker.io", "a/shop"), created_at=NOON)


class Recorder:
    """A transaction that only has an audit."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def record_audit(self, entry: AuditEntry) -> None:
        """Keep it."""
        self.entries.append(entry)


def report(deploys: int = 0, error: str | None = None) -> PollReport:
    def tag(number: int, deploy: str | None) -> TagReport:
        outcome = Outcome.QUEUED if deploy else Outcome.RECORDED
        verdict = PushVerdict(
            at=NOON, source=Source.POLL, outcome=outcome, reason="so", deploy=deploy
        )
        return TagReport(tag=f"v{number}", change=Change.NEW, verdict=verdict)

    tags = (tag(0, None), *(tag(number, "d") for number in range(1, deploys + 1)))
    return PollReport(first_poll=False, tags=tags, error=error)


@pytest.mark.parametrize(
    ("found", "actor", "expected"),
    [
        (report(), None, []),
        (report(error="down"), None, []),
        (report(2), None, [("poll", "poll", "v1 is queued, v2 is queued")]),
        (report(), SERVER, [("server", "Tagboat", "found nothing to deploy")]),
        (report(error="down"), SERVER, [("server", "Tagboat", "down")]),
        (report(1), SERVER, [("server", "Tagboat", "v1 is queued")]),
    ],
)
def test_a_poll_has_one_entry_if_it_was_ordered_or_queued_something(
    found: PollReport, actor: Principal | None, expected: list[Any]
) -> None:
    recorder = Recorder()

    record_poll(cast("Tx", recorder), PROJECT, found, actor, NOON)

    assert [(one.actor_kind, one.actor_name, one.note) for one in recorder.entries] == expected
    assert all(
        (one.action, one.subject_name, one.project_id) == ("project.poll", "shop", "p")
        for one in recorder.entries
    )


def test_very_many_tags_are_counted() -> None:
    recorder = Recorder()
    record_poll(cast("Tx", recorder), PROJECT, report(50), None, NOON)
    assert recorder.entries[0].note.endswith("v10 is queued, and 40 more")
