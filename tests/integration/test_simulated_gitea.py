"""The tests' own Gitea keeps to what a real one does."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message

import pytest

from demo.sample_image import SampleApp, build_image
from tests.support.gitea import Gitea, Hook, running_gitea


@pytest.fixture
def gitea() -> Iterator[Gitea]:
    with running_gitea() as running:
        running.push("Acme", "Team/Web", "V1", build_image(SampleApp(body="one")))
        yield running


def ask(gitea: Gitea, path: str, authorization: str = "") -> tuple[int, Message, bytes]:
    request = urllib.request.Request(
        gitea.url + path, headers={"Authorization": authorization} if authorization else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def token(gitea: Gitea, login: str = "") -> str:
    basic = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
    return "Bearer " + str(json.loads(ask(gitea, "/v2/token", basic)[2])["token"])


def test_two_challenges_and_tokens_for_anybody(gitea: Gitea) -> None:
    gitea.root_url = "https://git.example.org"
    status, headers, _ = ask(gitea, "/v2/")
    assert (status, headers.get_all("WWW-Authenticate")) == (
        401,
        [
            (
                'Bearer realm="https://git.example.org/v2/token",'
                'service="container_registry",scope="*"'
            ),
            'Basic realm="Gitea Container Registry"',
        ],
    )
    assert ask(gitea, "/v2/", token(gitea))[0] == 200
    wrong = ask(gitea, "/v2/token", "Basic d3Jvbmc6d3Jvbmc=")
    assert (wrong[0], json.loads(wrong[2])) == (
        401,
        {"errors": [{"code": "UNAUTHORIZED", "message": ""}]},
    )
    gitea.private.add("acme")
    assert ask(gitea, "/v2/acme/team/web/tags/list", token(gitea))[0] == 401
    assert ask(gitea, "/v2/acme/team/web/tags/list", token(gitea, ":".join(gitea.login)))[0] == 200


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v2/acme/team/web/tags/list", 200, b'"v1"'),
        ("/v2/Acme/team/web/tags/list", 400, b"NAME_INVALID"),
        ("/v2/nobody/web/tags/list", 404, b"Not found.\n"),
        ("/v2/acme/other/tags/list", 404, b"NAME_UNKNOWN"),
        ("/v2/acme/team/web/manifests/v2", 404, b"MANIFEST_UNKNOWN"),
    ],
)
def test_what_is_there_and_what_is_not(gitea: Gitea, path: str, status: int, said: bytes) -> None:
    answer = ask(gitea, path, token(gitea))
    assert (answer[0], said in answer[2]) == (status, True)


def test_the_last_page_links_onward_too(gitea: Gitea) -> None:
    path, pages = "/v2/acme/team/web/tags/list?n=1", []
    gitea.push("Acme", "Team/Web", "v2", build_image(SampleApp(body="two")))
    while True:
        _, headers, body = ask(gitea, path, token(gitea))
        pages.append(json.loads(body)["tags"])
        if "Link" not in headers:
            break
        path = headers["Link"].partition("<")[2].partition(">")[0]
    assert pages == [["v1"], ["v2"], []]


def test_a_tag_that_moves_takes_its_old_image_with_it(gitea: Gitea) -> None:
    old, new = build_image(SampleApp(body="one")), build_image(SampleApp(body="two"))
    shared = old.blobs.keys() & new.blobs.keys()
    gitea.push("Acme", "Team/Web", "v1", new)
    answer = ask(gitea, f"/v2/acme/team/web/manifests/{old.digest}", token(gitea))
    assert (answer[0], b"MANIFEST_UNKNOWN" in answer[2]) == (404, True)
    statuses = {
        digest: ask(gitea, f"/v2/acme/team/web/blobs/{digest}", token(gitea))[0]
        for digest in old.blobs
    }
    assert statuses == {digest: 200 if digest in shared else 404 for digest in old.blobs}


def test_a_call_that_failed_is_not_made_again(gitea: Gitea) -> None:
    gitea.hooks.append(Hook(url="http://127.0.0.1:9/", target="system"))
    gitea.push("Acme", "Team/Web", "v2", build_image(SampleApp(body="two")))
    assert [(delivery.version, delivery.status) for delivery in gitea.deliveries] == [("v2", None)]
