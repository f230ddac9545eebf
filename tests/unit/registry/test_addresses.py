import pytest

from tagboat.core.errors import RegistryError, RegistryProtocolError
from tagboat.core.image import ImageName
from tagboat.registry.addresses import NotAskedError, Resolver
from tagboat.registry.client import RegistryClient
from tests.support.fake_registry import fake_registry, status

METADATA = "http://169.254.169.254/latest/meta-data"


@pytest.mark.anyio
async def test_a_name_for_such_an_address_is_none() -> None:
    resolver = Resolver()
    assert {entry["host"] for entry in await resolver.resolve("localhost", 80)} <= {
        "127.0.0.1",
        "::1",
    }
    with pytest.raises(NotAskedError, match="link-local"):
        await resolver.resolve(
            "2852039166", 80
        )  # as a number, the system takes it for 169.254.169.254
    await resolver.close()


@pytest.mark.anyio
async def test_no_redirect_and_no_login_service_leads_there(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        for answer in (
            status(302, {"Location": METADATA}),
            status(401, {"WWW-Authenticate": f'Bearer realm="{METADATA}"'}),
        ):
            fake.answer_next(answer)
            with pytest.raises(
                RegistryProtocolError, match=r"169\.254\.169\.254 is a link-local address"
            ):
                await client.list_tags(ImageName(fake.host, "acme/app"), None)


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]:5000", "2852039166.:80"])
async def test_no_image_does(client: RegistryClient, host: str) -> None:
    with pytest.raises(RegistryError):
        await client.list_tags(ImageName(host, "acme/app"), None)
