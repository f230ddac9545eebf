"""The registry client against Debian's docker-registry over TLS with a private authority, and with
a login service.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import EngineError, RegistryDeniedError, RegistryUnreachableError
from tagboat.core.image import ImageName, ImageRef
from tagboat.core.values import replace
from tagboat.registry.client import RegistryClient
from tagboat.registry.diagnostics import DiagnosticCheck, diagnose
from tagboat.registry.failures import TlsFailureError
from tagboat.runtime.docker.engine import DockerRuntime
from tests.support.docker_registry import DockerRegistry, docker_registry
from tests.support.dockerd import remove_images_of
from tests.support.images import push_image
from tests.support.private_ca import PrivateCa
from tests.support.token_server import Logins, TokenServer, token_server

pytestmark = pytest.mark.anyio
PASSWORDS = {"ci": "correct horse", "guest": "battery staple"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    made = RegistryClient()
    yield made
    await made.close()


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    return PrivateCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's data with two images in it."""
    data = tmp_path_factory.mktemp("data")
    with docker_registry(data=data) as plain:
        push_image(plain.host, "acme/app", "v1")
        push_image(plain.host, "acme/other", "v1")
    return data


@pytest.fixture(scope="module")
def https(ca: PrivateCa, content: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tls=ca.issue("registry"), data=content) as registry:
        yield registry


@dataclass(frozen=True)
class Guarded:
    registry: DockerRegistry
    service: TokenServer


@pytest.fixture(scope="module")
def guarded(ca: PrivateCa, content: Path) -> Iterator[Guarded]:
    """A registry that sends to a login service.

    All over TLS, all signed by the private authority.
    """
    logins = Logins(PASSWORDS, pullers=frozenset({"ci"}), catalogue=frozenset({"ci"}))
    with (
        token_server(logins, ca.issue("signer"), ca.issue("service")) as service,
        docker_registry(tls=ca.issue("guarded"), token=service.config, data=content) as registry,
    ):
        yield Guarded(registry, service)


def entry(
    registry: DockerRegistry, ca_cert: str = "", login: tuple[str, str] | None = None
) -> Registry:
    username, password = login or ("", None)
    return Registry(
        id="r1",
        name="ours",
        url=registry.url,
        kind=RegistryKind.OCI,
        username=username,
        password=password,
        ca_cert=ca_cert,
    )


def app(registry: DockerRegistry) -> ImageName:
    return ImageName(registry.host, "acme/app")


def failed(checks: list[DiagnosticCheck]) -> dict[str, str]:
    return {check.name: check.detail for check in checks if not check.ok}


# TLS with a private authority


async def test_with_its_authority_a_registry_is_read(
    client: RegistryClient, https: DockerRegistry, ca: PrivateCa
) -> None:
    ours = entry(https, ca.pem)
    assert await client.list_tags(app(https), ours) == ["v1"]
    digest = await client.resolve(app(https), "v1", ours)
    assert (await client.inspect(ImageRef(app(https), "v1"), ours)).digest == digest
    checks = await diagnose(client, ours, None)
    assert failed(checks) == {}
    engine = next(check.detail for check in checks if check.name == "engine")
    assert f"to /etc/docker/certs.d/{https.host}/ca.crt on its machine" in engine


async def test_its_own_certificate_may_be_named_as_well(
    client: RegistryClient, content: Path, ca: PrivateCa
) -> None:
    certificate = ca.issue("pinned")
    with docker_registry(tls=certificate, data=content) as registry:
        assert await client.list_tags(
            app(registry), entry(registry, certificate.chain.read_text())
        ) == ["v1"]


