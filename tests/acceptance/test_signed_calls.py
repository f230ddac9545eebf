"""Signatures of webhook calls, set on the command line: the right one is taken, any other is as
if the URL were unknown.
"""

import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

import pytest

from tests.support.server import Server, running_server

SHARED = "a secret shared with the sender"
IMAGE = "127.0.0.1:9/acme/app"
BODY = json.dumps({"image": f"{IMAGE}:v1"}).encode()
Answer = tuple[int, bytes, dict[str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine_url: str) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("tagboat")
    (directory / "shared.secret").write_text(f"{SHARED}\n")
    with running_server(directory, engine_url) as running:
        assert running.call("PATCH", "/api/settings", {"auto_create": False})[0] == 200
        project = running.call("POST", "/api/projects", {"name": "app", "image": IMAGE})
        assert project[0] == 201, project
        yield running


def told(server: Server, *words: str) -> str:
    done = server.cli("webhook", *words)
    assert done.returncode == 0, done.stderr
    assert SHARED not in done.stdout + done.stderr
    return done.stdout.strip()


def send(server: Server, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Send a push; the answer, with its headers but `Date`."""
    request = urllib.request.Request(
        server.url + path, BODY, {"Content-Type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            status, body, said = answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        status, body, said = error.code, error.read(), error.headers
    return (
        status,
        body,
        {name.lower(): value for name, value in said.items() if name.lower() != "date"},
    )


def nothing_there(server: Server) -> Answer:
    answer = send(server, "/api/no/such/path")
    assert answer[0] == 404
    return answer


def mac(algorithm: str, secret: str = SHARED, body: bytes = BODY) -> str:
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


SENDERS = [
    pytest.param(
        ["hmac-sha256"], "X-Gitea-Signature", mac("sha256"), mac("sha256", "another"), id="gitea"
    ),
    pytest.param(
        ["hmac-sha256"],
        "X-Hub-Signature-256",
        f"sha256={mac('sha256')}",
        f"sha256={mac('sha1')}",
        id="github",
    ),
    pytest.param(
        ["hmac-sha1"], "X-Nexus-Webhook-Signature", mac("sha1"), mac("sha1", body=b"{}"), id="nexus"
    ),
    pytest.param(
        ["header", "--header", "Authorization"],
        "Authorization",
        SHARED,
        SHARED.upper(),
        id="harbor",
    ),
    pytest.param(
        ["header", "--header", "X-JFrog-Event-Auth"], "X-JFrog-Event-Auth", SHARED, "", id="jfrog"
    ),
]


@pytest.mark.parametrize(("words", "header", "right", "wrong"), SENDERS)
def test_the_url_for_all_images(
    server: Server, words: list[str], header: str, right: str, wrong: str
) -> None:
    path = server.webhook_path()
    assert send(server, path)[0] == 202

    assert "answered 404" in told(server, "sign", *words, "--secret-file", "shared.secret")

    assert send(server, path, {header: right})[0] == 202
    for headers in ({}, {header: wrong}, {f"{header}-Else": right}):
        assert send(server, path, headers) == nothing_there(server)
    assert json.loads(told(server, "signature", "--json"))["kind"] == words[0]
    told(server, "unsign")
    assert send(server, path)[0] == 202


def test_a_projects_own_url_has_a_signature_of_its_own(server: Server) -> None:
    own = told(server, "add", "app", "ci").removeprefix(server.url)
    told(server, "sign", "hmac-sha256", "app", "ci", "--secret-file", "shared.secret")

    assert send(server, own, {"X-Forgejo-Signature": mac("sha256")})[0] == 202
    assert send(server, own) == nothing_there(server)
    assert send(server, server.webhook_path())[0] == 202
    assert told(server, "list", "app").splitlines()[-1].split()[:3] == ["app", "ci", "hmac-sha256"]

    told(server, "unsign", "app", "ci")
    assert send(server, own)[0] == 202
