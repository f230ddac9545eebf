from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import PasswordCommandError
from tagboat.core.image import ImageName, ImageRef
from tagboat.registry.client import RegistryClient
from tagboat.registry.passwords import CommandedPasswords
from tagboat.registry.renewing_client import RenewingClient
from tests.support.clock import FakeClock
from tests.support.fake_registry import FakeRegistry, Quirks, fake_registry

LOCKED = Quirks(auth="basic", login=("AWS", "first"))


def of(fake: FakeRegistry, command: str) -> Registry:
    return Registry(
        id="r1",
        name="ours",
        url=fake.url,
        kind=RegistryKind.OCI,
        username="AWS",
        password_command=command,
    )


@pytest.fixture
def renewing(client: RegistryClient, clock: FakeClock) -> RenewingClient:
    passwords = CommandedPasswords({"PATH": "/usr/bin:/bin"}, clock)
    return RenewingClient(client, passwords)


@pytest.mark.anyio
async def test_each_read_goes_on_when_the_password_dies(
    renewing: RenewingClient, tmp_path: Path
) -> None:
    kept = tmp_path / "password"
    async with fake_registry(LOCKED) as fake:
        fake.add_image("acme/app", "v1", {})
        image = ImageName(fake.host, "acme/app")
        registry = of(fake, f"cat {kept}")
        reads: list[Callable[[], Awaitable[object]]] = [
            lambda: renewing.list_tags(image, registry),
            lambda: renewing.resolve(image, "v1", registry),
            lambda: renewing.inspect(ImageRef(image, "v1"), registry),
            lambda: renewing.identify(ImageRef(image, "v1"), registry),
            lambda: renewing.list_images(registry),
            lambda: renewing.rate_limited_view().list_tags(image, registry),
        ]
        for number, read in enumerate(reads):
            kept.write_text(f"password-{number}\n")
            fake.quirks = Quirks(auth="basic", login=("AWS", f"password-{number}"))
            assert await read()


@pytest.mark.anyio
async def test_the_test_of_a_registry_runs_the_command(
    renewing: RenewingClient, tmp_path: Path
) -> None:
    kept = tmp_path / "password"
    async with fake_registry(LOCKED) as fake:
        image = ImageName(fake.host, "acme/app")
        fake.add_image("acme/app", "v1", {})
        (first,) = await renewing.examine(of(fake, f"cat {kept}"), image)
        kept.write_text("wrong")
        refused = await renewing.examine(of(fake, f"cat {kept}"), image)
        kept.write_text("first")
        fine = await renewing.examine(of(fake, f"cat {kept}"), image)
    assert (first.name, first.ok) == ("password command", False)
    assert "cat) ended with exit code 1: cat: " in first.detail
    login = next(check for check in refused if check.name == "login")
    assert "the password that the password command prints was refused" in login.detail
    assert [check.name for check in fine][:2] == ["password command", "url"]
    assert fine[0].detail == "prints a password for the user AWS"
    assert all(check.ok for check in fine)


@pytest.mark.anyio
async def test_without_a_password_nothing_is_asked(renewing: RenewingClient) -> None:
    async with fake_registry(LOCKED) as fake:
        with pytest.raises(PasswordCommandError, match="no program nothing-like-it"):
            await renewing.list_tags(ImageName(fake.host, "a/b"), of(fake, "nothing-like-it"))
        assert fake.asked == []
