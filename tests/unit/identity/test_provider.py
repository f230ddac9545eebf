from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from tagboat.core.errors import IdentityError, IdentityProviderError, IdentityRejectedError
from tagboat.core.oidc import LogoutNotice, OidcSettings, ProviderAnswer, SignInAttempt
from tagboat.core.principal import Role
from tagboat.core.values import replace
from tagboat.identity.provider import OidcProvider, lacks_claims
from tests.support.openid_provider import CLIENT_ID, LOGOUT_EVENT, Claims, OpenIdProvider
from tests.unit.identity.conftest import CALLBACK, SIGN_IN, Build, query_back, sign_in

pytestmark = pytest.mark.anyio


async def test_the_whole_way(provider: OidcProvider, fake: OpenIdProvider) -> None:
    fake.person["groups"] = ["devs"]
    session = await sign_in(provider)
    assert (session.issuer, session.subject, session.sid) == (fake.issuer, "ada-1", "session-1")
    assert session.claims["groups"] == ["devs"]
    assert fake.asked == ["/.well-known/openid-configuration", "/authorize", "/token", "/keys"]


async def test_the_browser_is_sent_with_pkce_state_and_nonce(provider: OidcProvider) -> None:
    attempt = SignInAttempt.begin()
    url = await provider.authorization_url(attempt)
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert query.pop("code_challenge")
    assert query == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "scope": "openid profile email",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge_method": "S256",
    }
    assert attempt.code_verifier not in url
    assert attempt.secret not in url


@pytest.mark.parametrize("kind", ["RSA", "EC"])
async def test_a_key_that_is_new_is_read_once(
    provider: OidcProvider, fake: OpenIdProvider, kind: str
) -> None:
    await sign_in(provider)
    fake.rotate(kind)
    await sign_in(provider)
    await sign_in(provider)
    assert fake.asked.count("/keys") == 2
    assert fake.asked.count("/.well-known/openid-configuration") == 1


async def test_the_secret_goes_into_the_form_where_the_provider_wants_it(
    provider: OidcProvider, fake: OpenIdProvider
) -> None:
    fake.auth_methods = ("client_secret_post",)
    assert (await sign_in(provider)).subject == "ada-1"


async def test_a_second_way_is_tried_if_the_first_proves_nothing(
    provider: OidcProvider, fake: OpenIdProvider
) -> None:
    fake.auth_methods = ("client_secret_post",)
    both = ["client_secret_basic", "client_secret_post"]
    fake.change_metadata = lambda it: it | {"token_endpoint_auth_methods_supported": both}
    assert (await sign_in(provider)).subject == "ada-1"


async def test_a_client_without_a_secret_is_a_public_one(
    build: Build, settings: OidcSettings, fake: OpenIdProvider
) -> None:
    fake.auth_methods = ("none",)
    assert (await sign_in(build(replace(settings, client_secret=None)))).subject == "ada-1"


async def test_a_wrong_secret_names_the_settings(
    build: Build, settings: OidcSettings, fake: OpenIdProvider
) -> None:
    with pytest.raises(IdentityRejectedError, match="TAGBOAT_OIDC_CLIENT_SECRET") as caught:
        await sign_in(build(replace(settings, client_secret="guessed-secret")))
    assert "guessed" not in str(caught.value)
    assert fake.asked.count("/token") == 2


async def test_claims_that_the_id_token_lacks_come_from_userinfo(
    provider: OidcProvider, fake: OpenIdProvider
) -> None:
    fake.person |= {"groups": ["devs"], "email": "ada@example.com", "nonce": "x"}
    fake.in_id_token = frozenset({"email"})
    fake.change_userinfo = lambda it: it | {"email": "other@example.com", "iss": "evil"}
    session = await sign_in(provider)
    assert session.claims["groups"] == ["devs"]
    # What is signed wins.
    assert (session.claims["email"], session.claims["iss"]) == ("ada@example.com", fake.issuer)


async def test_userinfo_is_not_asked_without_need(
    provider: OidcProvider, fake: OpenIdProvider
) -> None:
    fake.person["groups"] = []
    await sign_in(provider)
    assert "/userinfo" not in fake.asked


async def test_userinfo_about_another_person_is_refused(
    provider: OidcProvider, fake: OpenIdProvider
) -> None:
    fake.change_userinfo = lambda it: it | {"sub": "mallory", "groups": ["admins"]}
    with pytest.raises(IdentityRejectedError, match="another person"):
        await sign_in(provider)


UNUSABLE = [(200, b"[]"), (200, b"signed.jwt.here"), (200, b"<html>Sign in</html>")]


@pytest.mark.parametrize("reply", [(403, b"{}"), *UNUSABLE])
async def test_userinfo_that_cannot_be_used_adds_nothing(
    provider: OidcProvider, fake: OpenIdProvider, reply: tuple[int, bytes]
) -> None:
    fake.replies["/userinfo"] = reply
    assert "groups" not in (await sign_in(provider)).claims


