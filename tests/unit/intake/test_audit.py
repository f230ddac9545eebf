from datetime import UTC, datetime

from tagboat.core.delivery import Named, PushResult
from tagboat.core.principal import SERVER
from tagboat.core.push import Outcome
from tagboat.intake.audit import Redelivery, call_entries, calling_sender

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
CALLER = calling_sender("gitea", "h1", "192.0.2.7")


def result(outcome: Outcome, *, created: bool = False) -> PushResult:
    return PushResult(
        image="git.example.com/acme/app",
        tag="v1",
        digest=None,
        project=Named("p1", "app"),
        stage=Named("s1", "prod"),
        project_created=created,
        outcome=outcome,
        reason="tag v1 matches v*",
        deploy="d1" if outcome is Outcome.QUEUED else None,
    )


def test_only_pushes_that_queued_a_deploy_or_made_a_project_have_an_entry() -> None:
    results = [result(outcome) for outcome in Outcome]
    results.append(result(Outcome.WAITING, created=True))

    entries = list(call_entries(results, CALLER, None, NOON))

    assert [(one.action, one.subject_id, one.subject_name) for one in entries] == [
        ("deploy.create", "d1", "v1"),
        ("project.create", "p1", "app"),
    ]
    queued, made = entries
    assert (queued.actor_kind, queued.actor_name, queued.actor_id) == ("webhook", "gitea", "h1")
    assert (queued.address, queued.note) == ("192.0.2.7", "tag v1 matches v*")
    assert (queued.project_name, queued.stage_name, queued.changes) == ("app", "prod", ())
    assert made.changes[0].after == "git.example.com/acme/app:v1"


def test_a_redelivery_is_of_the_one_that_ordered_it() -> None:
    again = Redelivery("e1", SERVER)

    entries = list(call_entries([result(Outcome.QUEUED)], CALLER, again, NOON))

    assert [(one.action, one.subject_id, one.actor_kind) for one in entries] == [
        ("delivery.redeliver", "e1", "server"),
        ("deploy.create", "d1", "server"),
    ]
