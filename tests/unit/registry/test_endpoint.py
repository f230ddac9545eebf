import base64

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import RegistryUnreachableError
from tagboat.registry.endpoint import Credentials, endpoint_for


def registry(
    url: str, kind: RegistryKind = RegistryKind.OCI, username: str = "", password: str | None = None
) -> Registry:
    return Registry(id="r1", name="ours", url=url, kind=kind, username=username, password=password)


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("git.example.com:3000", "https://git.example.com:3000"),
        ("localhost", "http://localhost"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("127.8.9.10", "http://127.8.9.10"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000"),
        ("localhost.example.com", "https://localhost.example.com"),
        ("127.example.com", "https://127.example.com"),
        ("localhost:443", "http://localhost:443"),
        ("git.example.com:80", "https://git.example.com:80"),
    ],
)
def test_without_a_registry_the_host_leads_the_way(host: str, base: str) -> None:
    endpoint = endpoint_for(host, None)
    assert str(endpoint.url("/v2/")) == f"{base}/v2/"
    assert endpoint.credentials is None


@pytest.mark.parametrize(
    ("url", "kind", "base"),
    [
        ("https://git.example.com", RegistryKind.OCI, "https://git.example.com"),
        ("https://GIT.example.com/", RegistryKind.OCI, "https://git.example.com"),
        ("http://10.0.0.1:5000", RegistryKind.OCI, "http://10.0.0.1:5000"),
        (" https://git.example.com/v2/ ", RegistryKind.OCI, "https://git.example.com"),
        (
            "https://art.example.com/docker-local/",
            RegistryKind.OCI,
            "https://art.example.com/docker-local",
        ),
        ("https://example.com/gitea/", RegistryKind.GITEA, "https://example.com"),
        ("https://user:hunter2@git.example.com?x=1#y", RegistryKind.OCI, "https://git.example.com"),
        ("https://docker.io", RegistryKind.OCI, "https://registry-1.docker.io"),
        ("https://index.docker.io/v1/", RegistryKind.OCI, "https://registry-1.docker.io"),
        ("https://registry.hub.docker.com", RegistryKind.OCI, "https://registry-1.docker.io"),
    ],
)
def test_a_registry_says_where_it_is(url: str, kind: RegistryKind, base: str) -> None:
    assert (
        str(endpoint_for("elsewhere.example.com", registry(url, kind)).url("/v2/")) == f"{base}/v2/"
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "git.example.com",
        "ftp://x",
        "https://",
        "https://a:99999",
        "https://[x",
        "https://[::zz]:1",
        "//a",
        "file:///etc",
    ],
)
def test_a_url_that_cannot_be_used_is_an_error_that_stays(url: str) -> None:
    with pytest.raises(
        RegistryUnreachableError, match="the URL of the registry 'ours' cannot be used"
    ) as caught:
        endpoint_for("", registry(url))
    assert caught.value.retryable is False


def test_credentials_are_those_of_rfc_7617_and_never_shown() -> None:
    endpoint = endpoint_for("", registry("https://x", username="ci", password="grün:hunter2"))
    assert endpoint.credentials == Credentials("ci", "grün:hunter2")
    assert (
        base64.b64decode(endpoint.credentials.header.removeprefix("Basic ")).decode()
        == "ci:grün:hunter2"
    )
    assert "hunter2" not in repr(endpoint)


def test_a_username_without_a_password_is_nobody() -> None:
    assert endpoint_for("", registry("https://x", username="ci")).credentials is None
