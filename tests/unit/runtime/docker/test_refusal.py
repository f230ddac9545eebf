import pytest
from aiodocker import DockerError

from tagboat.core.errors import (
    DiskFullError,
    EndpointTakenError,
    EngineDeniedError,
    EngineError,
    EngineNotFoundError,
    EngineUnavailableError,
    NameTakenError,
)
from tagboat.core.image import parse_image_name
from tagboat.runtime.docker.refusal import clean, login_refusal, pull_refusal, refusal

APP = parse_image_name("git.example.com/acme/app")

DIGEST = f"sha256:{'0' * 64}"
PAGE = (
    r"\n<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></"
    r"center>\r\n</body>\r\n</html>\r\n"
)
NOT_FOUND = 'exec: "nope": executable file not found in $PATH'


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "No such container: web", EngineNotFoundError),
        (
            409,
            "can not get logs from container which is dead or marked for removal",
            EngineNotFoundError,
        ),
        (
            409,
            'Conflict. The container name "/web" is already in use by container "abc". You have to',
            NameTakenError,
        ),
        (409, "You cannot remove a running container abc", EngineError),
        (
            500,
            "driver failed: Bind for 127.0.0.1:8080 failed: port is already allocated",
            EndpointTakenError,
        ),
        (
            500,
            "Error starting userland proxy: listen tcp4 127.0.0.1:80: bind: address already in use",
            EndpointTakenError,
        ),
        (500, "mkdir /var/lib/docker/x: no space left on device", DiskFullError),
        (409, "write /y: no space left on device", DiskFullError),
        (
            400,
            "client version 1.50 is too new. Maximum supported API version is 1.41",
            EngineUnavailableError,
        ),
        (503, "Service Unavailable", EngineUnavailableError),
        (400, "invalid reference format", EngineError),
        (500, "panic", EngineError),
    ],
)
def test_a_refusal_is_told_by_status_and_words(
    status: int, message: str, kind: type[EngineError]
) -> None:
    error = refusal(DockerError(status, message), "start web")
    assert type(error) is kind
    assert "start web" in str(error)


@pytest.mark.parametrize(
    ("message", "kind", "retryable", "words"),
    [
        (
            "manifest for git.example.com/acme/app@sha256:0 not found: manifest unknown",
            EngineNotFoundError,
            False,
            "no such",
        ),
        (
            "repository git.example.com/acme/app not found: name unknown",
            EngineNotFoundError,
            False,
            "no such image",
        ),
        (
            (
                "pull access denied for acme/app, repository does not exist or may require "
                "'docker login'"
            ),
            EngineDeniedError,
            False,
            "login",
        ),
        (
            'Head "https://git.example.com/v2/acme/app": no basic auth credentials',
            EngineDeniedError,
            False,
            "login",
        ),
        (
            'Get "https://git.example.com/v2/": unauthorized: authentication required',
            EngineDeniedError,
            False,
            "login",
        ),
        (
            "unsupported media type application/vnd.cncf.helm.config.v1+json",
            *(EngineError, False, "is not a container image but, say, a chart"),
        ),
        (
            "failed to register layer: write /x: no space left on device",
            DiskFullError,
            True,
            "disk is full",
        ),
        ("open /var/lib/docker/tmp/x: permission denied", EngineError, False, "permission denied"),
        (
            "dial tcp 127.0.0.1:1: connect: connection refused",
            EngineError,
            True,
            "could not reach the registry",
        ),
        (
            "dial tcp: lookup git.example.com on 127.0.0.53:53: no such host",
            EngineError,
            True,
            "could not reach",
        ),
        (
            "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
            EngineError,
            True,
            "could not reach",
        ),
        ("net/http: TLS handshake timeout", EngineError, True, "could not reach"),
        (
            "received unexpected HTTP status: 503 Service Unavailable",
            EngineError,
            True,
            "out of order for now",
        ),
        (
            "unexpected status from HEAD request to https://a:503/v2/: 502 Bad Gateway",
            EngineError,
            True,
            "out of order for now",
        ),
        ('Get "https://git.example.com/v2/": EOF', EngineError, True, "could not reach"),
        (
            "failed to register layer: Error processing tar file(exit status 1): unexpected EOF",
            *(EngineError, False, "is it compressed with zstd? That needs Docker 23 or newer"),
        ),
        (
            "failed to register layer: Error processing tar file: connection reset",
            EngineError,
            False,
            "unpack a layer",
        ),
        ("toomanyrequests: You have reached your pull rate limit", EngineError, True, "for now"),
        ("download failed after attempts=6: unexpected EOF", EngineError, True, "could not reach"),
        (
            "download failed after attempts=1: unknown blob",
            EngineNotFoundError,
            False,
            "push it again",
        ),
        (
            f"image config verification failed for digest {DIGEST}",
            EngineError,
            True,
            "is not what its digest names",
        ),
        (
            f"filesystem layer verification failed for digest {DIGEST}",
            EngineError,
            True,
            "is not what its digest names",
        ),
        (
            "x509: certificate signed by unknown authority",
            EngineError,
            False,
            (
                "write the authority's to /etc/docker/certs.d/git.example.com/ca.crt on "
                "the engine's machine"
            ),
        ),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            EngineError,
            False,
            "/ca.crt",
        ),
        (
            "x509: certificate has expired or is not yet valid: current time 2026",
            EngineError,
            False,
            "its name, its dates",
        ),
        (
            "x509: certificate is valid for a.example.com, not git.example.com",
            EngineError,
            False,
            "its name, its dates",
        ),
        (
            "http: server gave HTTP response to HTTPS client",
            EngineError,
            False,
            (
                'name it in the engine\'s /etc/docker/daemon.json: {"insecure-registries": '
                '["git.example.com"]}'
            ),
        ),
        (
            "no matching manifest for linux/amd64 in the manifest list entries",
            EngineError,
            False,
            "no matching manifest",
        ),
    ],
)
@pytest.mark.parametrize("status", [0, 500])
def test_a_failed_pull_is_told_by_its_words(
    status: int, message: str, kind: type[EngineError], retryable: bool, words: str
) -> None:
    error = pull_refusal(DockerError(status, message), APP)
    assert type(error) is kind
    assert error.retryable is retryable
    assert words in str(error)


