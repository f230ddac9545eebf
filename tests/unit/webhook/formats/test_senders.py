"""What each sender's fixtures do not show: fields that are missing or odd, and how the refusal names them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.errors import InvalidValueError
from tests.support.payloads import Payload, hear, payloads

FIXTURES = {f"{payload.folder}/{payload.path.stem}": payload for payload in payloads(Path(__file__).parent / "fixtures")}
GONE = object()
A = "sha256:" + "a" * 64


def changed(name: str, *path: str | int, to: object = GONE) -> Payload:
    """A fixture with what lies at `path` in its body changed, or taken out."""
    payload = FIXTURES[name]
    body: Any = json.loads(payload.path.read_text())
    value = body
    for key in path[:-1]:
        value = value[key]
    if to is GONE:
        del value[path[-1]]
    else:
        value[path[-1]] = to
    return Payload(payload.path, payload.headers, body, payload.meta)


def wrapped(text: str) -> Payload:
    return changed("gcr/insert", "message", "data", to=text)


def in_base64(data: object) -> Payload:
    payload = changed("cloudevents/structured", "data")
    return Payload(payload.path, payload.headers, {**payload.body, "data_base64": data}, payload.meta)


def images(payload: Payload) -> list[str]:
    return [str(image) for image in hear(payload.headers, payload.body).images]


IN_ACR = ("target", "repository")
VERSION = ("package", "package_version")
TAG = (*VERSION, "container_metadata", "tag", "name")
HUB = ("repository", "repo_name")


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (changed("acr/push", "request", "host", to="git"), "'git' cannot be a registry's host: it needs a dot or a port"),
        (changed("acr/push", "request"), "target.url must be a text"),
        (changed("acr/push", "target", "repository", to=["a"]), "target.repository must be a text"),
        (changed("acr/push", "target", "tag", to=7), "target.tag must be a text"),
        (changed("acr-event-grid/image_pushed", 0, "data", to=None), "data must be an object"),
        (changed("acr-event-grid/image_pushed", 0, "data", *IN_ACR), "item 0: data: target.repository must be a text"),
        (changed("acr-event-grid/handshake", 0, "data", to={}), "data.validationCode must be a text"),
        (changed("aliyun/push", "repository", "region", to="evil.example.net/x"), "'evil.example.net/x' is not a region"),
        (changed("aliyun/push", "repository", "repo_full_name"), "repository.repo_full_name must be a text"),
        (changed("cloudevents/structured", "type", to=None), "type must be a text"),
        (changed("cloudevents/structured", "data", "repository", to=7), r"data.repository \(or data.repositoryName\)"),
        (
            changed("cloudevents/host_of_the_source", "source", to="/ci/7"),
            "data.registryUrl, data.registry and the host of source",
        ),
        (changed("cloudevents/structured", "data", "tag", to=["v1"]), r"data.tag \(or data.imageTag\) must be a text"),
        (changed("dockerhub/push", *HUB, to="Shop/web"), "repository names are lower-case"),
        (changed("dockerhub/push", *HUB, to=""), "repository.repo_name must be a text"),
        (changed("ecr/push", "account", to="evil.example.net/x"), "the account 'evil.example.net/x' is not a number"),
        (changed("ecr/push", "region", to="a.b"), "the region 'a.b' is not a region"),
        (changed("ecr/push", "detail", "repository-name"), "detail.repository-name must be a text"),
        (changed("ecr-cloudevents/push", "source", to="aws.ecr"), "'aws.ecr' is no urn:aws:ecr:REGION:ACCOUNT"),
        (changed("ecr-cloudevents/push", "source", to="urn:aws:s3:a:1:b"), "is no urn:aws:ecr:REGION:ACCOUNT"),
        (changed("ecr-cloudevents/push", "data", "registryId", to=7), "registryId must be a text"),
        (changed("ecr-cloudevents/push", "data", "imageTag", to=7), "imageTag must be a text"),
        (wrapped("%%%"), "message.data is not a JSON text in base64"),
        (wrapped("é"), "message.data is not a JSON text in base64"),
        (wrapped(base64.b64encode(b"hello").decode()), "message.data is not a JSON text in base64"),
        (wrapped(base64.b64encode(b"[" * 5000).decode()), "message.data is not a JSON text in base64"),
        (wrapped(base64.b64encode(b'{"hello": 1}').decode()), 'must be an object with an "action"'),
        (changed("gcr/insert", "message", "data", to=7), "message.data must be a text"),
        (changed("gcr/insert_unwrapped", "tag", to="web:v1"), "tag must be HOST/PATH:TAG, and is 'web:v1'"),
        (changed("gcr/insert_unwrapped", "tag", to="a.example.org/web"), "tag must be HOST/PATH:TAG"),
        (changed("gcr/insert_unwrapped", "tag", to="shop/web:v1"), "'shop' cannot be a registry's host"),
        (changed("ghcr/package_published", "package"), "package must be an object"),
        (
            changed("ghcr/package_published", *TAG, to=["v1"]),
            "package.package_version.container_metadata.tag.name must be a text",
        ),
        (changed("ghcr/package_published", *VERSION, "package_url", to="web:v1"), "'web:v1' is not a registry host"),
        (changed("ghcr/without_url", "package", "name"), "package.name must be a text"),
        (changed("ghcr/without_namespace", "package", "owner"), "package.owner.login must be a text"),
        (changed("gitea/forgejo_created", "package", "html_url", to="https://git/shop"), "'git' cannot be a registry's host"),
        (changed("harbor/push_artifact", "event_data", "resources", to=7), "event_data.resources must be a list"),
        (
            changed("harbor/push_artifact", "event_data", "resources", to=[7]),
            r"event_data.resources\[0\]: an object is expected",
        ),
        (
            changed("harbor/cloudevent_pushed", "data", "resources", 0, "resource_url"),
            r"data.resources\[0\]: resource_url must be",
        ),
        (changed("harbor/cloudevent_pushed", "data", to=7), "data.resources must be a list"),
        (changed("jfrog/pushed", "jpd_origin"), "jpd_origin must be a text"),
        (changed("jfrog/pushed", "data", "path", to="v1/manifest.json"), "data.path must be IMAGE/TAG/FILE"),
        (changed("jfrog/pushed", "data", "repo_key", to="Docker"), "repository names are lower-case"),
        (changed("keel/plain", "tag", to=""), "tag must be a text"),
        (changed("keel/plain", "name", to="shop/web:v1"), "has a tag or digest"),
        (changed("nexus/component_created", "component", "name"), "component.name must be a text"),
        (changed("nexus/component_created", "component", "version", to="v 1"), "'v 1' is not a tag"),
        (changed("quay/push", "updated_tags", to="v1"), "updated_tags must be a list or an object"),
        (changed("quay/push", "updated_tags", to=[7]), r"updated_tags\[0\]: a tag must be a text"),
        (changed("quay/push", "docker_url", to="shop/web"), "'shop' cannot be a registry's host"),
        (changed("zot/image_updated", "name"), "name must be a text"),
        (in_base64("%%%"), "data_base64 is not a JSON text in base64"),
        (in_base64(7), "data_base64 must be a text"),
    ],
)
def test_a_call_that_cannot_be_used_is_refused_by_the_name_of_its_field(payload: Payload, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        hear(payload.headers, payload.body)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (changed("ghcr/package_published", *VERSION, "package_url", to="GHCR.io/Shop/Web"), [f"ghcr.io/shop/web:v2.0.1@{A}"]),
        (changed("quay/push", "updated_tags", to=["v1", "no tag", None, 7]), ["quay.example.org/shop/web:v1"]),
        (changed("cloudevents/structured", "data", "registryUrl", to=""), [f"builds.example.org:8443/shop/web:v2.0.1@{A}"]),
        (changed("cloudevents/structured", "type", to="CONTAINER_PUSH"), [f"images.example.org/shop/web:v2.0.1@{A}"]),
        (changed("jfrog/pushed", "jpd_origin", to="shop.example.org:8082"), [
            f"shop.example.org:8082/docker-local/shop/web:v2.0.1@{A}"
        ]),
        (
            changed("ecr-cloudevents/push", "data", "registryId"),
            [f"210987654321.dkr.ecr.eu-central-1.amazonaws.com/shop/web:v2.0.1@{A}"],
        ),
        (in_base64("eyJyZWdpc3RyeSI6ImEuYiIsInJlcG9zaXRvcnkiOiJjIiwidGFnIjoidjEifQ=="), ["a.b/c:v1"]),
        (changed("ecr/push", "detail", "result"), [f"210987654321.dkr.ecr.eu-central-1.amazonaws.com/shop/web:v2.0.1@{A}"]),
    ],
)  # fmt: skip
def test_what_is_usable_is_used(payload: Payload, expected: list[str]) -> None:
    assert images(payload) == expected


@pytest.mark.parametrize(
    "payload",
    [
        changed("distribution/tag_pushed", "events", to=None),
        changed("harbor/push_artifact", "event_data", "resources", to=None),
        changed("harbor/cloudevent_pushed", "data", "resources", to=None),
        changed("quay/push", "updated_tags", to=None),
    ],
)
def test_a_list_that_is_null_is_an_empty_one(payload: Payload) -> None:
    heard = hear(payload.headers, payload.body)
    assert heard.images == ()
    assert heard.news.reason


@pytest.mark.parametrize(
    "kind",
    [
        "container",
        "push",
        "git.push",
        "container.push.failed",
        "container.image.deleted",
        "image.pushed",
        "containers",
        "7",
        ".",
    ],
)
def test_a_cloud_events_type_must_speak_of_a_container_images_push(kind: str) -> None:
    call = changed("cloudevents/structured", "type", to=kind)
    heard = hear(call.headers, call.body)
    assert heard.images == ()
    assert "does not speak of a container image's push" in (heard.news.reason or "")


@pytest.mark.parametrize(
    "tag",
    ["sha256:" + "b" * 64, "sha512:" + "b" * 128, f"sha256-{'b' * 64}", f"sha256-{'B' * 64}.att", f"sha256-{'b' * 64}.sbom"],
)
def test_tags_that_are_no_image_of_their_own_are_passed_over_by_every_sender(tag: str) -> None:
    for name, *path in [
        ("acr/push", "target", "tag"),
        ("aliyun/push", "push_data", "tag"),
        ("cloudevents/structured", "data", "tag"),
        ("dockerhub/push", "push_data", "tag"),
        ("ecr/push", "detail", "image-tag"),
        ("ecr-cloudevents/push", "data", "imageTag"),
        ("ghcr/package_published", *TAG),
        ("gitea/forgejo_created", "package", "version"),
        ("jfrog/pushed", "data", "tag"),
        ("nexus/component_created", "component", "version"),
        ("zot/image_updated", "reference"),
    ]:
        assert images(changed(name, *path, to=tag)) == [], name
