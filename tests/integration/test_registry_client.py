"""The registry client against Debian's docker-registry.

Plain, with a password, and while it is down.
"""

import asyncio
import base64
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import RegistryDeniedError, RegistryNotFoundError, RegistryUnreachableError
from tagboat.core.image import ImageName, ImageRef
from tagboat.registry.client import RegistryClient
from tagboat.registry.diagnostics import DiagnosticCheck, diagnose
from tagboat.registry.manifests import ACCEPT
from tests.support.docker_registry import DockerRegistry, docker_registry
from tests.support.images import push_image, push_index

LOGIN = ("ci", "correct horse: battery")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def plain() -> Iterator[DockerRegistry]:
    with docker_registry() as registry:
        yield registry


@pytest.fixture(scope="module")
def locked() -> Iterator[DockerRegistry]:
    with docker_registry(login=LOGIN) as registry:
        push_image(registry.host, "acme/app", "v1", auth=LOGIN)
        yield registry


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    made = RegistryClient()
    yield made
    await made.close()


def configured(registry: DockerRegistry, login: tuple[str, str] | None) -> Registry:
    username, password = login or ("", None)
    return Registry(
        id="r1",
        name="ours",
        url=registry.url,
        kind=RegistryKind.OCI,
        username=username,
        password=password,
    )


def retag(host: str, repository: str, tag: str, others: list[str]) -> None:
    """Give the manifest of `tag` other tags too."""
    url = f"http://{host}/v2/{repository}/manifests"
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}/{tag}", headers={"Accept": ACCEPT})
    ) as answer:
        body, media_type = answer.read(), answer.headers["Content-Type"]
    for other in others:
        request = urllib.request.Request(
            f"{url}/{other}", body, {"Content-Type": media_type}, method="PUT"
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201


@pytest.mark.anyio
async def test_a_pushed_image_is_listed_resolved_and_inspected(
    client: RegistryClient, plain: DockerRegistry
) -> None:
    created = datetime(2026, 11, 24, 12, tzinfo=UTC)
    digest = push_image(
        plain.host,
        "acme/nested/app",
        "v1",
        port=8080,
        labels={"tagboat.port": "9000"},
        healthcheck="true",
        created=created,
        extra_ports=["9000/tcp", "53/udp"],
    )
    image = ImageName(plain.host, "acme/nested/app")
    assert await client.list_tags(image, None) == ["v1"]
    assert await client.resolve(image, "v1", None) == digest
    info = await client.inspect(ImageRef(image, "v1"), configured(plain, None))
    assert (info.digest, info.tcp_ports, info.has_healthcheck, info.created) == (
        digest,
        (8080, 9000),
        True,
        created,
    )
    assert info.labels["tagboat.port"] == "9000"
    assert await client.inspect(ImageRef(image, "gone", digest), None) == info


@pytest.mark.anyio
async def test_an_index_is_looked_through_and_keeps_its_own_digest(
    client: RegistryClient, plain: DockerRegistry
) -> None:
    index, own = push_index(plain.host, "acme/multi", "v1")
    image = ImageName(plain.host, "acme/multi")
    assert await client.resolve(image, "v1", None) == index
    info = await client.inspect(ImageRef(image, "v1"), None)
    assert info.digest == index
    assert (
        info.tcp_ports
        == (await client.inspect(ImageRef(image, "v1", own), None)).tcp_ports
        == (8080,)
    )


@pytest.mark.anyio
async def test_more_than_a_hundred_tags_are_all_listed(
    client: RegistryClient, plain: DockerRegistry
) -> None:
    push_image(plain.host, "acme/many", "v0")
    attachment = f"sha256-{'ab' * 32}.sig"
    expected = [f"v{number}" for number in range(150)]
    retag(plain.host, "acme/many", "v0", [*expected[1:], attachment])
    found = await client.list_tags(ImageName(plain.host, "acme/many"), None)
    assert sorted(found) == sorted(expected)


@pytest.mark.anyio
async def test_what_is_not_there_is_named(client: RegistryClient, plain: DockerRegistry) -> None:
    push_image(plain.host, "acme/here", "v1")
    with pytest.raises(RegistryNotFoundError, match=r"has no acme/nowhere \(NAME_UNKNOWN"):
        await client.list_tags(ImageName(plain.host, "acme/nowhere"), None)
    with pytest.raises(RegistryNotFoundError, match="has no acme/here:v2"):
        await client.resolve(ImageName(plain.host, "acme/here"), "v2", None)
    with pytest.raises(RegistryNotFoundError, match=r"has no acme/here:v2 \(MANIFEST_UNKNOWN"):
        await client.inspect(ImageRef(ImageName(plain.host, "acme/here"), "v2"), None)


@pytest.mark.anyio
async def test_with_the_password_everything_can_be_read(
    client: RegistryClient, locked: DockerRegistry
) -> None:
    image = ImageName(locked.host, "acme/app")
    ours = configured(locked, LOGIN)
    assert await client.list_tags(image, ours) == ["v1"]
    digest = await client.resolve(image, "v1", ours)
    assert (await client.inspect(ImageRef(image, "v1"), ours)).digest == digest


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("login", "words"),
    [
        (None, "no credentials were sent"),
        (("ci", "hunter2"), "although credentials were sent"),
        (("me", LOGIN[1]), "although"),
    ],
)
async def test_without_it_nothing(
    client: RegistryClient, locked: DockerRegistry, login: tuple[str, str] | None, words: str
) -> None:
    image = ImageName(locked.host, "acme/app")
    for call in (
        client.list_tags(image, configured(locked, login)),
        client.resolve(image, "v1", configured(locked, login)),
    ):
        with pytest.raises(RegistryDeniedError, match=words) as caught:
            await call
        assert "hunter2" not in str(caught.value)


