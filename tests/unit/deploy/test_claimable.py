"""Which deploys a worker may take up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.deploy import Deploy, DeployStatus, Trigger
from tagboat.deploy.worker import claimable

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)
HERE, THERE = "here", "there"


def queued(name: str, stage: str = "dev") -> Deploy:
    return Deploy(id=name, project_id="p", stage_id=stage, tag="v1", digest=None, trigger=Trigger.WEBHOOK, created_at=NOW)


def running(name: str, stage: str = "dev", by: str | None = THERE, until: datetime | None = LATER) -> Deploy:
    return replace(queued(name, stage), status=DeployStatus.RUNNING, claimed_by=by, claimed_until=until)


def claimed(*deploys: Deploy, mine: set[str] | None = None) -> list[str]:
    return [deploy.id for deploy in claimable(deploys, mine or set(), HERE, NOW)]


def test_nothing_to_do() -> None:
    assert claimed() == []


def test_the_oldest_of_a_stage_comes_first_and_alone_in_whatever_order_they_are_given() -> None:
    assert claimed(queued("1"), queued("2")) == ["1"]
    assert claimed(queued("2"), queued("1")) == ["1"]


def test_stages_go_side_by_side() -> None:
    assert claimed(queued("1", "dev"), queued("2", "prod"), queued("3", "dev"), queued("4", "qa")) == ["1", "2", "4"]


def test_a_stage_at_work_waits_even_where_the_one_queued_is_older() -> None:
    assert claimed(queued("1"), running("2")) == []
    assert claimed(queued("1"), running("2"), mine={"2"}) == []


@pytest.mark.parametrize(
    ("by", "until", "due"),
    [
        (THERE, LATER, False),  # another server is at it
        (THERE, EARLIER, True),  # it was, and has died
        (THERE, NOW, True),
        (THERE, None, True),
        (None, None, True),
        (None, LATER, True),
        (HERE, LATER, True),  # claimed in this server's name by its life before
    ],
)
def test_a_running_deploy_is_taken_over_only_where_nobody_works_on_it(
    by: str | None, until: datetime | None, due: bool
) -> None:
    assert claimed(running("1", by=by, until=until)) == (["1"] if due else [])


def test_what_is_in_progress_here_is_not_begun_again() -> None:
    assert claimed(running("1", by=HERE), mine={"1"}) == []
    assert claimed(running("1", by=HERE, until=EARLIER), mine={"1"}) == []


def test_an_abandoned_one_goes_before_the_queued_ones_of_its_stage() -> None:
    assert claimed(queued("1"), running("2", until=EARLIER), queued("3")) == ["2"]


DEPLOYS = st.lists(
    st.builds(
        lambda name, stage, begun, by, until: running(name, stage, by, until) if begun else queued(name, stage),
        name=st.uuids().map(str),
        stage=st.sampled_from(["a", "b", "c"]),
        begun=st.booleans(),
        by=st.sampled_from([None, HERE, THERE]),
        until=st.sampled_from([None, EARLIER, LATER]),
    ),
    unique_by=lambda deploy: deploy.id,
)


@given(deploys=DEPLOYS, data=st.data())
def test_a_stage_is_never_worked_on_twice(deploys: list[Deploy], data: st.DataObject) -> None:
    begun = [deploy for deploy in deploys if deploy.status is DeployStatus.RUNNING]
    mine = {deploy.id for deploy in begun if data.draw(st.booleans())}
    due = claimable(deploys, mine, HERE, NOW)
    stages = [deploy.stage_id for deploy in due]
    assert len(stages) == len(set(stages))
    assert not mine & {deploy.id for deploy in due}
    assert all(deploy.status is DeployStatus.RUNNING for deploy in due if deploy.stage_id in {one.stage_id for one in begun})
