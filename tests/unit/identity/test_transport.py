import pytest

from tagboat.core.errors import IdentityProviderError
from tagboat.core.proxies import Proxies, Proxy
from tagboat.identity.transport import ProviderTransport, expect_safe_url, shown_host_of
from tests.support.forward_proxy import forward_proxy
from tests.support.openid_provider import OpenIdProvider


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example.com/x",
        "https://10.0.0.5:8443/x",
        "http://127.0.0.1:9000/x",
        "http://localhost/x",
        "http://[::1]:9000/x",
        "http://id.localhost/x",
    ],
)
def test_tls_everywhere_but_on_loopback(url: str) -> None:
    expect_safe_url(url, "Example")


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/x",
        "http://10.0.0.5/x",
        "http://localhost.example.com/x",
        "http://127.0.0.1.nip.io/x",
        "ws://127.0.0.1/x",
        "https://169.254.169.254/x",
        "https://[::ffff:169.254.169.254]/x",
        "https:///x",
        "x",
        "",
    ],
)
def test_nothing_else_is_asked(url: str) -> None:
    with pytest.raises(IdentityProviderError):
        expect_safe_url(url, "Example")


def test_messages_show_no_login() -> None:
    assert shown_host_of("https://ada:pw@id.example.com:8443/x?token=1") == "id.example.com:8443"


@pytest.mark.anyio
async def test_a_name_that_does_not_resolve_is_one_sentence() -> None:
    transport = ProviderTransport("Example", connect_s=30, total_s=60)
    with pytest.raises(IdentityProviderError, match="name cannot be resolved"):
        await transport.get("https://id.invalid/x")
    await transport.close()


@pytest.mark.anyio
async def test_a_server_without_tls_is_one_sentence(fake: OpenIdProvider) -> None:
    transport = ProviderTransport("Example", connect_s=30, total_s=60)
    with pytest.raises(IdentityProviderError, match=r"Example \(127.0.0.1:\d+\) cannot be reached"):
        await transport.get(fake.issuer.replace("http:", "https:"))
    await transport.close()


@pytest.mark.anyio
async def test_a_provider_elsewhere_is_asked_through_the_proxy(fake: OpenIdProvider) -> None:
    login = "Basic YWRhOnB3"
    async with forward_proxy({}, login) as forward:
        proxy = Proxy("127.0.0.1", forward.port, "ada", "pw")
        proxies = Proxies(http=proxy, https=proxy)
        transport = ProviderTransport("Example", proxies, connect_s=30, total_s=60)
        with pytest.raises(IdentityProviderError, match="cannot be reached"):
            await transport.get("https://id.example.com/x")
        # Loopback is reached directly.
        assert (await transport.get(f"{fake.issuer}/keys")).status == 200
        await transport.close()
        assert forward.asked == ["CONNECT id.example.com:443 HTTP/1.1"]
