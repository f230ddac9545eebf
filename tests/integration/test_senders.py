"""What senders ask of the whole webhook: to find a host, to answer in their own words, to take
forms.
"""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings

from tagboat.core.catalog import Project, Registry, RegistryKind
from tagboat.core.ids import new_id
from tagboat.core.image import parse_image_name
from tagboat.core.project_webhook import ProjectWebhook as OwnHook
from tagboat.core.project_webhook import hash_secret
from tagboat.core.values import replace
from tagboat.deploy.queue import DeployQueue
from tagboat.store import SqlStore, open_store
from tagboat.webhook import WebhookHandler, regenerate_webhook_secret
from tests.support.api import NoInspector
from tests.support.asgi import Answer, Caller
from tests.support.deliveries import deliveries_on_disk
from tests.support.mutations import mutated
from tests.support.pace import at_most_s
from tests.support.payloads import Payload, payloads

pytestmark = pytest.mark.anyio

FIXTURES = payloads(Path(__file__).parents[1] / "unit/webhook/formats/fixtures")
GITEA = {"x-gitea-event": "package", "x-github-event": "package"}
NEXUS = {"x-nexus-webhook-id": "rm:repository:component"}
COMPONENT = {
    "action": "CREATED",
    "component": {"format": "docker", "name": "shop/web", "version": "v2.0.1"},
}
ZOT = {
    "ce-type": "zotregistry.image.updated",
    "ce-specversion": "1.0",
    "ce-source": "zot",
    "ce-id": "1",
}
FORM = {"content-type": "application/x-www-form-urlencoded"}
PUSHED = {
    "action": "push",
    "target": {"repository": "shop/web", "tag": "v2"},
    "request": {"host": "shop.example.org"},
}


@dataclass(frozen=True, slots=True)
class ProjectWebhook:
    """The webhook over a store of its own."""

    store: SqlStore
    handler: WebhookHandler
    caller: Caller
    secret: str
    database: Path

    async def send(
        self,
        body: object,
        headers: Mapping[str, str] | None = None,
        *,
        query: str = "",
        secret: str = "",
    ) -> Answer:
        return await self.caller.call("POST", f"/{secret or self.secret}{query}", body, headers)

    async def own_url(self, project_id: str) -> str:
        """Make a URL of that project's own; its secret."""
        secret = str(uuid.uuid4())
        own = OwnHook(
            id=new_id(),
            project_id=project_id,
            name="own",
            secret_hash=hash_secret(secret),
            created_at=datetime.now(UTC),
        )
        await self.store.write(lambda tx: tx.add_hook(own))
        return secret

    async def configure(self, *registries: Registry) -> None:
        def add(tx: Any) -> None:  # noqa: ANN401 - a transaction
            for registry in registries:
                tx.add_registry(registry)

        await self.store.write(add)

    def deliveries(self) -> list[tuple[str, int, dict[str, Any]]]:
        found = deliveries_on_disk(self.database.parent)
        return [(sender, status, answer) for status, sender, answer in found]


async def opened(folder: Path) -> ProjectWebhook:
    store = open_store(None, folder)
    secret = await regenerate_webhook_secret(store)
    handler = WebhookHandler(store, DeployQueue(lambda: datetime.now(UTC)), NoInspector())
    return ProjectWebhook(store, handler, Caller(handler.router()), secret, folder / "tagboat.db")


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[ProjectWebhook]:
    hook = await opened(tmp_path)
    yield hook
    hook.store.close()


def registry(host: str, kind: RegistryKind = RegistryKind.OCI) -> Registry:
    return Registry(id=host, name=host, url=f"https://{host}", kind=kind)


def project(image: str) -> Project:
    return Project(id="p", name="web", image=parse_image_name(image), created_at=datetime.now(UTC))


def images(answer: Answer) -> list[str]:
    assert answer.status == 202, answer.body
    return [f"{push['image']}:{push['tag']}" for push in answer.json["pushes"]]


# Every sender.


async def test_every_senders_calls_over_http(hook: ProjectWebhook) -> None:
    await hook.configure(registry("images.example.org"))
    for payload in FIXTURES:
        answer = await hook.send(payload.body, payload.headers)
        if "answer" in payload.meta:
            assert (answer.status, answer.json) == (200, payload.meta["answer"]), payload.path
        else:
            assert images(answer) == [
                on_the_host(payload, push) for push in payload.meta["expect"]
            ], payload.path
            assert answer.json["pushes"] or payload.meta["reason"] in answer.json["reason"], (
                payload.path
            )
    assert [sender for sender, _, _ in hook.deliveries()] == [
        payload.folder for payload in FIXTURES
    ]