def test_the_registry_of_these_tests_does_ask_for_the_password(locked: DockerRegistry) -> None:
    right = base64.b64encode(":".join(LOGIN).encode()).decode()
    request = urllib.request.Request(
        f"{locked.url}/v2/", headers={"Authorization": f"Basic {right}"}
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    assert "$2y$" not in locked.log


def verdicts(checks: list[DiagnosticCheck]) -> dict[str, bool]:
    return {check.name: check.ok for check in checks}


@pytest.mark.anyio
async def test_examine_tells_right_from_wrong(
    client: RegistryClient, plain: DockerRegistry, locked: DockerRegistry
) -> None:
    image = ImageName(locked.host, "acme/app")
    push_image(plain.host, "acme/app", "v1")
    good = {"url": True, "reachable": True, "login": True}
    use = {"images": True, "list": True, "pull": True}
    assert verdicts(await diagnose(client, configured(plain, None), None)) == good | use
    assert verdicts(await diagnose(client, configured(locked, LOGIN), image)) == good | use
    assert verdicts(await diagnose(client, configured(locked, None), image)) == good | {
        "login": False
    }
    wrong = await diagnose(client, configured(locked, ("ci", "hunter2")), image)
    assert verdicts(wrong) == good | {"login": False}
    assert "the password was refused" in wrong[-1].detail
    assert "hunter2" not in wrong[-1].detail


@pytest.mark.anyio
async def test_an_outage_is_said_and_passes(client: RegistryClient) -> None:
    with docker_registry() as registry:
        digest = push_image(registry.host, "acme/app", "v1")
        image = ImageName(registry.host, "acme/app")
        assert await client.list_tags(image, None) == ["v1"]
        registry.stop()
        with pytest.raises(RegistryUnreachableError, match="refused the connection") as caught:
            await client.list_tags(image, None)
        assert caught.value.retryable
        checks = await diagnose(client, configured(registry, None), None)
        assert verdicts(checks) == {"url": True, "reachable": False}
        registry.start()
        assert await client.resolve(image, "v1", None) == digest


@pytest.mark.anyio
async def test_an_outage_shorter_than_the_retries_is_not_noticed() -> None:
    with docker_registry() as registry:
        push_image(registry.host, "acme/app", "v1")
        registry.stop()
        slept: list[float] = []

        async def back_up(seconds: float) -> None:
            slept.append(seconds)
            await asyncio.to_thread(registry.start)

        client = RegistryClient(sleep=back_up)
        assert await client.list_tags(ImageName(registry.host, "acme/app"), None) == ["v1"]
        assert slept == [0.2]
        await client.close()


@pytest.mark.anyio
async def test_many_at_a_time(client: RegistryClient, locked: DockerRegistry) -> None:
    image = ImageName(locked.host, "acme/app")
    answers = await asyncio.gather(
        *(client.list_tags(image, configured(locked, LOGIN)) for _ in range(30))
    )
    assert answers == [["v1"]] * 30
