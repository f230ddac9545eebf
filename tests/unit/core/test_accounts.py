"""What names, passwords and rights can be, and when a session or token has ended."""

from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.accounts import (
    ACCOUNT_ROLES,
    Account,
    ApiToken,
    Session,
    account_key,
    check_password,
    check_rights,
    hash_credential,
    parse_account_name,
    use_is_news,
)
from tagboat.core.errors import FieldError, InvalidValueError
from tagboat.core.principal import Role

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", ["a", "Anna Lee", "anna@example.com", "Zoë", "李", "한글", "⚙\ufe0f", "x" * 100]
)
def test_names(name: str) -> None:
    assert parse_account_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ", " a", "a ", "a\nb", "a\0", "x" * 101, "a\u200bb", "\u202eanna", "\ud800", "a\u00ad"],
)
def test_what_is_not_a_name(name: str) -> None:
    with pytest.raises(InvalidValueError, match="1 to 100 printable characters"):
        parse_account_name(name)


@pytest.mark.parametrize(
    "name",
    ["\u3164", "\uffa0", "\u115f\u1160", "\u2800", "\ufe0f", "\u034f", "\U0001d159", "anna\u3164"],
)
def test_a_name_can_be_seen(name: str) -> None:
    with pytest.raises(InvalidValueError, match="that can be seen"):
        parse_account_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna", "aNNA"),
        ("Straße", "STRASSE"),
        ("Zoe\u0308", "zoë"),
        ("\ufb01n", "fin"),
        ("\uff21", "a"),
    ],
)
def test_names_that_are_one(one: str, other: str) -> None:
    assert account_key(one) == account_key(other)


@pytest.mark.parametrize(
    "password", ["x" * 10, "pass phrase", "ü" * 512, "x" * 1024, "\ud800" * 10]
)
def test_passwords(password: str) -> None:
    check_password(password)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "at least 10 characters"),
        ("x" * 9, "at least 10 characters"),
        ("x" * 1025, "at most 1024 bytes"),
        ("ü" * 513, "at most 1024 bytes"),
    ],
)
def test_what_is_not_a_password(password: str, why: str) -> None:
    with pytest.raises(FieldError, match=why) as caught:
        check_password(password)
    assert caught.value.field == "password"
    with pytest.raises(FieldError, match=why) as caught:
        check_password(password, "new")
    assert caught.value.field == "new"


@pytest.mark.parametrize(
    ("role", "projects", "field"),
    [
        (Role.VIEWER, None, None),
        (Role.DEPLOYER, ["a"], None),
        (Role.ADMIN, None, None),
        (Role.VIEWER, ["a"], "projects"),
        (Role.ADMIN, ["a"], "projects"),
        (Role.METRICS, None, "role"),
    ],
)
def test_rights_of_accounts(role: Role, projects: list[str] | None, field: str | None) -> None:
    if field is None:
        check_rights(role, projects, ACCOUNT_ROLES)
        return
    with pytest.raises(FieldError) as caught:
        check_rights(role, projects, ACCOUNT_ROLES)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("age", "idle", "holds"),
    [
        (timedelta(0), timedelta(0), True),
        (timedelta(days=30) - timedelta(seconds=1), timedelta(0), True),
        (timedelta(days=30), timedelta(0), False),
        (timedelta(days=1), timedelta(hours=12) - timedelta(seconds=1), True),
        (timedelta(days=1), timedelta(hours=12), False),
    ],
)
def test_a_session_ends_by_age_and_for_want_of_use(
    age: timedelta, idle: timedelta, holds: bool
) -> None:
    session = Session(
        id="s",
        account_id="a",
        secret_hash="hash-not-shown",
        created_at=NOW - age,
        used_at=NOW - idle,
        address="",
        user_agent="",
    )
    assert session.holds(NOW) is holds
    assert "hash-not-shown" not in repr(session)


@pytest.mark.parametrize(
    ("expires_at", "holds"),
    [(None, True), (NOW, False), (NOW + timedelta(seconds=1), True)],
)
def test_a_token_ends_when_it_expires(expires_at: datetime | None, holds: bool) -> None:
    token = ApiToken(
        id="t",
        name="ci",
        role=Role.VIEWER,
        secret_hash="hash-not-shown",
        created_at=NOW,
        created_by="Anna",
        expires_at=expires_at,
    )
    assert token.holds(NOW) is holds
    assert "hash-not-shown" not in repr(token)


@pytest.mark.parametrize(
    ("since", "news"),
    [(None, True), (timedelta(seconds=59), False), (timedelta(seconds=60), True)],
)
def test_a_use_is_news_once_a_minute(since: timedelta | None, news: bool) -> None:
    assert use_is_news(None if since is None else NOW - since, NOW) is news


def test_hashes_are_not_shown() -> None:
    account = Account(id="a", name="Anna", role=Role.ADMIN, password="a-hash", created_at=NOW)
    assert "a-hash" not in repr(account)
    assert hash_credential("x") == (
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    )