def on_the_host(payload: Payload, push: Mapping[str, str]) -> str:
    return f"{push['image']}:{push['tag']}".replace(
        payload.meta.get("default_host", "images.example.org"), "images.example.org"
    )


def test_no_change_to_a_call_brings_the_server_down(tmp_path: Path) -> None:
    with start_blocking_portal() as portal:
        hook = portal.call(opened, tmp_path)
        portal.call(hook.configure, registry("images.example.org"))

        @settings(max_examples=200, deadline=None)
        @given(mutated(FIXTURES))
        def send(case: tuple[dict[str, str], Any]) -> None:
            headers, body = case
            sendable = {
                name: value.encode("ascii", "replace").decode() for name, value in headers.items()
            }
            answer = portal.call(hook.send, json.dumps(body).encode(), sendable)
            assert answer.status in {200, 202, 400}, answer.body

        try:
            send()
            assert len(hook.deliveries()) >= 100
        finally:
            portal.call(hook.store.close)


# Images without a host.


async def test_the_host_is_that_of_the_one_registry_that_can_be_meant(hook: ProjectWebhook) -> None:
    await hook.configure(
        registry("images.example.org:5000"),
        registry("git.example.org", RegistryKind.GITEA),
        registry("docker.io"),
    )
    assert images(await hook.send(COMPONENT, NEXUS)) == ["images.example.org:5000/shop/web:v2.0.1"]
    assert images(
        await hook.send({"name": "web", "reference": "v3", "digest": "sha256:no"}, ZOT)
    ) == ["images.example.org:5000/web:v3"]


async def test_the_url_says_which_registry_is_meant(hook: ProjectWebhook) -> None:
    await hook.configure(
        registry("one.example.org"), replace(registry("two.example.org"), name="the other")
    )
    answer = await hook.send(COMPONENT, NEXUS, query="?registry=the+other")
    assert images(answer) == ["two.example.org/shop/web:v2.0.1"]
    assert images(
        await hook.send({"image": "web", "tag": "v1"}, query="?registry=one.example.org")
    ) == ["one.example.org/web:v1"]
    assert images(await hook.send({"events": [PUSHED]}, query="?registry=the%20other")) == [
        "shop.example.org/shop/web:v2"
    ]
    behind = {"events": [{**PUSHED, "request": {"host": "registry"}}]}
    assert images(await hook.send(behind, query="?registry=the%20other&x=y")) == [
        "two.example.org/shop/web:v2"
    ]
    unknown = await hook.send(COMPONENT, NEXUS, query="?registry=two")
    assert unknown.status == 400
    assert "no such registry; there are: one.example.org, the other" in unknown.json["detail"]
    sender, _, result = hook.deliveries()[-1]
    assert (sender, result["needs_you"]) == ("nexus", True)
    wrong = await hook.caller.call("POST", f"/{hook.secret}x?registry=two", COMPONENT, NEXUS)
    assert (wrong.status, b"example.org" in wrong.body) == (404, False)


async def test_a_call_taken_in_again_is_of_the_same_registry(hook: ProjectWebhook) -> None:
    await hook.configure(registry("one.example.org"), registry("two.example.org"))
    answer = await hook.send(COMPONENT, NEXUS, query="?registry=two.example.org")
    again = json.loads(await hook.handler.redeliver(answer.json["delivery"]))
    assert again["pushes"][0]["image"] == "two.example.org/shop/web"


async def test_a_call_whose_registry_is_unclear_needs_a_person(hook: ProjectWebhook) -> None:
    await hook.configure(registry("one.example.org"), registry("two.example.org"))
    answer = await hook.send(COMPONENT, NEXUS)
    assert "tagboat webhook url --registry NAME" in answer.json["detail"]
    ((_, status, result),) = hook.deliveries()
    assert (status, result["needs_you"]) == (400, True)


