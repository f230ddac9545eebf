"""The sign-in at a provider that others wrote."""

import urllib.parse
from collections.abc import AsyncIterator, Iterator

import pytest

from tagboat.core.errors import IdentityRejectedError
from tagboat.core.oidc import OidcSettings, ProviderAnswer, SignInAttempt
from tagboat.core.oidc_decision import AdmittedPerson, decide_sign_in
from tagboat.core.principal import Role
from tagboat.identity.provider import OidcProvider
from tests.support.canaille import Browser, Canaille, Person, canaille

pytestmark = pytest.mark.anyio
CALLBACK = "http://127.0.0.1:7070/oidc/callback"
AFTER_LOGOUT = "http://127.0.0.1:7070/sign-in"


@pytest.fixture(scope="module")
def server() -> Iterator[Canaille]:
    people = [Person("ada", "ada@example.com", ["devs", "staff"]), Person("bob", "bob@example.com")]
    with canaille(CALLBACK, AFTER_LOGOUT, people) as running:
        yield running


@pytest.fixture
def settings(server: Canaille) -> OidcSettings:
    return OidcSettings(
        issuer=server.issuer,
        client_id=server.client_id,
        client_secret=server.client_secret,
        scopes=("openid", "profile", "email", "groups"),
        name="Canaille",
        roles=(("devs", Role.DEPLOYER),),
    )


@pytest.fixture
async def provider(settings: OidcSettings) -> AsyncIterator[OidcProvider]:
    made = OidcProvider(settings, callback_url=CALLBACK, after_logout_url=AFTER_LOGOUT)
    yield made
    await made.close()


def way_back(browser: Browser) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(browser.stopped_at).query))


async def test_signing_in_and_out(provider: OidcProvider, settings: OidcSettings) -> None:
    browser, attempt = Browser(CALLBACK), SignInAttempt.begin()
    browser.sign_in(await provider.authorization_url(attempt), "ada")
    query = way_back(browser)
    assert attempt.owns(query["state"])
    answer = ProviderAnswer(code=query["code"], issuer=query.get("iss"))
    session = await provider.redeem(answer, attempt)
    assert (session.issuer, session.subject) == (settings.issuer, "ada")
    decided = decide_sign_in(session.claims, settings)
    assert isinstance(decided, AdmittedPerson)
    assert decided.role is Role.DEPLOYER

    with pytest.raises(IdentityRejectedError, match="Sign in again"):
        await provider.redeem(answer, attempt)

    url = await provider.logout_url(session.id_token)
    assert url is not None
    browser.stop_at = AFTER_LOGOUT
    page = browser.open(url)
    assert browser.stopped_at == AFTER_LOGOUT, page
    # The provider asks again who it is.
    asked = browser.open(await provider.authorization_url(SignInAttempt.begin()))
    assert 'name="login"' in asked


async def test_a_person_without_the_group_has_no_role(
    provider: OidcProvider, settings: OidcSettings
) -> None:
    browser, attempt = Browser(CALLBACK), SignInAttempt.begin()
    browser.sign_in(await provider.authorization_url(attempt), "bob")
    query = way_back(browser)
    session = await provider.redeem(
        ProviderAnswer(code=query["code"], issuer=query["iss"]), attempt
    )
    assert not isinstance(decide_sign_in(session.claims, settings), AdmittedPerson)


async def test_a_code_without_its_verifier_is_worth_nothing(provider: OidcProvider) -> None:
    browser, attempt = Browser(CALLBACK), SignInAttempt.begin()
    browser.sign_in(await provider.authorization_url(attempt), "ada")
    query = way_back(browser)
    answer = ProviderAnswer(code=query["code"], issuer=query["iss"])
    with pytest.raises(IdentityRejectedError, match="does not accept the code"):
        await provider.redeem(answer, SignInAttempt.begin())