async def test_without_it_nothing_is_asked_and_the_remedy_is_named(
    client: RegistryClient, https: DockerRegistry
) -> None:
    with pytest.raises(
        TlsFailureError, match="is not trusted: unable to get local issuer certificate"
    ) as caught:
        await client.list_tags(app(https), entry(https, login=("ci", PASSWORDS["ci"])))
    assert not caught.value.retryable
    wrong = failed(await diagnose(client, entry(https), None))
    assert list(wrong) == ["tls"]
    assert wrong["tls"].endswith(
        "store the certificate of its authority with this registry (ca_cert, PEM)"
    )


async def test_plain_http_to_a_registry_with_tls_is_found_out(
    client: RegistryClient, https: DockerRegistry
) -> None:
    plain = replace(entry(https), url=https.url.replace("https:", "http:"))
    wrong = failed(await diagnose(client, plain, None))
    assert wrong["reachable"].endswith("if it speaks TLS, its URL must begin with https://")


async def test_trust_is_one_registry_s_and_no_other_s(
    client: RegistryClient, https: DockerRegistry, ca: PrivateCa
) -> None:
    assert await client.list_tags(app(https), entry(https, ca.pem)) == ["v1"]
    with pytest.raises(TlsFailureError):
        await client.list_tags(app(https), entry(https))


async def test_another_authority_does_not_do(
    client: RegistryClient, https: DockerRegistry, tmp_path: Path
) -> None:
    wrong = failed(await diagnose(client, entry(https, PrivateCa(tmp_path, "Another").pem), None))
    assert "the CA certificate stored for this registry did not sign it" in wrong["tls"]


@pytest.mark.parametrize(
    ("address", "days", "words", "remedy"),
    [
        ("127.0.0.2", 1, "IP address mismatch", "the name that the certificate is for"),
        ("127.0.0.1", -1, "certificate has expired", "renew it on the registry"),
    ],
)
async def test_names_and_dates_are_checked_all_the_same(
    client: RegistryClient,
    content: Path,
    ca: PrivateCa,
    address: str,
    days: int,
    words: str,
    remedy: str,
) -> None:
    certificate = ca.issue(f"bad-{days}", address=address, days=days)
    with docker_registry(tls=certificate, data=content) as registry:
        with pytest.raises(TlsFailureError, match=words):
            await client.list_tags(app(registry), entry(registry, ca.pem))
        told = failed(await diagnose(client, entry(registry, ca.pem), None))
        assert list(told) == ["tls"]
        assert remedy in told["tls"]
        assert "ca_cert" not in told["tls"]  # which would not help


async def test_a_ca_certificate_that_is_none_is_said_to_be_none(
    client: RegistryClient, https: DockerRegistry
) -> None:
    with pytest.raises(
        RegistryUnreachableError, match="was not asked: the CA certificate is not in PEM"
    ) as caught:
        await client.list_tags(app(https), entry(https, "nonsense"))
    assert not caught.value.retryable


async def test_the_engine_has_trust_of_its_own(
    client: RegistryClient, content: Path, ca: PrivateCa, engine_url: str
) -> None:
    # The engine takes any certificate of 127.0.0.0/8. Who calls 0.0.0.0 gets to 127.0.0.1, by a
    # name that it does check.
    name = "0.0.0.0"  # noqa: S104 - only a name
    with docker_registry(tls=ca.issue("everywhere", address=name), data=content) as registry:
        ours = replace(entry(registry, ca.pem), url=registry.url.replace("127.0.0.1", name))
        image = ImageName(ours.host, "acme/app")
        digest = await client.resolve(image, "v1", ours)
        engine = DockerRuntime(engine_url)
        try:
            with pytest.raises(
                EngineError, match=f"to /etc/docker/certs.d/{ours.host}/ca.crt on the engine"
            ) as caught:
                await engine.pull(image, digest, ours, lambda _: None)
            assert not caught.value.retryable
        finally:
            await engine.close()
            remove_images_of(engine_url, ours.host)


# A login service