@pytest.mark.parametrize("reply", UNUSABLE)
async def test_where_userinfo_was_needed_its_answer_is_blamed(
    fake: OpenIdProvider, build: Build, settings: OidcSettings, reply: tuple[int, bytes]
) -> None:
    fake.replies["/userinfo"] = reply
    provider = build(replace(settings, roles=(("devs", Role.VIEWER),)))
    with pytest.raises(IdentityRejectedError, match="at its endpoint userinfo cannot be used"):
        await sign_in(provider)
    # Refused as such: the decision names the claim then.
    fake.replies["/userinfo"] = (403, b"{}")
    assert "groups" not in (await sign_in(provider)).claims


def _without(name: str) -> Callable[[Claims], Claims]:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


def _with(**changed: object) -> Callable[[Claims], Claims]:
    return lambda claims: claims | changed


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_with(nonce="another"), "nonce"),
        (_without("nonce"), "nonce"),
        (_with(aud="another"), "aud"),
        (_with(aud=["another", "third"]), "aud"),
        (_with(aud=[]), "aud"),
        (_with(aud=None), "aud"),
        (_without("aud"), "aud"),
        (_with(aud=[CLIENT_ID, "another"]), "azp"),
        (_with(aud=[CLIENT_ID, "another"], azp="another"), "azp"),
        (_with(azp="another"), "azp"),
        (_with(iss="https://evil.example.com"), "iss"),
        (_without("iss"), "iss"),
        (lambda it: it | {"iss": it["iss"] + "/"}, "iss"),
        (lambda it: it | {"exp": it["iat"] - 61}, "exp"),
        (_with(exp="never"), "exp"),
        (_without("exp"), "exp"),
        (lambda it: it | {"iat": it["iat"] + 3600}, "iat"),
        (_without("iat"), "iat"),
        (lambda it: it | {"nbf": it["iat"] + 3600}, "nbf"),
        (_without("sub"), "sub"),
        (_with(sub=7), "sub"),
        (_with(sub=""), "sub"),
        (_with(sub="x" * 256), "255"),
        (_with(at_hash="AAAAAAAAAAAAAAAAAAAAAA"), "at_hash"),
    ],
)
async def test_an_id_token_with_a_fault_is_refused(
    provider: OidcProvider, fake: OpenIdProvider, change: Callable[[Claims], Claims], fault: str
) -> None:
    fake.change_id_token = change
    with pytest.raises(IdentityRejectedError, match=fault):
        await sign_in(provider)


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it | {"exp": it["iat"] - 50},
        lambda it: it | {"iat": it["iat"] + 50},
        _with(aud=[CLIENT_ID]),
        _with(aud=[CLIENT_ID, "another"], azp=CLIENT_ID),
        _without("at_hash"),
        _without("sid"),
    ],
)
async def test_a_small_difference_of_clocks_and_lists_of_audiences_are_not_faults(
    provider: OidcProvider, fake: OpenIdProvider, change: Callable[[Claims], Claims]
) -> None:
    fake.change_id_token = change
    assert (await sign_in(provider)).subject == "ada-1"


async def test_a_code_counts_once(provider: OidcProvider) -> None:
    attempt = SignInAttempt.begin()
    query = query_back(await provider.authorization_url(attempt))
    answer = ProviderAnswer(code=query["code"], issuer=query["iss"])
    await provider.redeem(answer, attempt)
    with pytest.raises(IdentityRejectedError, match="Sign in again"):
        await provider.redeem(answer, attempt)


async def test_a_code_of_another_attempt_is_refused_by_pkce(provider: OidcProvider) -> None:
    query = query_back(await provider.authorization_url(SignInAttempt.begin()))
    answer = ProviderAnswer(code=query["code"], issuer=query["iss"])
    with pytest.raises(IdentityRejectedError, match="does not accept the code"):
        await provider.redeem(answer, SignInAttempt.begin())


@pytest.mark.parametrize("issuer", [None, "https://evil.example.com", ""])
async def test_an_answer_of_another_provider_is_refused_before_the_code_is_sent(
    provider: OidcProvider, fake: OpenIdProvider, issuer: str | None
) -> None:
    attempt = SignInAttempt.begin()
    query = query_back(await provider.authorization_url(attempt))
    with pytest.raises(IdentityRejectedError, match="another provider"):
        await provider.redeem(ProviderAnswer(code=query["code"], issuer=issuer), attempt)
    assert "/token" not in fake.asked