def unread(status: int, fault: str, body: str) -> str:
    """What the engine says of an error whose body is not a registry's, to be seen with Docker
    20.10.
    """
    return f'error parsing HTTP {status} response body: {fault}: "{body}"'


@pytest.mark.parametrize(
    ("status", "phrase", "kind", "retryable", "words"),
    [
        (429, "Too Many Requests", EngineError, True, "refuses more pulls for now"),
        (408, "Request Timeout", EngineError, True, "could not reach"),
        (404, "Not Found", EngineNotFoundError, False, "has no such image"),
        (403, "Forbidden", EngineDeniedError, False, "refused the login"),
        (
            418,
            "I'm a Teapot",
            EngineError,
            False,
            "the engine could not pull git.example.com/acme/app",
        ),
    ],
)
@pytest.mark.parametrize(
    ("fault", "body", "shown"),
    [
        ("unexpected end of JSON input", "", False),
        ("invalid character '<' looking for beginning of value", PAGE, False),
        (
            "no error details found in HTTP response body",
            r"{\"message\": \"ask the operator\"}",
            True,
        ),
    ],
    ids=["nothing", "page", "own words"],
)
@pytest.mark.parametrize(
    "before",
    ["", 'Get "https://git.example.com/v2/acme/app/manifests/x": '],
    ids=["image", "token"],
)
def test_an_answer_that_is_not_a_registrys_is_told_by_its_status(
    status: int,
    phrase: str,
    kind: type[EngineError],
    retryable: bool,
    words: str,
    fault: str,
    body: str,
    shown: bool,
    before: str,
) -> None:
    error = pull_refusal(
        DockerError(500, before + unread(status, fault, body.replace("%s", phrase))), APP
    )
    assert (type(error), error.retryable) == (kind, retryable)
    assert words in str(error)
    assert (
        f"HTTP {status} {phrase}, not in a registry's words; did a proxy answer in its place?"
        in str(error)
    )
    assert ("ask the operator" in str(error)) is shown
    assert fault not in str(error)
    assert "<html>" not in str(error)


@pytest.mark.parametrize(
    ("message", "retryable"),
    [
        (
            "error unmarshalling content: invalid character '<' looking for beginning of value",
            False,
        ),
        ("error unmarshalling content: unexpected end of JSON input", False),
        (
            (
                'Get "https://git.example.com/v2/": unable to decode token response: '
                "invalid character '<' looking for"
            ),
            False,
        ),
        (
            "failed to resolve reference: unexpected media type text/html for sha256:0: not found",
            False,
        ),
        ('Get "https://git.example.com/v2/": unable to decode token response: EOF', True),
    ],
)
def test_a_page_in_the_place_of_an_image_or_a_token(message: str, retryable: bool) -> None:
    error = pull_refusal(DockerError(500, message), APP)
    assert (type(error), error.retryable) == (EngineError, retryable)
    assert retryable or "is a proxy in its place, or a login page?" in str(error)


