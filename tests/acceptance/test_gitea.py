"""A Gitea with its manners, seen from the whole server: several hooks for one push, tags that
move, lists that never end.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from demo.sample_image import Image, SampleApp, build_image, build_index, own_architecture
from tests.support.dockerd import remove_images_of
from tests.support.gitea import Gitea, Hook, running_gitea
from tests.support.server import Server, fetch


@pytest.fixture
def gitea(server: Server, engine_url: str) -> Iterator[Gitea]:
    """One that is configured as a registry, and whose organisation, repository and system hooks
    call the server.
    """
    with running_gitea() as running:
        url = server.url + server.webhook_path()
        running.hooks += [
            Hook(url=url, target="organization", owner="Acme"),
            Hook(url=url, target="repository", owner="Acme", repository="web"),
            Hook(url=url, target="system"),
        ]
        user, password = running.login
        entry = {
            "name": "forge",
            "url": running.url,
            "kind": "gitea",
            "username": user,
            "password": password,
        }
        assert server.call("POST", "/api/registries", entry)[0] == 201
        yield running
        server.clear()
        remove_images_of(engine_url, running.host)


def app(body: str) -> Image:
    return build_image(SampleApp(body=body))


def project(server: Server, gitea: Gitea, pattern: str = "*") -> str:
    """A project of acme/web with one stage; its id."""
    made = server.call(
        "POST", "/api/projects", {"name": "web", "image": f"{gitea.host}/acme/web", "port": 8080}
    )[1]
    stage = {"name": "dev", "tag_pattern": pattern, "watch_s": 0}
    assert server.call("POST", f"/api/projects/{made['id']}/stages", stage)[0] == 201
    return str(made["id"])


def pushes(gitea: Gitea) -> list[dict[str, Any]]:
    return [push for delivery in gitea.deliveries for push in delivery.answer["pushes"]]


def test_a_push_that_three_hooks_tell_of_is_one_deploy(server: Server, gitea: Gitea) -> None:
    project(server, gitea)
    gitea.push("Acme", "web", "v0", app("before"))
    gitea.link("Acme", "web", "web")
    server.until(
        lambda: [instance["tag"] for instance in server.live()] == ["v0"], "the first version"
    )
    gitea.deliveries.clear()

    child = app("after")
    with gitea.hold("manifests"):  # until all have told of it, nobody can look at what it is
        gitea.push(
            "Acme",
            "web",
            "V1",
            build_index({f"linux/{own_architecture()}": child}),
            children=(child,),
        )

    calls = [(delivery.hook.target, delivery.version) for delivery in gitea.deliveries]
    hooks = ("organization", "repository", "system")
    assert calls == [(hook, version) for version in (child.digest, "v1") for hook in hooks]
    assert [delivery.status for delivery in gitea.deliveries] == [202] * 6
    assert [delivery.answer["skipped"][0]["image"] for delivery in gitea.deliveries[:3]] == [
        f"{gitea.host}/acme/web"
    ] * 3
    first, *others = pushes(gitea)
    assert [first["outcome"], *(push["outcome"] for push in others)] == [
        "queued",
        "merged",
        "merged",
    ]
    assert {push["deploy"] for push in others} == {first["deploy"]}
    assert server.ended(first["deploy"])["status"] == "succeeded"
    assert [fetch(instance["url"]) for instance in server.live()] == ["after"]


def pulling(server: Server) -> bool:
    """Return whether a deploy is at its pull."""
    deploys = server.call("GET", "/api/deploys")[1]["items"]
    steps = [step for deploy in deploys for step in deploy["steps"]]
    return ("pull", "running") in [(step["name"], step["status"]) for step in steps]


def test_a_tag_that_is_pushed_again_while_it_is_pulled(server: Server, gitea: Gitea) -> None:
    project(server, gitea)
    gitea.hooks = gitea.hooks[:1]
    with gitea.hold("blobs"):
        gitea.push("Acme", "web", "moving", app("the older"))
        # Not any blob: Tagboat itself may have asked for one, to see if the tag is an image.
        server.until(lambda: pulling(server), "the pull")
        newest = gitea.push("Acme", "web", "moving", app("the newer"))
    server.until(
        lambda: [fetch(instance["url"]) for instance in server.live()] == ["the newer"],
        "the newer one",
    )
    first, second = [server.ended(push["deploy"]) for push in pushes(gitea)]
    assert (second["status"], second["digest"]) == ("succeeded", newest)
    assert (first["status"], "moving" in first["reason"]) == ("superseded", True), first["reason"]


def test_lists_whose_links_lead_onward_for_ever_have_an_end(server: Server, gitea: Gitea) -> None:
    id_ = project(server, gitea, pattern="none")
    gitea.hooks.clear()
    for number in range(301):
        gitea.push("Acme", "web", f"Build-{number}", app("one"))
    gitea.asked.clear()
    report = server.call("POST", f"/api/projects/{id_}/poll")[1]
    assert (report["error"], len(report["new_tags"])) == (None, 301)
    assert "build-300" in report["new_tags"]
    assert sum("tags/list" in asked for asked in gitea.asked) <= 4
    again = server.call("POST", f"/api/projects/{id_}/poll")[1]
    assert (again["error"], again["new_tags"]) == (None, [])


def test_a_hook_of_another_type_and_a_test_delivery_say_what_is_wrong(
    server: Server, gitea: Gitea
) -> None:
    organization, repository, _ = gitea.hooks
    gitea.test_delivery(repository)
    gitea.hooks = [Hook(url=organization.url, target="system", kind="slack")]
    gitea.push("Acme", "web", "v1", app("one"))
    test, chat = [delivery.answer for delivery in gitea.deliveries]
    assert (test["pushes"], chat["pushes"], chat["needs_you"]) == ([], [], True)
    assert "Test delivery" in test["reason"]
    assert "type Gitea" in chat["reason"]
    status = server.cli("status")
    assert "the webhook's sender gitea needs attention: it is a chat message" in status.stdout


def test_a_gitea_with_another_root_url_is_told_so(gitea: Gitea) -> None:
    gitea.root_url = "http://localhost:3000"
    gitea.hooks = gitea.hooks[:1]
    gitea.push("Acme", "web", "v1", app("one"))
    (delivery,) = gitea.deliveries
    assert f"set ROOT_URL in its app.ini to {gitea.url}/" in delivery.answer["reason"]
    assert delivery.answer["needs_you"]
