"""The one behind a call, by whatever it shows."""

import pytest
from starlette.types import Scope

from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.http import identification
from tagboat.http.client_address import ClientAddress
from tagboat.http.identification import (
    PRINCIPAL,
    Authenticator,
    FixedTokens,
    bearer_token,
    fixed_principal,
)
from tagboat.http.session_cookie import CSRF, SessionCookie, csrf_token

pytestmark = pytest.mark.anyio

LOCAL = fixed_principal(PrincipalKind.LOCAL, "local")
ADMIN = fixed_principal(PrincipalKind.ADMIN_TOKEN, "admin token")
SECRET = "S" * 43


class Records:
    """What is on record: secrets, and who is asked for."""

    def __init__(self, kind: PrincipalKind) -> None:
        self.kind = kind
        self.known: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.noted: list[bool] = []

    async def find(self, secret: str, address: str, *, note_use: bool = True) -> Principal | None:
        self.asked.append((secret, address))
        self.noted.append(note_use)
        if secret not in self.known:
            return None
        return Principal(kind=self.kind, name="Anna", role=Role.VIEWER, address=address)


@pytest.fixture
def tokens() -> Records:
    return Records(PrincipalKind.TOKEN)


@pytest.fixture
def sessions() -> Records:
    return Records(PrincipalKind.ACCOUNT)


@pytest.fixture
def authenticator(tokens: Records, sessions: Records) -> Authenticator:
    return Authenticator(
        FixedTokens([("local-token", LOCAL), ("admin-token", ADMIN)]),
        tokens.find,
        sessions.find,
        SessionCookie(secure=False),
        ClientAddress([]),
    )


def a_scope(*headers: tuple[str, str]) -> Scope:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "client": ("192.0.2.7", 1), "headers": encoded}


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", b"abc"),
        ("bearer  abc ", b"abc"),
        ("BEARER abc", b"abc"),
        ("Bearer", b""),
        ("Bearer \xfc", b"\xfc"),
        ("Basic abc", None),
        ("abc", None),
    ],
)
def test_the_token_of_a_header(header: str, token: bytes | None) -> None:
    assert bearer_token(a_scope(("authorization", header))) == token


@pytest.mark.parametrize(
    ("token", "kind"), [("local-token", "local"), ("admin-token", "admin-token")]
)
async def test_tokens_of_the_process_need_no_database(
    authenticator: Authenticator, tokens: Records, token: str, kind: str
) -> None:
    scope = a_scope(("authorization", f"Bearer {token}"))
    found = await authenticator.identify(scope)
    assert found is not None
    assert (found.kind, found.role, found.address) == (kind, Role.ADMIN, "192.0.2.7")
    assert scope[PRINCIPAL] == found
    assert CSRF not in scope
    assert tokens.asked == []


async def test_a_token_is_looked_up_at_each_call(
    authenticator: Authenticator, tokens: Records
) -> None:
    tokens.known.add("tagboat_x")
    assert await authenticator.identify(a_scope(("authorization", "Bearer tagboat_x")))
    tokens.known.clear()
    scope = a_scope(("authorization", "Bearer tagboat_x"))
    assert await authenticator.identify(scope) is None
    assert PRINCIPAL not in scope
    assert tokens.asked == [("tagboat_x", "192.0.2.7")] * 2


async def test_a_session_brings_the_token_of_its_forms(
    authenticator: Authenticator, sessions: Records
) -> None:
    sessions.known.add(SECRET)
    scope = a_scope(("cookie", f"tagboat={SECRET}"))
    found = await authenticator.identify(scope)
    assert found is not None
    assert found.kind is PrincipalKind.ACCOUNT
    assert scope[CSRF] == csrf_token(SECRET)
    sessions.known.clear()
    scope = a_scope(("cookie", f"tagboat={SECRET}"))
    assert await authenticator.identify(scope) is None
    assert CSRF not in scope


async def test_a_wrong_token_is_not_mended_by_a_session(
    authenticator: Authenticator, sessions: Records
) -> None:
    sessions.known.add(SECRET)
    cookie = ("cookie", f"tagboat={SECRET}")
    assert await authenticator.identify(a_scope(("authorization", "Bearer x"), cookie)) is None
    # The password of a front is not for us.
    assert await authenticator.identify(a_scope(("authorization", "Basic x"), cookie))
    assert await authenticator.identify(a_scope()) is None


async def test_made_up_secrets_wait_in_a_line_and_known_ones_do_not(
    authenticator: Authenticator, tokens: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    tokens.known.add("tagboat_known")
    await authenticator.identify(a_scope(("authorization", "Bearer tagboat_known")))
    for number in range(10):
        await authenticator.identify(a_scope(("authorization", f"Bearer tagboat_{number}")))
    assert len(slept) == 10
    assert slept == sorted(slept)
    slept.clear()
    assert await authenticator.identify(a_scope(("authorization", "Bearer tagboat_known")))
    assert slept == []


async def test_the_memory_of_known_secrets_is_bounded(
    authenticator: Authenticator, tokens: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identification, "_MOST_KNOWN", 3)
    for number in range(10):
        tokens.known.add(f"tagboat_{number}")
        await authenticator.identify(a_scope(("authorization", f"Bearer tagboat_{number}")))
    assert len(authenticator._known) == 3
