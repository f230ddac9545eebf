"""Accounts, sessions and API tokens, on both databases."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tagboat.core.accounts import Account, ApiToken, Session
from tagboat.core.errors import ConflictError, NotFoundError
from tagboat.core.ids import new_id
from tagboat.core.ports import Tx
from tagboat.core.principal import Role
from tagboat.core.values import replace
from tagboat.store import SqlStore, open_store
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
Open = Callable[[], SqlStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    url = None
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    opened: list[SqlStore] = []

    def open_one() -> SqlStore:
        opened.append(open_store(url, tmp_path))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_again: Open) -> SqlStore:
    return open_again()


def an_account(name: str = "Anna", role: Role = Role.ADMIN, **changes: object) -> Account:
    account = Account(id=new_id(), name=name, role=role, password="a-hash", created_at=NOW)
    return replace(account, **changes)  # type: ignore[arg-type]


def a_session(account: Account, **changes: object) -> Session:
    key = new_id()
    session = Session(
        id=key,
        account_id=account.id,
        secret_hash=f"hash of {key}",
        created_at=NOW,
        used_at=NOW,
        address="192.0.2.7",
        user_agent="Firefox",
    )
    return replace(session, **changes)  # type: ignore[arg-type]


def a_token(name: str = "ci", **changes: object) -> ApiToken:
    key = new_id()
    token = ApiToken(
        id=key,
        name=name,
        role=Role.DEPLOYER,
        projects=("a", "b"),
        secret_hash=f"hash of {key}",
        created_at=NOW,
        created_by="Anna",
        expires_at=LATER,
    )
    return replace(token, **changes)  # type: ignore[arg-type]


async def put(store: SqlStore, *values: Account | Session | ApiToken) -> None:
    def work(tx: Tx) -> None:
        for value in values:
            if isinstance(value, Account):
                tx.add_account(value)
            elif isinstance(value, Session):
                tx.add_session(value)
            else:
                tx.add_api_token(value)

    await store.write(work)


async def test_an_account_comes_back_as_it_was(open_again: Open) -> None:
    anna = an_account()
    ben = an_account("ben", Role.DEPLOYER, projects=("p1", "p2"), password=None, signed_in_at=NOW)
    await put(open_again(), anna, ben)
    store = open_again()
    assert await store.read(lambda reader: reader.accounts()) == [anna, ben]
    assert await store.read(lambda reader: reader.accounts("anna", 1)) == [ben]
    assert await store.read(lambda reader: reader.account(ben.id)) == ben
    assert await store.read(lambda reader: reader.account_by_key("anna")) == anna
    assert await store.read(lambda reader: reader.account_by_key("Anna")) is None
    with pytest.raises(NotFoundError, match="there is no account"):
        await store.read(lambda reader: reader.account(new_id()))


async def test_two_names_that_differ_in_case_are_one(store: SqlStore) -> None:
    await put(store, an_account("Straße"), an_account("other"), a_token("CI"))
    with pytest.raises(ConflictError):
        await put(store, an_account("STRASSE"))
    with pytest.raises(ConflictError):
        await put(store, a_token("ci"))
    other = await store.read(lambda reader: reader.account_by_key("other"))
    assert other is not None
    with pytest.raises(ConflictError):
        await store.write(lambda tx: tx.put_account(replace(other, name="strasse")))


async def test_admins_and_accounts_are_counted(store: SqlStore) -> None:
    assert not await store.read(lambda reader: reader.has_accounts())
    await put(store, an_account(), an_account("b", Role.VIEWER), an_account("c"))
    assert await store.read(lambda reader: (reader.has_accounts(), reader.count_admins())) == (
        True,
        2,
    )


async def test_a_session_is_found_by_its_hash_with_its_account(store: SqlStore) -> None:
    anna, ben = an_account(), an_account("ben", Role.DEPLOYER, projects=("p",))
    one, two = a_session(anna), a_session(ben)
    await put(store, anna, ben, one, two)
    found = await store.read(lambda reader: reader.session_by_hash(two.secret_hash))
    assert found == (two, ben)
    assert await store.read(lambda reader: reader.session_by_hash("another")) is None


async def test_sessions_end_one_by_one_or_all_but_one_or_with_their_account(
    store: SqlStore,
) -> None:
    anna, ben = an_account(), an_account("ben")
    sessions = [a_session(anna) for _ in range(4)]
    bens = a_session(ben)
    await put(store, anna, ben, *sessions, bens)

    async def left() -> list[Session]:
        return await store.read(lambda reader: reader.sessions(anna.id))

    assert await left() == sessions[::-1]
    await store.write(lambda tx: tx.delete_session(sessions[0].id))
    assert await left() == sessions[:0:-1]
    await store.write(lambda tx: tx.delete_sessions(anna.id, sessions[2].id))
    assert await left() == [sessions[2]]
    await store.write(lambda tx: tx.delete_account(anna.id))
    assert await left() == []
    assert await store.read(lambda reader: reader.session(bens.id)) == bens


async def test_a_use_is_noted_and_brings_nothing_back(store: SqlStore) -> None:
    anna, token = an_account(), a_token()
    session = a_session(anna)
    await put(store, anna, session, token)
    await store.write(lambda tx: tx.note_session_use(session.id, LATER))
    await store.write(lambda tx: tx.note_token_use(token.id, LATER))
    assert await store.read(lambda reader: reader.session(session.id)) == replace(
        session, used_at=LATER
    )
    assert await store.read(lambda reader: reader.api_token(token.id)) == replace(
        token, used_at=LATER
    )
    await store.write(lambda tx: tx.delete_sessions(anna.id))
    await store.write(lambda tx: tx.delete_api_token(token.id))
    await store.write(lambda tx: tx.note_session_use(session.id, LATER))
    await store.write(lambda tx: tx.note_token_use(token.id, LATER))
    assert await store.read(lambda reader: reader.sessions(anna.id)) == []
    assert await store.read(lambda reader: reader.api_tokens()) == []


async def test_sessions_too_old_or_too_long_unused_are_pruned(store: SqlStore) -> None:
    anna = an_account()
    old = a_session(anna, created_at=NOW - timedelta(days=31))
    idle = a_session(anna, used_at=NOW - timedelta(hours=13))
    fresh = a_session(anna)
    await put(store, anna, old, idle, fresh)

    def work(tx: Tx) -> int:
        return tx.prune_sessions(NOW - timedelta(days=30), NOW - timedelta(hours=12), 1)

    assert [await store.write(work) for _ in range(3)] == [1, 1, 0]
    assert await store.read(lambda reader: reader.sessions(anna.id)) == [fresh]


async def test_a_token_comes_back_as_it_was(open_again: Open) -> None:
    ci, ops = a_token(), a_token("Ops", projects=None, expires_at=None, role=Role.METRICS)
    await put(open_again(), ops, ci)
    store = open_again()
    assert await store.read(lambda reader: reader.api_tokens()) == [ci, ops]
    assert await store.read(lambda reader: reader.api_tokens("ci", 5)) == [ops]
    assert await store.read(lambda reader: reader.api_token_by_key("ops")) == ops
    assert await store.read(lambda reader: reader.api_token_by_hash(ci.secret_hash)) == ci
    assert await store.read(lambda reader: reader.api_token_by_hash("another")) is None
    with pytest.raises(NotFoundError, match="there is no token"):
        await store.read(lambda reader: reader.api_token(new_id()))


async def test_what_one_server_ends_is_over_for_another_at_once(open_again: Open) -> None:
    here, there = open_again(), open_again()
    anna, token = an_account(), a_token()
    session = a_session(anna)
    await put(here, anna, session, token)
    assert await there.read(lambda reader: reader.session_by_hash(session.secret_hash))
    await here.write(lambda tx: tx.delete_sessions(anna.id))
    await here.write(lambda tx: tx.delete_api_token(token.id))
    assert await there.read(lambda reader: reader.session_by_hash(session.secret_hash)) is None
    assert await there.read(lambda reader: reader.api_token_by_hash(token.secret_hash)) is None
