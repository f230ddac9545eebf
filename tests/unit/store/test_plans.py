"""How SQLite goes about the queries that must stay quick however many deploys there have been."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from tagboat.core.audit import AuditFilter
from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, InstanceState
from tagboat.store.cipher import Cipher
from tagboat.store.database import migrate, open_database
from tagboat.store.reader import SqlReader
from tagboat.store.rows import SealedRows

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ENDED = (InstanceState.STOPPED, InstanceState.FAILED)
BY_STAGE = "ix_instances_stage_id_state_id (stage_id=? AND state=?)"

Read = Callable[[SqlReader], object]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = open_database(None, tmp_path)
    migrate(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def questions_of(connection: Connection, read: Read) -> list[tuple[str, object]]:
    """The queries that `read` asks, each with its values."""
    asked: list[tuple[str, object]] = []
    event.listen(
        connection,
        "before_cursor_execute",
        lambda _c, _cursor, query, values, *_: asked.append((query, values)),
    )
    read(SqlReader(connection, SealedRows(Cipher(bytes(32)))))
    return [each for each in asked if each[0].startswith("SELECT")]


def plans(connection: Connection, read: Read) -> list[list[str]]:
    """The lines of the plan of each query that `read` asks."""
    found = []
    for query, values in questions_of(connection, read):
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()  # type: ignore[arg-type]
        found.append([row.detail for row in plan])
    return found


@pytest.mark.parametrize(
    ("read", "questions", "index"),
    [
        (lambda reader: reader.open_deploys("s"), 1, "ix_deploys_open"),
        (lambda reader: reader.all_open_deploys(), 1, "ix_deploys_open"),
        (lambda reader: reader.instances(stage_id="s", states=ACTIVE_STATES), 3, BY_STAGE),
        (lambda reader: reader.instances(stage_id="s", states=ENDED, limit=20), 2, BY_STAGE),
        (
            lambda reader: reader.instances(states=ACTIVE_STATES),
            3,
            "ix_instances_state_id (state=?)",
        ),
        (lambda reader: reader.host_claims(["a", "b"]), 1, "ix_hosts_host (host=?)"),
        (lambda reader: reader.projects_by_slug("a-b"), 1, "ix_projects_slug (slug=?)"),
        (lambda reader: reader.stages_with_ttl(), 1, "ix_stages_mortal"),
        (
            lambda reader: reader.recent_instances("s", ENDED, 20),
            2,
            "ix_instances_stage_id_state_stopped_at (stage_id=? AND state=? AND stopped_at>?)",
        ),
        (
            lambda reader: reader.instances_that_lived("s", "i", 20),
            1,
            "ix_instances_lived (stage_id=? AND id<?)",
        ),
        (lambda reader: reader.newest_release("s"), 1, "ix_deploys_released (stage_id=?)"),
        *(
            (
                lambda reader, status=status: reader.deploys(statuses=[status], limit=51),
                1,
                "ix_deploys_unsuccessful (status=?)",
            )
            for status in (DeployStatus.FAILED, DeployStatus.SUPERSEDED, DeployStatus.CANCELLED)
        ),
        (
            lambda reader: reader.deploys(statuses=[DeployStatus.FAILED], before="d", limit=51),
            1,
            "ix_deploys_unsuccessful (status=? AND id<?)",
        ),
        (
            lambda reader: reader.tags_page("p", "v1", None, 20),
            1,
            "ix_tags_project_id_first_seen_tag (project_id=?)",
        ),
        (
            lambda reader: reader.tags_page("p", "", (NOW, "v1"), 20),
            1,
            "ix_tags_project_id_first_seen_tag (project_id=? AND (first_seen,tag)<(?,?))",
        ),
        (
            lambda reader: reader.tag_names("p", 20),
            1,
            "COVERING INDEX ix_tags_project_id_first_seen_tag (project_id=?)",
        ),
    ],
)
def test_what_few_are_wanted_of_is_found_by_its_index_and_needs_no_sorting(
    connection: Connection, read: Read, questions: int, index: str
) -> None:
    found = plans(connection, read)
    assert len(found) == questions
    for plan in found:
        assert len(plan) == 1
        assert index in plan[0]


def test_the_newest_open_deploys_are_found_without_looking_at_all_others(
    connection: Connection,
) -> None:
    statuses = (DeployStatus.QUEUED, DeployStatus.RUNNING)
    (plan,) = plans(connection, lambda reader: reader.deploys(statuses=statuses, limit=8))
    assert plan[0].startswith("SEARCH deploys USING INDEX sqlite_autoindex_deploys_1 (id=?)")
    assert any("ix_deploys_open" in line for line in plan)


def test_a_look_for_work_passes_over_what_must_wait_without_reading_it(
    connection: Connection,
) -> None:
    running, queued = plans(
        connection, lambda reader: reader.claimable_deploys("here", ["mine"], 16)
    )
    assert running == [
        "SCAN deploys USING INDEX ix_deploys_running",
        "LIST SUBQUERY 1",
        "SCAN given VIRTUAL TABLE INDEX 1:",
        "CORRELATED SCALAR SUBQUERY 2",
        "SEARCH earlier USING COVERING INDEX ix_deploys_running (stage_id=? AND id<?)",
    ]
    assert queued == [
        "SEARCH deploys USING INDEX sqlite_autoindex_deploys_1 (id=?)",
        "LIST SUBQUERY 6",
        "SCAN deploys USING COVERING INDEX ix_deploys_waiting",
        "CORRELATED SCALAR SUBQUERY 1",
        "SEARCH earlier USING COVERING INDEX ix_deploys_running (stage_id=?)",
        "CORRELATED SCALAR SUBQUERY 3",
        "SEARCH earlier USING COVERING INDEX ix_deploys_queued (stage_id=? AND id<?)",
        "CORRELATED SCALAR SUBQUERY 2",
        "SEARCH stages USING INDEX sqlite_autoindex_stages_1 (id=?)",
        "CORRELATED SCALAR SUBQUERY 4",
        "SEARCH stages USING INDEX sqlite_autoindex_stages_1 (id=?)",
        "CORRELATED SCALAR SUBQUERY 5",
        "SEARCH earlier USING COVERING INDEX ix_deploys_queued (stage_id=?)",
    ]


def test_the_last_pushes_are_found_by_their_project(connection: Connection) -> None:
    by_project = "ix_delivery_pushes_project_id_delivery_id_position"
    assert plans(connection, lambda reader: reader.last_pushes("p", 200)) == [
        [
            f"SEARCH delivery_pushes USING INDEX {by_project} (project_id=?)",
            "SEARCH deliveries USING INDEX sqlite_autoindex_deliveries_1 (id=?)",
        ]
    ]


def test_failures_are_found_among_the_failed_and_what_mended_them_by_stage(
    connection: Connection,
) -> None:
    (plan,) = plans(connection, lambda reader: reader.failures(NOW, 50))
    assert plan[0] == "SEARCH deploys USING INDEX ix_deploys_failed (finished_at>?)"
    assert plan[-2:] == [
        "SEARCH newer USING INDEX ix_deploys_stage_id_id (stage_id=? AND id>?)",
        "SEARCH stages USING INDEX sqlite_autoindex_stages_1 (id=?)",
    ]
    assert not any("SCAN" in line or "B-TREE" in line for line in plan)


def test_what_disturbs_the_work_is_found_by_id(connection: Connection) -> None:
    assert plans(connection, lambda reader: reader.disturbed_deploys({"mine": 1})) == [
        [
            "SEARCH deploys USING INDEX sqlite_autoindex_deploys_1 (id=?)",
            # The numbers of the claims, given with the query.
            "LIST SUBQUERY 1",
            "SCAN given VIRTUAL TABLE INDEX 1:",
            "LIST SUBQUERY 2",
            "SCAN given VIRTUAL TABLE INDEX 1:",
        ]
    ]


@pytest.mark.parametrize(
    ("only", "index"),
    [
        ({}, "SCAN audit USING INDEX ix_audit_at_id"),
        ({"since": NOW}, "ix_audit_at_id"),
        ({"project": "p"}, "ix_audit_project_id_at_id (project_id=?)"),
        ({"action": "stage.change"}, "ix_audit_action_at_id (action=?)"),
        ({"actor": "webhook"}, "ix_audit_actor_kind_at_id (actor_kind=?)"),
        ({"actor": "ada"}, "ix_audit_named (actor_name=?)"),
    ],
)
@pytest.mark.parametrize("oldest_first", [False, True])
def test_the_audit_is_read_in_order_by_an_index(
    connection: Connection, only: dict[str, Any], index: str, *, oldest_first: bool
) -> None:
    def read(reader: SqlReader) -> object:
        return reader.audit_entries(AuditFilter(**only), None, 50, oldest_first=oldest_first)

    ((plan,),) = plans(connection, read)
    assert index in plan


def test_a_page_of_the_audit_begins_where_the_last_one_ended(connection: Connection) -> None:
    ((plan,),) = plans(connection, lambda reader: reader.audit_entries(AuditFilter(), (NOW, 7), 50))
    assert plan == "SEARCH audit USING INDEX ix_audit_at_id (at<?)"


def test_the_last_success_of_each_stage_is_found_by_its_index(connection: Connection) -> None:
    (plan,) = plans(connection, lambda reader: reader.last_successes())
    assert any("INDEX ix_deploys_succeeded (stage_id=?)" in line for line in plan), plan
    assert any(line.startswith("SCAN stages") for line in plan), plan
    assert not any(line.startswith("SCAN deploys") for line in plan), plan


@pytest.mark.parametrize(
    "read",
    [
        lambda reader, ids: reader.claimable_deploys("here", ids, 16),
        lambda reader, ids: reader.disturbed_deploys(dict.fromkeys(ids, 1)),
        lambda reader, ids: reader.stages_by_project(ids),
        lambda reader, ids: reader.vitals(ids),
    ],
)
def test_however_many_are_asked_for_it_is_one_statement_to_prepare(
    connection: Connection, read: Callable[[SqlReader, list[str]], object]
) -> None:
    def asked(count: int) -> list[str]:
        ids = [f"id{number}" for number in range(count)]
        return [query for query, _ in questions_of(connection, lambda reader: read(reader, ids))]

    assert asked(2) == asked(60)
