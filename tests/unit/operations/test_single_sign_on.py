from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.accounts import Account
from tagboat.core.errors import (
    ConflictError,
    ForbiddenError,
    IdentityProviderError,
    IdentityRejectedError,
    NotFoundError,
    SignInError,
    TooManyAttemptsError,
)
from tagboat.core.identities import Identity, SessionOrigin
from tagboat.core.oidc import (
    LogoutNotice,
    OidcSettings,
    ProviderAnswer,
    ProviderSession,
    SignInAttempt,
)
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.values import replace
from tagboat.operations.operations import Operations
from tagboat.operations.services import OidcService, OperationServices
from tagboat.operations.sessions import SignedIn
from tagboat.operations.sign_in_attempts import FREE_FOR_ADDRESS
from tagboat.store import SqlStore, open_store

pytestmark = pytest.mark.anyio
ISSUER = "https://id.example.com"
NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)
SETTINGS = OidcSettings(
    issuer=ISSUER,
    client_id="tagboat",
    name="Example",
    roles=(("admins", Role.ADMIN), ("devs", Role.DEPLOYER)),
)
ADA = ProviderSession(
    issuer=ISSUER,
    subject="ada-1",
    claims={
        "preferred_username": "ada",
        "groups": ["devs"],
        "email": "ada@example.com",
        "email_verified": True,
    },
    sid="s1",
    id_token="the.id.token",
)
BOB = replace(ADA, subject="bob-1", sid="s2", claims={"name": "Bob", "groups": ["admins"]})