async def test_of_several_events_those_with_a_clear_host_count(hook: ProjectWebhook) -> None:
    await hook.configure(registry("one.example.org"), registry("two.example.org"))
    event = {"specversion": "1.0", "type": "container.push", "source": "ci"}
    events = [
        event | {"data": {"repository": "shop/web", "tag": "v1"} | where}
        for where in ({}, {"registry": "a.b"})
    ]
    answer = await hook.send(events)
    assert images(answer) == ["a.b/shop/web:v1"]
    assert ([one["image"] for one in answer.json["skipped"]], answer.json["needs_you"]) == (
        ["shop/web"],
        True,
    )


async def test_the_hosts_of_a_call_are_sought_in_no_time(hook: ProjectWebhook) -> None:
    await hook.configure(*(registry(f"r{number}.example.org") for number in range(20)))
    await hook.store.write(lambda tx: tx.add_project(project("r7.example.org/shop/web")))
    event = {"specversion": "1.0", "type": "container.push", "source": "ci"}
    events = [
        event | {"data": {"repository": "shop/web", "tag": f"v{number}"}} for number in range(7_000)
    ]
    with at_most_s(2):
        answer = await hook.send(events)
    assert images(answer) == [f"r7.example.org/shop/web:v{number}" for number in range(100)]
    assert len(answer.json["skipped"]) == 101


async def test_at_a_projects_own_url_the_registry_is_its_images(hook: ProjectWebhook) -> None:
    await hook.configure(registry("one.example.org"), registry("two.example.org"))
    await hook.store.write(lambda tx: tx.add_project(project("three.example.org/shop/web")))
    own = await hook.own_url("p")
    assert images(await hook.send(COMPONENT, NEXUS, secret=own)) == [
        "three.example.org/shop/web:v2.0.1"
    ]
    answer = await hook.send(
        {**COMPONENT, "component": {"format": "docker", "name": "x", "version": "1"}},
        NEXUS,
        secret=own,
    )
    assert (answer.status, [skipped["image"] for skipped in answer.json["skipped"]]) == (202, ["x"])


async def test_of_several_registries_the_one_with_the_project_is_meant(
    hook: ProjectWebhook,
) -> None:
    await hook.configure(registry("one.example.org"), registry("two.example.org"))
    answer = await hook.send(COMPONENT, NEXUS)
    assert answer.status == 400
    assert (
        "several registries can be meant (one.example.org, two.example.org)"
        in answer.json["detail"]
    )
    await hook.store.write(lambda tx: tx.add_project(project("two.example.org/shop/web")))
    assert images(await hook.send(COMPONENT, NEXUS)) == ["two.example.org/shop/web:v2.0.1"]
    assert [(sender, status) for sender, status, _ in hook.deliveries()] == [
        ("nexus", 400),
        ("nexus", 202),
    ]


@pytest.mark.parametrize(
    "registries", [[], [registry("git.example.org", RegistryKind.GITEA)], [registry("docker.io")]]
)
async def test_without_a_registry_that_can_be_meant_it_says_so(
    hook: ProjectWebhook, registries: list[Registry]
) -> None:
    await hook.configure(*registries)
    answer = await hook.send(COMPONENT, NEXUS)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "'shop/web'" in answer.json["detail"]
    assert "no configured registry can be meant" in answer.json["detail"]
    assert [(sender, status) for sender, status, _ in hook.deliveries()] == [("nexus", 400)]


async def test_a_name_that_is_none_is_skipped_whatever_the_registry(hook: ProjectWebhook) -> None:
    await hook.configure(registry("images.example.org"))
    for name in ("Shop", "shop:v1", "../shop", "x" * 300):
        answer = await hook.send(
            {**COMPONENT, "component": {"format": "docker", "name": name, "version": "v1"}}, NEXUS
        )
        assert (answer.status, answer.json["pushes"]) == (202, []), name
        (skipped,) = answer.json["skipped"]
        assert skipped["image"].startswith(name[:255])
        assert skipped["reason"] == answer.json["reason"]


# Event Grid.


async def test_event_grids_handshake_is_answered_with_its_code(hook: ProjectWebhook) -> None:
    answer = await hook.send(
        [
            {
                "id": "1",
                "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
                "data": {"validationCode": "a-1"},
            }
        ]
    )
    assert (answer.status, answer.headers["content-type"], answer.json) == (
        200, "application/json", {"validationResponse": "a-1"},
    )  # fmt: skip
    reason = "the handshake of a new Event Grid subscription"
    assert hook.deliveries() == [("acr-event-grid", 200, {"reason": reason})]


