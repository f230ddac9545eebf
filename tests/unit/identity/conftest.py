"""What the tests of the identity room share."""

import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tagboat.core.oidc import OidcSettings, ProviderAnswer, ProviderSession, SignInAttempt
from tagboat.core.principal import Role
from tagboat.identity.provider import OidcProvider
from tests.support.openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    OpenIdProvider,
    openid_provider,
    way_back,
)

CALLBACK = "http://127.0.0.1:7070/oidc/callback"
SIGN_IN = "http://127.0.0.1:7070/sign-in"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def fake() -> Iterator[OpenIdProvider]:
    with openid_provider() as provider:
        yield provider


@pytest.fixture
def settings(fake: OpenIdProvider) -> OidcSettings:
    return OidcSettings(
        issuer=fake.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        name="Example",
        roles=(("*", Role.VIEWER),),
    )


Build = Callable[..., OidcProvider]


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    """Make providers that are closed in the end; `total_s` is how long an answer may take."""
    made: list[OidcProvider] = []

    def make(settings: OidcSettings, total_s: float = 60.0) -> OidcProvider:
        made.append(
            OidcProvider(
                settings,
                callback_url=CALLBACK,
                after_logout_url=SIGN_IN,
                total_s=total_s,
                key_pause_s=0.0,
            )
        )
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


@pytest.fixture
async def provider(build: Build, settings: OidcSettings) -> OidcProvider:
    return build(settings)


def query_back(url: str) -> dict[str, str]:
    """Go to the provider, and return the query of the way back."""
    location = way_back(url)
    assert location.startswith(CALLBACK + "?")
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))


async def sign_in(provider: OidcProvider) -> ProviderSession:
    """Go the whole way."""
    attempt = SignInAttempt.begin()
    query = query_back(await provider.authorization_url(attempt))
    assert attempt.owns(query["state"])
    return await provider.redeem(
        ProviderAnswer(code=query["code"], issuer=query.get("iss")), attempt
    )