@dataclass
class Provider:
    """Says that the code is the name of the person, and knows these people."""

    people: dict[str, ProviderSession] = field(default_factory=lambda: {"ada": ADA, "bob": BOB})
    notice: LogoutNotice | None = None
    error: Exception | None = None
    redeemed: int = 0

    async def authorization_url(self, attempt: SignInAttempt) -> str:
        return f"{ISSUER}/authorize?state={attempt.state}"

    async def redeem(self, answer: ProviderAnswer, attempt: SignInAttempt) -> ProviderSession:
        assert attempt.secret
        self.redeemed += 1
        if answer.code not in self.people:
            raise IdentityRejectedError("Example does not accept the code")
        return self.people[answer.code]

    async def logout_url(self, id_token: str | None) -> str | None:
        if self.error:
            raise self.error
        return f"{ISSUER}/logout?id_token_hint={id_token}"

    async def read_logout_token(self, token: str) -> LogoutNotice:
        if self.notice is None or token != "token":
            raise IdentityRejectedError("not valid")
        return self.notice

    async def close(self) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(None, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def services(store: SqlStore, provider: Provider) -> OperationServices:
    unused: Any = None
    given: dict[str, Any] = {one.name: unused for one in fields(OperationServices)}
    for name in ("actor", "passwords", "attempts", "local_sign_in", "host_path"):
        del given[name]
    return OperationServices(
        **given
        | {"store": store, "clock": lambda: NOW, "oidc": OidcService(SETTINGS, provider)}
        | {"public_url": "https://tagboat.example.com"}
    )


@pytest.fixture
def operations(services: OperationServices) -> Operations:
    return Operations(services)


async def sign_in(operations: Operations, code: str, previous: str = "") -> SignedIn:
    return await operations.single_sign_on.finish(
        ProviderAnswer(code=code),
        SignInAttempt.begin(),
        address="192.0.2.7",
        user_agent="Browser",
        previous=previous,
    )


async def add_account(store: SqlStore, name: str, role: Role = Role.ADMIN) -> Account:
    account = Account(id=f"id-{name}", name=name, role=role, created_at=NOW)
    await store.write(lambda tx: tx.add_account(account))
    return account


async def test_the_account_is_made_at_the_first_sign_in_and_found_at_the_next(
    operations: Operations, store: SqlStore
) -> None:
    first = await sign_in(operations, "ada")
    assert (first.principal.name, first.principal.role) == ("ada", Role.DEPLOYER)
    again = await sign_in(operations, "ada")
    assert again.principal.id == first.principal.id
    accounts = await store.read(lambda reader: reader.accounts())
    assert [(one.name, one.password, one.signed_in_at) for one in accounts] == [("ada", None, NOW)]
    assert await store.read(lambda reader: reader.identity(ISSUER, "ada-1")) == Identity(
        issuer=ISSUER,
        subject="ada-1",
        account_id=accounts[0].id,
        email="ada@example.com",
        created_at=NOW,
    )
    found = await operations.sessions.find(again.cookie, "192.0.2.7")
    assert found is not None
    assert found.name == "ada"


async def test_the_role_follows_the_claims_at_each_sign_in_and_at_once(
    operations: Operations, provider: Provider
) -> None:
    before = await sign_in(operations, "ada")
    provider.people["ada"] = replace(ADA, claims={**ADA.claims, "groups": ["admins"]})
    await sign_in(operations, "ada")
    found = await operations.sessions.find(before.cookie, "192.0.2.7")
    assert found is not None
    assert found.role is Role.ADMIN


async def test_a_limit_to_projects_stays_with_the_role(
    operations: Operations, provider: Provider, store: SqlStore
) -> None:
    account_id = (await sign_in(operations, "ada")).principal.id
    assert account_id is not None
    await store.write(lambda tx: tx.put_account(replace(tx.account(account_id), projects=("p1",))))
    assert (await sign_in(operations, "ada")).principal.projects == frozenset({"p1"})
    provider.people["ada"] = replace(ADA, claims={**ADA.claims, "groups": ["admins"]})
    assert (await sign_in(operations, "ada")).principal.projects is None


async def test_a_limit_to_projects_outlives_a_time_as_viewer(
    store: SqlStore, provider: Provider, services: OperationServices
) -> None:
    roles = (("devs", Role.DEPLOYER), ("guests", Role.VIEWER))
    oidc = OidcService(replace(SETTINGS, roles=roles), provider)
    operations = Operations(replace(services, oidc=oidc))
    account_id = (await sign_in(operations, "ada")).principal.id
    assert account_id is not None
    await store.write(lambda tx: tx.put_account(replace(tx.account(account_id), projects=("p1",))))
    provider.people["ada"] = replace(ADA, claims={**ADA.claims, "groups": ["guests"]})
    assert (await sign_in(operations, "ada")).principal.role is Role.VIEWER
    provider.people["ada"] = ADA
    assert (await sign_in(operations, "ada")).principal.projects == frozenset({"p1"})


async def test_without_a_role_there_is_no_sign_in_and_older_sessions_end(
    operations: Operations, provider: Provider, store: SqlStore
) -> None:
    before = await sign_in(operations, "ada")
    bob = await sign_in(operations, "bob")
    provider.people["ada"] = replace(ADA, claims={"groups": []})
    with pytest.raises(ForbiddenError, match="has no role in Tagboat"):
        await sign_in(operations, "ada")
    assert await operations.sessions.find(before.cookie, "192.0.2.7") is None
    assert await operations.sessions.find(bob.cookie, "192.0.2.7") is not None
    # The account stays: with it stays who did what.
    assert len(await store.read(lambda reader: reader.accounts())) == 2


async def test_a_stranger_without_a_role_gets_no_account(
    operations: Operations, provider: Provider
) -> None:
    provider.people["ada"] = replace(ADA, claims={})
    with pytest.raises(ForbiddenError):
        await sign_in(operations, "ada")
    assert await operations.accounts.setup_needed()


async def test_an_account_of_the_same_name_or_address_belongs_to_somebody_else(
    operations: Operations, store: SqlStore, provider: Provider
) -> None:
    for name in ("Ada", "ada@example.com"):
        await add_account(store, name)
    signed_in = await sign_in(operations, "ada")
    assert signed_in.principal.name == "ada (Example)"
    provider.people["other"] = replace(ADA, subject="other-ada")
    assert (await sign_in(operations, "other")).principal.name == "ada (Example, 2)"


async def test_the_same_subject_at_another_issuer_is_another_person(
    operations: Operations, provider: Provider
) -> None:
    first = await sign_in(operations, "ada")
    provider.people["ada"] = replace(ADA, issuer="https://other.example.com")
    assert (await sign_in(operations, "ada")).principal.id != first.principal.id


@pytest.mark.parametrize("name", ["x" * 300, "\u3164", " \t", "\x00", "a\nb"])
async def test_odd_names_become_names(
    operations: Operations, provider: Provider, name: str
) -> None:
    provider.people["ada"] = replace(ADA, claims={"groups": ["devs"], "preferred_username": name})
    provider.people["bob"] = replace(provider.people["ada"], subject="bob-1")
    names = {(await sign_in(operations, code)).principal.name for code in ("ada", "bob")}
    assert len(names) == 2
    assert all(0 < len(one) <= 100 for one in names)


async def test_the_session_before_ends(operations: Operations) -> None:
    before = await sign_in(operations, "ada")
    await sign_in(operations, "bob", before.cookie)
    assert await operations.sessions.find(before.cookie, "192.0.2.7") is None


async def test_a_deleted_account_is_made_again(operations: Operations, store: SqlStore) -> None:
    first = (await sign_in(operations, "ada")).principal.id
    assert first is not None
    await store.write(lambda tx: tx.delete_account(first))
    assert await store.read(lambda reader: reader.identity(ISSUER, "ada-1")) is None
    assert (await sign_in(operations, "ada")).principal.id != first


async def test_signing_out_ends_both_sessions(operations: Operations, store: SqlStore) -> None:
    signed_in = await sign_in(operations, "ada")
    session_id = signed_in.principal.session_id
    assert session_id is not None
    assert await store.read(lambda reader: reader.session_origin(session_id)) == SessionOrigin(
        session_id=session_id, issuer=ISSUER, subject="ada-1", sid="s1", id_token="the.id.token"
    )
    own = operations.by(signed_in.principal)
    assert await own.single_sign_on.sign_out(session_id) == (
        f"{ISSUER}/logout?id_token_hint=the.id.token"
    )
    assert await operations.sessions.find(signed_in.cookie, "192.0.2.7") is None
    assert await store.read(lambda reader: reader.session_origin(session_id)) is None
    # A second click does no harm.
    assert await own.single_sign_on.sign_out(session_id) is None


async def test_signing_out_works_while_the_provider_does_not(
    operations: Operations, provider: Provider
) -> None:
    signed_in = await sign_in(operations, "ada")
    session_id = signed_in.principal.session_id
    assert session_id is not None
    provider.error = IdentityProviderError("down")
    assert await operations.by(signed_in.principal).single_sign_on.sign_out(session_id) is None
    assert await operations.sessions.find(signed_in.cookie, "192.0.2.7") is None


async def test_nobody_ends_the_session_of_another(operations: Operations) -> None:
    ada, bob = await sign_in(operations, "ada"), await sign_in(operations, "bob")
    assert bob.principal.session_id is not None
    with pytest.raises(ForbiddenError):
        await operations.by(ada.principal).single_sign_on.sign_out(bob.principal.session_id)
    assert await operations.sessions.find(bob.cookie, "192.0.2.7") is not None


@pytest.mark.parametrize(
    ("subject", "sid", "issuer", "ended"),
    [
        ("ada-1", "s1", ISSUER, {"first"}),
        (None, "s1", ISSUER, {"first"}),
        ("ada-1", None, ISSUER, {"first", "second"}),
        ("bob-1", "s1", ISSUER, set()),
        ("ada-1", "s9", ISSUER, set()),
        ("ada-1", None, "https://other.example.com", set()),
    ],
)
async def test_the_provider_ends_the_sessions_that_it_names(
    operations: Operations,
    provider: Provider,
    subject: str | None,
    sid: str | None,
    issuer: str,
    ended: set[str],
) -> None:
    begun = {"first": await sign_in(operations, "ada")}
    provider.people["ada"] = replace(ADA, sid="s3")
    begun |= {"second": await sign_in(operations, "ada"), "bob": await sign_in(operations, "bob")}
    provider.notice = LogoutNotice(issuer=issuer, subject=subject, sid=sid)
    assert await operations.single_sign_on.end_as_told("token") == len(ended)
    left = {
        name
        for name, one in begun.items()
        if await operations.sessions.find(one.cookie, "192.0.2.7") is None
    }
    assert left == ended


async def test_a_logout_token_that_is_not_valid_ends_nothing(operations: Operations) -> None:
    signed_in = await sign_in(operations, "ada")
    with pytest.raises(IdentityRejectedError):
        await operations.single_sign_on.end_as_told("token")
    assert await operations.sessions.find(signed_in.cookie, "192.0.2.7") is not None


async def test_two_sign_ins_at_once_make_one_account(
    operations: Operations, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, fails = store.write, [True]

    async def clash(work: Any) -> Any:  # noqa: ANN401 - any result
        if fails and fails.pop():
            await write(work)
            raise ConflictError("it clashes with something that exists already")
        return await write(work)

    monkeypatch.setattr(store, "write", clash)
    await sign_in(operations, "ada")
    assert len(await store.read(lambda reader: reader.accounts())) == 1


async def test_without_a_provider_there_is_nothing_to_start(services: OperationServices) -> None:
    single = Operations(replace(services, oidc=None)).single_sign_on
    assert single.provider_name is None
    with pytest.raises(NotFoundError, match="TAGBOAT_OIDC_ISSUER"):
        await single.start(SignInAttempt.begin())
    with pytest.raises(NotFoundError):
        await single.end_as_told("token")


async def test_passwords_can_be_switched_off(services: OperationServices) -> None:
    off = Operations(replace(services, local_sign_in=False))
    assert not off.single_sign_on.has_passwords
    # On the server's machine an account with a password can be made all the same.
    await off.accounts.create("root", Role.ADMIN, "correct horse battery")
    with pytest.raises(SignInError, match="switched off"):
        await off.sessions.sign_in(
            "root", "correct horse battery", address="192.0.2.7", user_agent="Browser"
        )
    on = Operations(services)
    local = await on.sessions.sign_in(
        "root", "correct horse battery", address="192.0.2.7", user_agent="Browser"
    )
    distant = await sign_in(off, "ada")
    assert await off.single_sign_on.end_local_sessions() == 1
    assert await off.sessions.find(local.cookie, "192.0.2.7") is None
    assert await off.sessions.find(distant.cookie, "192.0.2.7") is not None


async def test_only_an_admin_ends_local_sessions(operations: Operations) -> None:
    viewer = Principal(kind=PrincipalKind.ACCOUNT, name="eve", role=Role.VIEWER)
    with pytest.raises(ForbiddenError):
        await operations.by(viewer).single_sign_on.end_local_sessions()


async def test_a_session_from_the_provider_ends_like_any_other(
    services: OperationServices, operations: Operations
) -> None:
    signed_in = await sign_in(operations, "ada")
    later = Operations(replace(services, clock=lambda: NOW + timedelta(hours=13)))
    assert await later.sessions.find(signed_in.cookie, "192.0.2.7") is None


async def test_codes_that_are_made_up_reach_the_provider_only_so_often(
    operations: Operations, provider: Provider
) -> None:
    for _ in range(FREE_FOR_ADDRESS):
        with pytest.raises(IdentityRejectedError):
            await sign_in(operations, "made-up")
    with pytest.raises(TooManyAttemptsError, match="try again in 1 s"):
        await sign_in(operations, "ada")
    assert provider.redeemed == FREE_FOR_ADDRESS


async def test_people_of_one_address_may_sign_in_as_often_as_they_like(
    operations: Operations,
) -> None:
    for _ in range(FREE_FOR_ADDRESS + 1):
        await sign_in(operations, "ada")