async def test_a_handshake_without_a_code_is_refused(hook: ProjectWebhook) -> None:
    answer = await hook.send(
        [{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {}}]
    )
    assert (answer.status, "data.validationCode" in answer.json["detail"]) == (400, True)


async def test_an_array_of_events_is_one_delivery(hook: ProjectWebhook) -> None:
    event = {"eventType": "Microsoft.ContainerRegistry.ImagePushed", "data": PUSHED}
    other = {
        "specversion": "1.0",
        "type": "Microsoft.ContainerRegistry.ImagePushed",
        "data": PUSHED,
    }
    unusable = {
        "eventType": "Microsoft.ContainerRegistry.ImagePushed",
        "data": {**PUSHED, "request": {"host": "shop"}},
    }
    deleted = {"eventType": "Microsoft.ContainerRegistry.ImageDeleted", "data": {}}
    assert images(await hook.send([deleted, unusable, event, other])) == [
        "shop.example.org/shop/web:v2"
    ]
    answer = await hook.send([deleted, unusable])
    assert (answer.status, answer.json["pushes"]) == (202, [])
    assert answer.json["skipped"][0]["image"] == "shop/shop/web"
    assert "'shop' cannot be the host of a registry" in answer.json["reason"]
    nobodys = await hook.send([deleted, {**event, "data": {**PUSHED, "target": {"tag": "v2"}}}])
    assert (
        nobodys.status,
        "item 1: data: target.repository must be a string" in nobodys.json["detail"],
    ) == (400, True)
    assert [status for _, status, _ in hook.deliveries()] == [202, 202, 400]


# Forms.


@pytest.mark.parametrize(
    ("headers", "body", "image"),
    [
        (
            {"x-gitea-event": "package", "x-github-event": "package"},
            {
                "action": "created",
                "package": {
                    "type": "container",
                    "owner": {"login": "shop"},
                    "name": "web",
                    "version": "v2",
                    "html_url": "https://git.example.org/x",
                },
            },
            "git.example.org/shop/web:v2",
        ),
        (
            {"x-github-event": "registry_package"},
            {
                "action": "published",
                "registry_package": {
                    "name": "Web",
                    "namespace": "Shop",
                    "package_version": {"container_metadata": {"tag": {"name": "v2"}}},
                },
            },
            "ghcr.io/shop/web:v2",
        ),
    ],
    ids=["gitea", "github"],
)
async def test_a_call_sent_as_a_form(
    hook: ProjectWebhook, headers: dict[str, str], body: object, image: str
) -> None:
    assert images(
        await hook.send(urlencode({"payload": json.dumps(body)}).encode(), {**FORM, **headers})
    ) == [image]


BAD = {
    "action": "push",
    "target": {"repository": "shop/web", "tag": "no tag"},
    "request": {"host": "shop.example.org"},
}


@pytest.mark.parametrize("bad", [[BAD], [BAD, BAD]])
async def test_what_cannot_be_used_is_skipped_beside_what_can(
    hook: ProjectWebhook, bad: list[object]
) -> None:
    answer = await hook.send({"events": [*bad, PUSHED]})
    assert answer.status == 202
    assert [push["tag"] for push in answer.json["pushes"]] == ["v2"]
    assert [skipped["image"] for skipped in answer.json["skipped"]] == [
        "shop.example.org/shop/web"
    ] * len(bad)
    assert "'no tag' is not a tag" in answer.json["skipped"][0]["reason"]
    assert "reason" not in answer.json
    assert "skipped" not in (await hook.send({"events": [PUSHED]})).json


async def test_a_call_of_nothing_but_what_is_skipped_is_answered_and_kept_in_few_words(
    hook: ProjectWebhook,
) -> None:
    bad = {
        "action": "push",
        "target": {"repository": "UPPER", "tag": "v"},
        "request": {"host": "a.b"},
    }
    events = [bad] * 9_000
    with at_most_s(2):
        answer = await hook.send({"events": events})
    assert len(answer.body) < 30_000
    *listed, last = answer.json["skipped"]
    assert (len(listed), last) == (100, {"image": None, "reason": "8900 more events are skipped"})
    ((_, _, kept),) = hook.deliveries()
    assert kept == answer.json


