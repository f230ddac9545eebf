"""People at an OpenID provider and their sessions, in both databases."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from tagboat.core.accounts import Account, Session
from tagboat.core.identities import Identity, SessionOrigin
from tagboat.core.ports import Reader, Tx
from tagboat.core.principal import Role
from tagboat.core.values import replace
from tagboat.store import SqlStore, open_store, rotate_encryption_key
from tagboat.store.database import open_database
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)
ISSUER = "https://id.example.com"
ACCOUNT = Account(id="a1", name="ada", role=Role.VIEWER, created_at=NOW)
IDENTITY = Identity(
    issuer=ISSUER, subject="ada-1", account_id="a1", email="ada@example.com", created_at=NOW
)
SESSION = Session(
    id="s1",
    account_id="a1",
    secret_hash="hash-1",
    created_at=NOW,
    used_at=NOW,
    address="192.0.2.7",
    user_agent="Browser",
)
ORIGIN = SessionOrigin(
    session_id="s1", issuer=ISSUER, subject="ada-1", sid="p1", id_token="needle.id.token"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def store(url: str | None, tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = open_store(url, tmp_path)
    await opened.write(lambda tx: tx.add_account(ACCOUNT))
    await opened.write(lambda tx: tx.put_identity(IDENTITY))
    for number, sid in (("1", "p1"), ("2", "p2"), ("3", None), ("4", "local")):
        session = replace(SESSION, id=f"s{number}", secret_hash=f"hash-{number}")
        await opened.write(partial(put, session))
        if sid != "local":
            origin = replace(ORIGIN, session_id=session.id, sid=sid)
            await opened.write(partial(put, origin))
    yield opened
    opened.close()


def put(value: Session | SessionOrigin, tx: Tx) -> None:
    if isinstance(value, Session):
        tx.add_session(value)
    else:
        tx.add_session_origin(value)


def person(issuer: str, subject: str, reader: Reader) -> Identity | None:
    return reader.identity(issuer, subject)


async def test_a_person_is_found_by_issuer_and_subject_only(store: SqlStore) -> None:
    assert await store.read(lambda reader: reader.identity(ISSUER, "ada-1")) == IDENTITY
    for issuer, subject in ((ISSUER, "Ada-1"), (ISSUER, ""), (f"{ISSUER}/", "ada-1")):
        assert await store.read(partial(person, issuer, subject)) is None


async def test_a_person_is_replaced_and_goes_with_the_account(store: SqlStore) -> None:
    changed = replace(IDENTITY, email="")
    await store.write(lambda tx: tx.put_identity(changed))
    assert await store.read(lambda reader: reader.identity(ISSUER, "ada-1")) == changed
    await store.write(lambda tx: tx.delete_account("a1"))
    assert await store.read(lambda reader: reader.identity(ISSUER, "ada-1")) is None
    assert await store.read(lambda reader: reader.session_origin("s1")) is None


async def test_the_origin_of_a_session_goes_with_it(store: SqlStore) -> None:
    assert await store.read(lambda reader: reader.session_origin("s1")) == ORIGIN
    assert await store.read(lambda reader: reader.session_origin("s4")) is None
    await store.write(lambda tx: tx.delete_session("s1"))
    assert await store.read(lambda reader: reader.session_origin("s1")) is None


@pytest.mark.parametrize(
    ("issuer", "subject", "sid", "found"),
    [
        (ISSUER, "ada-1", None, {"s1", "s2", "s3"}),
        (ISSUER, None, "p2", {"s2"}),
        (ISSUER, "ada-1", "p1", {"s1"}),
        (ISSUER, "bob-1", "p1", set()),
        (ISSUER, "ada-1", "p9", set()),
        ("https://other.example.com", "ada-1", "p1", set()),
    ],
)
async def test_sessions_are_found_by_person_and_session_there(
    store: SqlStore, issuer: str, subject: str | None, sid: str | None, found: set[str]
) -> None:
    ids = await store.read(lambda reader: reader.sessions_from(issuer, subject, sid))
    assert set(ids) == found


async def test_local_sessions_end_and_others_stay(store: SqlStore) -> None:
    assert await store.write(lambda tx: tx.delete_sessions_without_origin()) == 1
    left = await store.read(lambda reader: reader.sessions("a1"))
    assert {one.id for one in left} == {"s1", "s2", "s3"}


async def test_the_id_token_is_sealed_and_sealed_again_with_a_new_key(
    store: SqlStore, url: str | None, tmp_path: Path
) -> None:
    store.close()
    engine = open_database(url, tmp_path)

    def kept() -> list[bytes]:
        with engine.connect() as connection:
            query = text("SELECT id_token FROM session_origins ORDER BY session_id")
            return [bytes(row[0]) for row in connection.execute(query)]

    before = kept()
    assert not any(b"needle" in value for value in before)
    rotate_encryption_key(url, tmp_path)
    assert set(before).isdisjoint(kept())
    engine.dispose()
    reopened = open_store(url, tmp_path)
    assert await reopened.read(lambda reader: reader.session_origin("s1")) == ORIGIN
    reopened.close()