async def test_a_provider_without_rfc_9207_needs_not_name_itself(
    provider: OidcProvider, fake: OpenIdProvider
) -> None:
    fake.change_metadata = _without("authorization_response_iss_parameter_supported")
    fake.change_answer = lambda it: {"code": it["code"], "state": it["state"]}
    assert (await sign_in(provider)).subject == "ada-1"


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ((500, b"secret-internals"), "failed with status 500"),
        ((429, b""), "status 429"),
        ((302, b""), "redirect"),
        ((200, b"<html>"), "status 200"),
        ((200, b"[]"), "status 200"),
        ((200, b"[" * 100_000), "status 200"),
        ((200, b" " * 600_000), "over 524288 bytes"),
    ],
)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
async def test_a_provider_that_fails_is_named_with_the_reason(
    provider: OidcProvider, fake: OpenIdProvider, path: str, reply: tuple[int, bytes], fault: str
) -> None:
    fake.replies[path] = reply
    with pytest.raises(IdentityError, match=fault) as caught:
        await sign_in(provider)
    assert "Example" in str(caught.value)
    assert "internals" not in str(caught.value)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
async def test_a_slow_provider_is_not_waited_for(
    build: Build, settings: OidcSettings, fake: OpenIdProvider, path: str
) -> None:
    fake.delays_s[path] = 60.0  # it gives up long before the answer
    with pytest.raises(IdentityProviderError, match="did not answer in time"):
        await sign_in(build(settings, total_s=1.0))


async def test_a_provider_that_is_down_is_one_sentence(
    build: Build, settings: OidcSettings
) -> None:
    provider = build(replace(settings, issuer="http://127.0.0.1:9"))
    with pytest.raises(IdentityProviderError, match=r"Example \(127.0.0.1:9\) cannot be reached"):
        await sign_in(provider)


async def test_a_provider_that_is_down_for_a_while_does_not_end_sign_ins(
    build: Build, settings: OidcSettings, fake: OpenIdProvider
) -> None:
    provider = build(settings)
    fake.replies["/.well-known/openid-configuration"] = (503, b"")
    with pytest.raises(IdentityProviderError):
        await sign_in(provider)
    fake.replies.clear()
    assert (await sign_in(provider)).subject == "ada-1"


async def test_no_id_token(provider: OidcProvider, fake: OpenIdProvider) -> None:
    fake.replies["/token"] = (200, b'{"access_token": "a", "token_type": "Bearer"}')
    with pytest.raises(IdentityProviderError, match="no ID token"):
        await sign_in(provider)


async def test_signing_out_at_the_provider(provider: OidcProvider, fake: OpenIdProvider) -> None:
    session = await sign_in(provider)
    url = await provider.logout_url(session.id_token)
    assert url is not None
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{fake.issuer}/logout"
    assert parse_qs(parts.query) == {
        "client_id": [CLIENT_ID],
        "post_logout_redirect_uri": [SIGN_IN],
        "id_token_hint": [session.id_token],
    }


async def test_a_provider_without_a_place_to_sign_out(
    provider: OidcProvider, fake: OpenIdProvider
) -> None:
    fake.change_metadata = _without("end_session_endpoint")
    assert await provider.logout_url(None) is None


async def test_a_logout_token_says_whose_session_ended(
    provider: OidcProvider, fake: OpenIdProvider
) -> None:
    notice = await provider.read_logout_token(fake.logout_token())
    assert notice == LogoutNotice(issuer=fake.issuer, subject="ada-1", sid="session-1")
    of_all = await provider.read_logout_token(fake.logout_token(_without("sid")))
    assert of_all == LogoutNotice(issuer=fake.issuer, subject="ada-1", sid=None)
    of_one = await provider.read_logout_token(fake.logout_token(_without("sub")))
    assert of_one == LogoutNotice(issuer=fake.issuer, subject=None, sid="session-1")


@pytest.mark.parametrize(
    "change",
    [
        _with(nonce="n"),
        _without("events"),
        _with(events={}),
        _with(events=[LOGOUT_EVENT]),
        _with(events={LOGOUT_EVENT: "yes"}),
        _with(aud="another"),
        _without("aud"),
        _with(iss="https://evil.example.com"),
        _without("iat"),
        _without("jti"),
        _with(iat=1),
        _with(exp=1),
        _with(sid=7),
        lambda it: _without("sub")(_without("sid")(it)),
        _with(sub=""),
    ],
)
async def test_no_other_token_is_a_logout_token(
    provider: OidcProvider, fake: OpenIdProvider, change: Callable[[Claims], Claims]
) -> None:
    with pytest.raises(IdentityRejectedError, match="logout token|subject"):
        await provider.read_logout_token(fake.logout_token(change))


async def test_an_id_token_is_no_logout_token(provider: OidcProvider) -> None:
    session = await sign_in(provider)
    with pytest.raises(IdentityRejectedError):
        await provider.read_logout_token(session.id_token)


@pytest.mark.parametrize(
    ("claims", "lacks"),
    [
        ({"email": "a@example.com", "email_verified": True}, False),
        # Some providers say only at userinfo that it is verified.
        ({"email": "a@example.com"}, True),
        ({"name": "Ada"}, True),
    ],
)
def test_userinfo_is_asked_where_the_token_does_not_answer(
    settings: OidcSettings, claims: dict[str, object], *, lacks: bool
) -> None:
    asked = replace(settings, allowed_domains=("example.com",), role_claim="role")
    assert lacks_claims({"role": "admin", **claims}, asked) is lacks