async def test_of_an_array_of_events_what_cannot_be_used_is_skipped_too(
    hook: ProjectWebhook,
) -> None:
    kind = "Microsoft.ContainerRegistry.ImagePushed"
    answer = await hook.send(
        [{"eventType": kind, "data": BAD}, {"eventType": kind, "data": PUSHED}]
    )
    assert answer.status == 202
    assert [push["tag"] for push in answer.json["pushes"]] == ["v2"]
    assert [skipped["image"] for skipped in answer.json["skipped"]] == ["shop.example.org/shop/web"]


async def test_at_a_projects_own_url_other_images_are_skipped_and_its_own_counts(
    hook: ProjectWebhook,
) -> None:
    await hook.store.write(lambda tx: tx.add_project(project("shop.example.org/shop/web")))
    own = await hook.own_url("p")
    other = {**PUSHED, "target": {"repository": "shop/other", "tag": "v2"}}
    answer = await hook.send({"events": [other, PUSHED]}, secret=own)
    assert images(answer) == ["shop.example.org/shop/web:v2"]
    assert [skipped["image"] for skipped in answer.json["skipped"]] == [
        "shop.example.org/shop/other"
    ]
    alone = await hook.send({"events": [other]}, secret=own)
    assert (alone.status, alone.json["pushes"]) == (202, [])
    assert "accepts shop.example.org/shop/web only" in alone.json["reason"]
    assert alone.json["reason"] == alone.json["skipped"][0]["reason"]


# Gitea's ROOT_URL.


def package(url: str) -> dict[str, object]:
    about = {
        "type": "container",
        "owner": {"login": "shop"},
        "name": "web",
        "version": "v2",
        "html_url": url,
    }
    return {"action": "created", "package": about, "sender": {}}


async def test_a_gitea_that_calls_itself_something_else_is_told_of_its_root_url(
    hook: ProjectWebhook,
) -> None:
    await hook.configure(registry("git.example.org", RegistryKind.GITEA))
    answer = await hook.send(package("http://localhost:3000/shop"), GITEA)
    assert answer.status == 202
    assert (
        "a Gitea that calls itself localhost:3000, but the registry git.example.org"
        in answer.json["reason"]
    )
    assert "set ROOT_URL in its app.ini to https://git.example.org/" in answer.json["reason"]
    assert answer.json["needs_you"]
    right = await hook.send(package("https://git.example.org/shop"), GITEA)
    assert (images(right), "reason" in right.json) == (["git.example.org/shop/web:v2"], False)
    unusable = await hook.send(package("http://gitea/shop"), GITEA)
    assert (unusable.json["pushes"], unusable.json["skipped"][0]["image"]) == ([], "gitea/shop/web")
    assert "ROOT_URL" in unusable.json["reason"]


async def test_a_second_gitea_with_a_project_of_its_own_is_left_alone(hook: ProjectWebhook) -> None:
    await hook.configure(registry("git.example.org", RegistryKind.GITEA))
    await hook.store.write(lambda tx: tx.add_project(project("other.example.org/shop/web")))
    assert "reason" not in (await hook.send(package("https://other.example.org/shop"), GITEA)).json


async def test_without_a_gitea_configured_any_name_is_taken(hook: ProjectWebhook) -> None:
    assert "reason" not in (await hook.send(package("http://localhost:3000/shop"), GITEA)).json


async def test_at_a_projects_own_url_the_same_path_elsewhere_is_a_hint_too(
    hook: ProjectWebhook,
) -> None:
    await hook.store.write(lambda tx: tx.add_project(project("git.example.org/shop/web")))
    answer = await hook.send(
        package("http://localhost:3000/shop"), GITEA, secret=await hook.own_url("p")
    )
    assert (answer.status, answer.json["pushes"], answer.json["needs_you"]) == (202, [], True)
    assert "set ROOT_URL in its app.ini to https://git.example.org/" in answer.json["reason"]


# Amazon SNS.


async def test_the_handshake_of_sns_is_left_to_a_person_and_its_url_kept(
    hook: ProjectWebhook,
) -> None:
    payload = next(payload for payload in FIXTURES if payload.path.stem == "subscription")
    answer = await hook.send(payload.body, payload.headers)
    assert (answer.status, answer.json["pushes"], answer.json["needs_you"]) == (202, [], True)
    kept = await hook.store.read(lambda reader: reader.delivery(answer.json["delivery"]))
    assert payload.body["SubscribeURL"] in kept.body
    assert payload.body["SubscribeURL"] in str(kept.receipt)
