"""Which deploys a worker may take up, asked of both databases."""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, update

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import Deploy, DeployStatus, Trigger
from tagboat.core.image import ImageName
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.store import session, tables
from tagboat.store.cipher import Cipher
from tagboat.store.database import migrate, open_database
from tagboat.store.reader import SqlReader
from tagboat.store.rows import SealedRows, to_row
from tests.support.postgres import Postgres

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)
HERE, THERE = "here", "there"
STAGES = ("dev", "prod", "qa", "a", "b", "c")
ROWS = SealedRows(Cipher(bytes(32)))

Due = Callable[..., list[Deploy]]
Claimed = Callable[..., list[str]]


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    server: Postgres | None = (
        request.getfixturevalue("postgres") if request.param == "postgresql" else None
    )
    opened = open_database(
        server.new_database() if server else None, Path(tmp_path_factory.mktemp("claimable"))
    )
    migrate(opened)
    project = Project(
        id="p", name="app", image=ImageName("git.example.com", "acme/app"), created_at=NOW
    )
    stages = [
        Stage(id=name, project_id="p", name=name, pattern=parse_tag_pattern("*"), created_at=NOW)
        for name in STAGES
    ]
    with opened.begin() as connection:
        connection.execute(insert(tables.projects_table), ROWS.of_project(project))
        connection.execute(insert(tables.stages_table), [ROWS.of_stage(stage) for stage in stages])
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def at_now() -> Iterator[None]:
    """It is `NOW` for the database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "database_time", lambda _: NOW)
        yield


@pytest.fixture(scope="module")
def due(engine: Engine, at_now: None) -> Due:  # noqa: ARG001 - it is in force
    """What may be claimed of the deploys given, which are gone afterwards."""

    def ask(
        deploys: Collection[Deploy],
        mine: Collection[str] = (),
        limit: int = 100,
        held: Collection[str] = (),
    ) -> list[Deploy]:
        with engine.connect() as connection, connection.begin() as transaction:
            connection.execute(
                update(tables.stages_table)
                .where(tables.stages_table.c.id.in_(held))
                .values(held=True)
            )
            if deploys:
                connection.execute(
                    insert(tables.deploys_table), [to_row(deploy) for deploy in deploys]
                )
            found = SqlReader(connection, ROWS).claimable_deploys(HERE, mine, limit)
            transaction.rollback()
        return found

    return ask


@pytest.fixture(scope="module")
def claimed(due: Due) -> Claimed:
    return lambda *deploys, mine=(), limit=100: [deploy.id for deploy in due(deploys, mine, limit)]


def queued(name: str, stage: str = "dev") -> Deploy:
    return Deploy(
        id=name,
        project_id="p",
        stage_id=stage,
        tag="v1",
        digest=None,
        trigger=Trigger.WEBHOOK,
        created_at=NOW,
    )


def running(
    name: str, stage: str = "dev", by: str | None = THERE, until: datetime | None = LATER
) -> Deploy:
    return replace(
        queued(name, stage), status=DeployStatus.RUNNING, claimed_by=by, claimed_until=until
    )


def test_nothing_to_do(claimed: Claimed) -> None:
    assert claimed() == []


def test_the_oldest_of_a_stage_comes_first_and_alone_in_whatever_order_they_are_given(
    claimed: Claimed,
) -> None:
    assert claimed(queued("1"), queued("2")) == ["1"]
    assert claimed(queued("2"), queued("1")) == ["1"]


def test_stages_go_side_by_side(claimed: Claimed) -> None:
    assert claimed(
        queued("1", "dev"), queued("2", "prod"), queued("3", "dev"), queued("4", "qa")
    ) == ["1", "2", "4"]


def test_a_stage_at_work_waits_even_where_the_one_queued_is_older(claimed: Claimed) -> None:
    assert claimed(queued("1"), running("2")) == []
    assert claimed(queued("1"), running("2"), mine={"2"}) == []


@pytest.mark.parametrize(
    ("by", "until", "taken"),
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
    claimed: Claimed, by: str | None, until: datetime | None, taken: bool
) -> None:
    assert claimed(running("1", by=by, until=until)) == (["1"] if taken else [])


def test_what_is_in_progress_here_is_not_begun_again(claimed: Claimed) -> None:
    assert claimed(running("1", by=HERE), mine={"1"}) == []
    assert claimed(running("1", by=HERE, until=EARLIER), mine={"1"}) == []


def test_an_abandoned_one_goes_before_the_queued_ones_of_its_stage(claimed: Claimed) -> None:
    assert claimed(queued("1"), running("2", until=EARLIER), queued("3")) == ["2"]


def test_what_pushes_and_polls_have_queued_waits_while_the_stage_is_held(due: Due) -> None:
    by_news = [queued("1"), replace(queued("2"), trigger=Trigger.POLL), queued("3", "prod")]
    by_hand = replace(queued("4"), trigger=Trigger.ROLLBACK)

    def may_begin(*deploys: Deploy, held: Collection[str]) -> list[str]:
        return [deploy.id for deploy in due(deploys, held=held)]

    assert may_begin(*by_news, by_hand, held=["dev"]) == ["3", "4"]
    assert may_begin(*by_news, held=["dev", "prod"]) == []
    assert may_begin(*by_news, by_hand, held=["qa"]) == ["3", "4"]


def test_what_a_person_has_ordered_goes_before_what_was_pushed(due: Due) -> None:
    pushes = [queued("1"), replace(queued("2"), trigger=Trigger.POLL), queued("6")]
    orders = [
        replace(queued(name), trigger=trigger)
        for name, trigger in (("3", Trigger.ROLLBACK), ("4", Trigger.MANUAL))
    ]
    for waiting, first in ((5, "3"), (4, "4"), (3, "1"), (2, "2"), (1, "6")):
        given = [*orders, *pushes][-waiting:]
        for held in ([], ["dev"]) if waiting > 3 else ([],):
            assert [deploy.id for deploy in due(given, held=held)] == [first]


def test_no_more_come_than_are_asked_for_and_abandoned_ones_first(claimed: Claimed) -> None:
    deploys = (
        queued("1", "dev"),
        running("2", "prod", until=EARLIER),
        queued("3", "qa"),
        running("4", "a", until=EARLIER),
    )
    assert claimed(*deploys, limit=3) == ["2", "4", "1"]
    assert claimed(*deploys, limit=1) == ["2"]
    assert claimed(*deploys, limit=0) == []


DEPLOYS = st.lists(
    st.builds(
        lambda name, stage, begun, by, until: (
            running(name, stage, by, until) if begun else queued(name, stage)
        ),
        name=st.uuids().map(str),
        stage=st.sampled_from(["a", "b", "c"]),
        begun=st.booleans(),
        by=st.sampled_from([None, HERE, THERE]),
        until=st.sampled_from([None, EARLIER, LATER]),
    ),
    unique_by=lambda deploy: deploy.id,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(deploys=DEPLOYS, data=st.data())
def test_a_stage_is_never_worked_on_twice_nor_forgotten(
    due: Due, deploys: list[Deploy], data: st.DataObject
) -> None:
    begun = [deploy for deploy in deploys if deploy.status is DeployStatus.RUNNING]
    mine = {deploy.id for deploy in begun if data.draw(st.booleans())}
    found = due(deploys, mine)
    stages = [deploy.stage_id for deploy in found]
    assert len(stages) == len(set(stages))
    assert not mine & {deploy.id for deploy in found}
    at_work = {one.stage_id for one in begun}
    assert all(
        deploy.status is DeployStatus.RUNNING for deploy in found if deploy.stage_id in at_work
    )
    assert {deploy.stage_id for deploy in deploys} - at_work <= set(stages)