@pytest.mark.parametrize("identity_token", [False, True])
async def test_tokens_open_what_they_are_for(
    client: RegistryClient, guarded: Guarded, ca: PrivateCa, *, identity_token: bool
) -> None:
    registry, service = guarded.registry, guarded.service
    login = ("<token>", service.logins.refresh_token) if identity_token else ("ci", PASSWORDS["ci"])
    ours = entry(registry, ca.pem, login)
    service.asked.clear()
    for _ in range(3):
        assert await client.list_tags(app(registry), ours) == ["v1"]
        await client.inspect(ImageRef(app(registry), "v1"), ours)
    assert service.asked == [("ci", ["repository:acme/app:pull"])]
    found = await client.list_images(ours)
    assert [image.path for image in found.images] == ["acme/app", "acme/other"]
    assert service.asked[1:] == [("ci", ["registry:catalog:*"])]
    assert failed(await diagnose(client, ours, None)) == {}


async def test_a_wrong_password_is_refused_by_the_login_service(
    client: RegistryClient, guarded: Guarded, ca: PrivateCa
) -> None:
    for login, words in (
        (("ci", "hunter2"), "the username or the password was refused"),
        (("<token>", "hunter2"), "token"),
    ):
        wrong = failed(await diagnose(client, entry(guarded.registry, ca.pem, login), None))
        assert list(wrong) == ["login"]
        assert words in wrong["login"]
        assert "hunter2" not in wrong["login"]


async def test_who_may_not_read_is_told_so_once(
    client: RegistryClient, guarded: Guarded, ca: PrivateCa
) -> None:
    for login, words in (
        (("guest", PASSWORDS["guest"]), "although credentials were sent"),
        (None, "no credentials were sent"),
    ):
        ours = entry(guarded.registry, ca.pem, login)
        guarded.service.asked.clear()
        with pytest.raises(RegistryDeniedError, match=words):
            await client.list_tags(app(guarded.registry), ours)
        assert len(guarded.service.asked) == 1
        with pytest.raises(
            RegistryDeniedError, match="does not list its images: type the image's name"
        ):
            await client.list_images(ours)
        checks = await diagnose(client, ours, app(guarded.registry))
        assert list(failed(checks)) == ["list"]
        assert "give the login the right to list the tags" in failed(checks)["list"]


async def test_a_login_service_that_is_down_is_named(
    client: RegistryClient, ca: PrivateCa, content: Path
) -> None:
    with token_server(Logins(PASSWORDS, pullers=frozenset()), ca.issue("gone")) as service:
        config = service.config
    with docker_registry(token=config, data=content) as registry:
        wrong = failed(await diagnose(client, entry(registry), None))
        assert "refused the connection" in wrong["login"]
        assert f"the registry {registry.host} sends there for tokens" in wrong["login"]


async def test_no_password_goes_from_tls_to_a_login_service_without(
    client: RegistryClient, ca: PrivateCa, content: Path
) -> None:
    with (
        token_server(Logins(PASSWORDS, pullers=frozenset({"ci"})), ca.issue("plain")) as service,
        docker_registry(tls=ca.issue("mixed"), token=service.config, data=content) as registry,
    ):
        wrong = failed(
            await diagnose(client, entry(registry, ca.pem, ("ci", PASSWORDS["ci"])), None)
        )
        assert "names a login service without TLS" in wrong["login"]
        assert service.asked == []


async def test_the_login_service_s_certificate_counts_too(
    client: RegistryClient, ca: PrivateCa, content: Path, tmp_path: Path
) -> None:
    logins = Logins(PASSWORDS, pullers=frozenset({"ci"}))
    with (
        token_server(
            logins, ca.issue("signs"), PrivateCa(tmp_path, "Another").issue("service")
        ) as service,
        docker_registry(tls=ca.issue("trusted"), token=service.config, data=content) as registry,
    ):
        wrong = failed(
            await diagnose(client, entry(registry, ca.pem, ("ci", PASSWORDS["ci"])), None)
        )
        assert wrong["login"].startswith("the login service: the TLS certificate of 127.0.0.1")
        assert service.asked == []