def test_a_login_that_is_refused_is_no_missing_image_though_the_engine_says_404() -> None:
    message = (
        "pull access denied for acme/app, repository does not exist or may require 'docker login'"
    )
    assert type(pull_refusal(DockerError(404, message), APP)) is EngineDeniedError


@pytest.mark.parametrize("name", ["acme/timeout", "acme/no-such-host", "unauthorized/denied"])
def test_the_name_of_an_image_tells_nothing(name: str) -> None:
    image = parse_image_name(f"git.example.com/{name}")
    error = pull_refusal(
        DockerError(404, f"manifest for {image}@sha256:0 not found: manifest unknown"), image
    )
    assert type(error) is EngineNotFoundError


def test_what_an_error_says_of_retrying_is_its_own_affair() -> None:
    assert pull_refusal(DockerError(500, "connection refused"), APP).retryable
    assert not EngineError("another").retryable


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            f"OCI runtime create failed: starting container process caused: {NOT_FOUND}: unknown",
            NOT_FOUND,
        ),
        (
            (
                "OCI runtime create failed: error setting cgroup config for procHooks "
                "process: invalid argument: unknown"
            ),
            "error setting cgroup config for procHooks process: invalid argument",
        ),
        ("one\n  two\x1b[31m\x00three", "one two [31m three"),
        ("invalid environment variable: =hunter2", "invalid environment variable"),
        ("Get https://me:hunter2@git.example.com/v2/: EOF", "Get https://git.example.com/v2/: EOF"),
        (
            'Get "https://git.example.com/token?account=me&sig=hunter2": EOF',
            'Get "https://git.example.com/token": EOF',
        ),
        ("x" * 600, "x" * 500 + "…"),
    ],
)
def test_words_are_cleaned(message: str, words: str) -> None:
    assert clean(message) == words


@pytest.mark.parametrize(
    "message", ["login with hunter2 was refused: unauthorized", "hunter2 is odd"]
)
def test_a_password_the_engine_repeats_is_not_passed_on(message: str) -> None:
    error = pull_refusal(DockerError(500, message), APP, "hunter2")
    assert "hunter2" not in str(error)


def test_a_network_that_has_gone_is_missed_at_the_start() -> None:
    error = refusal(DockerError(404, "network db not found"), "start the container web")
    assert isinstance(error, EngineNotFoundError)
    assert str(error) == (
        "the engine could not start the container web: it has no network db; make it "
        "with: docker network create db"
    )


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("missing signature key", "Docker-Content-Digest, was changed on the way"),
        (
            "no matching manifest for linux/amd64 in the manifest list entries",
            "docker buildx build --platform",
        ),
        (
            "no matching manifest for windows/amd64 10.0 in the manifest list entries",
            "is not built for the engine's machine",
        ),
    ],
)
def test_a_pull_that_cannot_be_says_what_to_do(message: str, words: str) -> None:
    error = pull_refusal(DockerError(404, message), APP)
    assert type(error) is EngineError
    assert words in str(error)


def test_an_address_of_ipv6_in_a_name() -> None:
    said = str(
        refusal(
            DockerError(400, "invalid reference format"), "inspect the image [::1]:5000/acme/app:v1"
        )
    )
    assert said.endswith(
        "no IPv6 address in an image's name: give the registry a name, and use that"
    )
    assert "IPv6" not in str(
        refusal(DockerError(400, "invalid reference format"), "inspect the image x")
    )


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "Get https://git.example.com/v2/: unauthorized: hunter2",
            "refused the engine's login. The engine said: Get",
        ),
        (
            "x509: certificate signed by unknown authority",
            "/etc/docker/certs.d/git.example.com/ca.crt",
        ),
        (
            "http: server gave HTTP response to HTTPS client",
            '{"insecure-registries": ["git.example.com"]}',
        ),
        (
            "dial tcp: lookup git.example.com: no such host",
            "could not reach the registry git.example.com",
        ),
        ("toomanyrequests: slow down", "refuses more pulls"),
        ("something else", "refused the engine's login. The engine said: something else"),
    ],
)
def test_a_login_that_is_refused(message: str, words: str) -> None:
    said = str(login_refusal(DockerError(500, message), "git.example.com", "hunter2"))
    assert words in said
    assert "hunter2" not in said
