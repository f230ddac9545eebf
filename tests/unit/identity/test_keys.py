import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from tagboat.core.errors import IdentityProviderError, IdentityRejectedError
from tagboat.identity.keys import ProviderKeys, public_keys
from tagboat.identity.transport import ProviderTransport
from tests.support.openid_provider import OpenIdProvider

pytestmark = pytest.mark.anyio
RSA = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}).as_dict(private=False)
EC = ECKey.generate_key("P-256", {"kid": "two"}).as_dict(private=False)


def test_keys_for_signatures_are_used_and_no_others() -> None:
    shared = OctKey.generate_key(256, {"kid": "three"}).as_dict(private=True)
    encryption = RSA | {"kid": "four", "use": "enc"}
    unknown = {"kty": "RSA", "kid": "five", "n": "!", "e": "AQAB"}
    odd: list[object] = [None, "key", [], {"kid": "six"}, {"kty": "EC", "crv": "none"}]
    found = public_keys({"keys": [*odd, shared, encryption, unknown, RSA, EC]})
    assert [key.kid for key in found] == ["one", "two"]


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": [None]}])
def test_documents_without_keys_have_none(document: dict[str, object]) -> None:
    assert public_keys(document) == []


async def test_an_unknown_key_is_not_asked_for_all_the_time(fake: OpenIdProvider) -> None:
    transport = ProviderTransport("Example")
    keys = ProviderKeys("Example", transport)
    url = f"{fake.issuer}/keys"
    await keys.find(url, fake.key.kid)
    for _ in range(20):
        with pytest.raises(IdentityRejectedError, match="a key that Example does not publish"):
            await keys.find(url, "invented")
    assert fake.asked.count("/keys") == 1
    await transport.close()


async def test_a_withdrawn_key_is_dropped_with_the_next_reading(fake: OpenIdProvider) -> None:
    transport = ProviderTransport("Example")
    keys, url = ProviderKeys("Example", transport, 0.0), f"{fake.issuer}/keys"
    old = fake.key.kid
    await keys.find(url, old)
    fake.rotate()
    await keys.find(url, fake.key.kid)
    with pytest.raises(IdentityRejectedError):
        await keys.find(url, old)
    await transport.close()


async def test_known_keys_outlive_a_failure(fake: OpenIdProvider) -> None:
    transport = ProviderTransport("Example")
    keys, url = ProviderKeys("Example", transport, 0.0), f"{fake.issuer}/keys"
    await keys.find(url, None)
    fake.replies["/keys"] = (500, b"")
    with pytest.raises(IdentityProviderError, match="500"):
        await keys.find(url, "new")
    assert await keys.find(url, fake.key.kid)
    await transport.close()


async def test_a_provider_without_keys_is_not_asked_for_each_token(fake: OpenIdProvider) -> None:
    transport = ProviderTransport("Example")
    keys, url = ProviderKeys("Example", transport), f"{fake.issuer}/keys"
    fake.replies["/keys"] = (500, b"")
    for _ in range(5):
        with pytest.raises(IdentityProviderError, match="500"):
            await keys.find(url, "invented")
    assert fake.asked.count("/keys") == 1
    await transport.close()
