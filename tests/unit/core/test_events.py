"""Which changes of a deploy are events."""

from datetime import UTC, datetime

from tagboat.core.deploy import Deploy, DeployStatus, Step, StepName, StepStatus, Trigger
from tagboat.core.events import EventTopic, deploy_changes
from tagboat.core.values import replace

DEPLOY = Deploy(
    id="d",
    project_id="p",
    stage_id="s",
    tag="v1",
    digest=None,
    trigger=Trigger.MANUAL,
    log="one",
    created_at=datetime(2026, 11, 24, tzinfo=UTC),
)


def topics(new: Deploy) -> list[EventTopic]:
    return [change.topic for change in deploy_changes(DEPLOY, new)]


def test_a_new_deploy_is_one() -> None:
    assert [change.topic for change in deploy_changes(None, DEPLOY)] == [EventTopic.DEPLOY]


def test_a_claim_is_none() -> None:
    assert topics(replace(DEPLOY, claimed_by="here", merges=1, container="app-dev")) == []


def test_steps_come_before_the_end_of_the_deploy() -> None:
    failed = DEPLOY.with_step(Step(StepName.PULL, StepStatus.FAILED, detail="no room"))
    assert topics(replace(failed, status=DeployStatus.FAILED)) == [
        EventTopic.STEP,
        EventTopic.DEPLOY,
    ]


def test_of_a_log_only_what_was_added_is_told_unless_it_was_replaced() -> None:
    for log, text in (("one\ntwo\nthree", "two\nthree"), ("other", "other")):
        (change,) = deploy_changes(DEPLOY, replace(DEPLOY, log=log))
        assert (change.topic, change.state) == (EventTopic.LOG, {"text": text})
