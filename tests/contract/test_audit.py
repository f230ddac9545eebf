"""The audit in the store, asked of both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from tagboat.core.audit import AuditAction, AuditEntry, AuditFilter, FieldChange
from tagboat.core.errors import ConflictError
from tagboat.core.keeping import Deletion
from tagboat.core.ports import Tx
from tagboat.core.principal import SERVER, Principal, PrincipalKind, Role
from tagboat.store import SqlStore, open_store
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 11, 29, 12, 0, 0, 123456, tzinfo=UTC)
ADA = Principal(
    kind=PrincipalKind.ACCOUNT,
    name="ada",
    role=Role.ADMIN,
    id="a1",
    address="192.0.2.7",
    projects=frozenset({"p1", "p2"}),
)
ENTRY = AuditEntry(
    at=NOON,
    actor_kind=PrincipalKind.ACCOUNT.value,
    actor_name="ada",
    actor_id="a1",
    address="192.0.2.7",
    action=AuditAction.STAGE_CHANGE.value,
    subject_id="s1",
    subject_name="prod",
    project_id="p1",
    project_name="shop",
    stage_id="s1",
    stage_name="prod",
    changes=(
        FieldChange("port", 80, 8080),
        FieldChange("domains", [], ["ü.example.com", "\u2028"]),
        FieldChange("env.A", None, "b"),
        FieldChange("held", before=False, after=True),
    ),
    note="more",
)
BARE = AuditEntry(
    at=NOON, actor_kind="webhook", actor_name="gitea", action=AuditAction.DEPLOY_CREATE.value
)
ANY = AuditFilter()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    url = None
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    opened = open_store(url, tmp_path)
    yield opened
    opened.close()


async def record(store: SqlStore, *entries: AuditEntry) -> None:
    def work(tx: Tx) -> None:
        for entry in entries:
            tx.record_audit(entry)

    await store.write(work)


async def notes(store: SqlStore, only: AuditFilter) -> str:
    found = await store.read(lambda reader: reader.audit_entries(only, None, 100))
    return "".join(one.note for one in found)


async def test_an_entry_comes_back_as_it_was(store: SqlStore) -> None:
    await record(store, ENTRY, BARE)

    bare, full = await store.read(lambda reader: reader.audit_entries(ANY, None, 10))

    assert full.id < bare.id
    assert (replace(full, id=0), replace(bare, id=0)) == (ENTRY, BARE)


async def test_an_entry_is_seen_in_its_own_transaction_and_goes_with_it(store: SqlStore) -> None:
    seen: list[int] = []

    def work(tx: Tx) -> None:
        tx.record_audit(ENTRY)
        seen.append(len(tx.audit_entries(ANY, None, 10)))
        raise ConflictError("no")

    with pytest.raises(ConflictError):
        await store.write(work)
    assert seen == [1]
    assert await store.read(lambda reader: reader.audit_entries(ANY, None, 10)) == []


async def test_entries_are_found_by_each_filter_and_by_all_together(store: SqlStore) -> None:
    await record(
        store,
        replace(ENTRY, note="a"),
        replace(ENTRY, note="b", at=NOON + timedelta(hours=1), actor_name="bob", project_id=None),
        replace(ENTRY, note="c", at=NOON + timedelta(hours=2), action=AuditAction.STAGE_HOLD.value),
        replace(BARE, note="d", at=NOON + timedelta(hours=3), project_id="p1"),
        replace(ENTRY, note="e", at=NOON + timedelta(hours=4), actor_kind="local"),
    )

    for only, expected in (
        (ANY, "edcba"),
        (AuditFilter(actor="ada"), "eca"),
        (AuditFilter(actor="account"), "cba"),
        (AuditFilter(actor="webhook"), "d"),
        (AuditFilter(actor="nobody"), ""),
        (AuditFilter(action="stage.hold"), "c"),
        (AuditFilter(project="p1"), "edca"),
        (AuditFilter(subject=ENTRY.subject_id, since=NOON + timedelta(hours=1)), "ecb"),
        (AuditFilter(subject="nothing"), ""),
        (AuditFilter(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3)), "cb"),
        (AuditFilter(actor="ada", project="p1", action="stage.change", since=NOON), "ea"),
    ):
        assert await notes(store, only) == expected, only


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_pages_have_each_entry_once_even_of_one_moment(
    store: SqlStore, *, oldest_first: bool
) -> None:
    times = [NOON, NOON, NOON, NOON + timedelta(hours=1), NOON - timedelta(hours=1)]
    await record(store, *(replace(BARE, at=at, note=str(n)) for n, at in enumerate(times)))

    seen, beyond = "", None
    while True:
        place = beyond
        page = await store.read(
            lambda reader, place=place: reader.audit_entries(  # type: ignore[misc]
                ANY, place, 2, oldest_first=oldest_first
            )
        )
        seen += "".join(one.note for one in page)
        if len(page) < 2:
            break
        beyond = page[-1].at, page[-1].id

    assert seen == ("40123" if oldest_first else "32104")


async def test_old_entries_are_pruned_some_at_a_time(store: SqlStore) -> None:
    await record(
        store, *(replace(BARE, at=NOON + timedelta(days=n), note=str(n)) for n in range(5))
    )

    before = NOON + timedelta(days=3)
    assert await store.write(lambda tx: tx.prune_audit(before, 2)) == 2
    assert await notes(store, ANY) == "432"
    assert await store.write(lambda tx: tx.prune_audit(before, 2)) == 1
    assert await store.write(lambda tx: tx.prune_audit(before, 2)) == 0
    assert await notes(store, ANY) == "43"


async def test_a_deleted_project_is_known_by_its_name(store: SqlStore) -> None:
    gone = replace(ENTRY, action=AuditAction.PROJECT_DELETE.value)
    await record(store, gone, replace(gone, at=NOON + timedelta(hours=1), project_id="p2"), ENTRY)

    found = await store.read(
        lambda reader: (reader.deleted_project("shop"), reader.deleted_project("other"))
    )
    assert found == ("p2", None)


async def test_a_deletion_remembers_who_ordered_it(store: SqlStore) -> None:
    wanted = [Deletion("p1", "s1", volumes=True, actor=ADA), Deletion("p2")]
    for deletion in wanted:
        await store.write(lambda tx, one=deletion: tx.begin_deletion(one))  # type: ignore[misc]

    assert await store.read(lambda reader: reader.deletions()) == wanted
    assert wanted[1].actor is SERVER
