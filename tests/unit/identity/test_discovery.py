import asyncio

import pytest

from tagboat.core.errors import IdentityProviderError
from tagboat.identity import discovery
from tagboat.identity.discovery import Discovery, read_metadata
from tagboat.identity.transport import ProviderTransport
from tests.support.openid_provider import OpenIdProvider

ISSUER = "https://id.example.com/realms/acme"
DOCUMENT: dict[str, object] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/certs",
}


def test_the_least_that_a_provider_has() -> None:
    metadata = read_metadata(DOCUMENT, ISSUER, "Example")
    assert (metadata.userinfo_endpoint, metadata.end_session_endpoint) == (None, None)
    assert metadata.auth_methods == ("client_secret_basic",)
    assert not metadata.sends_issuer


@pytest.mark.parametrize("slashes", [("", "/"), ("/", ""), ("/", "/")])
def test_a_slash_at_the_end_of_the_issuer_does_not_count(slashes: tuple[str, str]) -> None:
    named, configured = (ISSUER + slash for slash in slashes)
    metadata = read_metadata(DOCUMENT | {"issuer": named}, configured, "Example")
    # ID tokens name it as the provider does.
    assert metadata.issuer == named


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        7,
        "",
        "https://evil.example.com",
        "https://ID.example.com/realms/acme",
        "http://id.example.com/realms/acme",
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        "a\nb",
    ],
)
def test_another_issuer_is_refused(issuer: object) -> None:
    with pytest.raises(IdentityProviderError, match="TAGBOAT_OIDC_ISSUER is https://id") as caught:
        read_metadata(DOCUMENT | {"issuer": issuer}, ISSUER, "Example")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_what_must_not_be_missing(name: str) -> None:
    document = {key: value for key, value in DOCUMENT.items() if key != name}
    with pytest.raises(IdentityProviderError, match=f"has no {name}"):
        read_metadata(document, ISSUER, "Example")


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/token",
        "ftp://id.example.com/token",
        "javascript:alert(1)",
        "/token",
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/token",
        "http://2852039166/token",
        "https://id.example.com/a b",
        "https://[::1",
        "",
        7,
        [],
    ],
)
@pytest.mark.parametrize("name", [*list(DOCUMENT)[1:], "userinfo_endpoint", "end_session_endpoint"])
def test_endpoints_without_tls_and_on_link_local_addresses_are_refused(
    name: str, url: object
) -> None:
    with pytest.raises(IdentityProviderError):
        read_metadata(DOCUMENT | {name: url}, ISSUER, "Example")


@pytest.mark.anyio
async def test_metadata_is_read_once_an_hour_and_outlives_a_failure(
    fake: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = ProviderTransport("Example")
    found = Discovery(fake.issuer, "Example", transport)
    path = discovery.WELL_KNOWN
    first = await found.metadata()
    assert await found.metadata() is first
    assert fake.asked == [path]
    fake.replies[path] = (500, b"")
    monkeypatch.setattr(found, "_ask_at", 0.0)
    assert await found.metadata() is first
    assert await found.metadata() is first
    assert fake.asked == [path, path]
    await transport.close()


@pytest.mark.anyio
@pytest.mark.parametrize(("status", "body"), [(404, b"{}"), (200, b"<html>"), (200, b"null")])
async def test_no_metadata_names_the_address_and_the_setting(
    fake: OpenIdProvider, status: int, body: bytes
) -> None:
    transport = ProviderTransport("Example")
    fake.replies[discovery.WELL_KNOWN] = (status, body)
    with pytest.raises(IdentityProviderError, match="Check TAGBOAT_OIDC_ISSUER") as caught:
        await Discovery(f"{fake.issuer}/", "Example", transport).metadata()
    assert f"{fake.issuer}/.well-known/openid-configuration" in str(caught.value)
    await transport.close()


@pytest.mark.anyio
async def test_all_who_come_at_once_share_one_failure(fake: OpenIdProvider) -> None:
    transport = ProviderTransport("Example")
    fake.replies[discovery.WELL_KNOWN] = (500, b"")
    fake.delays_s[discovery.WELL_KNOWN] = 0.2
    found = Discovery(fake.issuer, "Example", transport)
    outcomes = await asyncio.gather(*(found.metadata() for _ in range(20)), return_exceptions=True)
    assert {type(one) for one in outcomes} == {IdentityProviderError}
    assert fake.asked == [discovery.WELL_KNOWN]
    await transport.close()
