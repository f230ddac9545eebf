"""What each sender's fixtures do not show: fields that are missing or odd, and how the refusal
names them.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats import recognise
from tagboat.webhook.formats.call import Call
from tests.support.payloads import Payload, hear, payloads

FIXTURES = {
    f"{payload.folder}/{payload.path.stem}": payload
    for payload in payloads(Path(__file__).parent / "fixtures")
}
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
    return Payload(
        payload.path, payload.headers, {**payload.body, "data_base64": data}, payload.meta
    )


def repository_with_host(name: str) -> Payload:
    """A CloudEvent whose repository has the host in it, which stands nowhere else."""
    payload = changed("cloudevents/structured", "source", to="/ci/7")
    data = {"repository": name, "tag": "v2.0.1", "digest": A}
    return Payload(payload.path, payload.headers, {**payload.body, "data": data}, payload.meta)


def images(payload: Payload) -> list[str]:
    return [str(image) for image in hear(payload.headers, payload.body).images]


IN_ACR = ("target", "repository")
VERSION = ("package", "package_version")
TAG = (*VERSION, "container_metadata", "tag", "name")
METADATA = (*VERSION, "container_metadata")
RESOURCE = ("event_data", "resources", 0)
HUB = ("repository", "repo_name")
GHCR = "ghcr.io/shop/web"
HARBOR = "harbor.example.org:8443/shop/web"
FORGEJO = "git.example.org/shop/web"
ECR = "210987654321.dkr.ecr.eu-central-1.amazonaws.com/shop/web"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (
            changed("acr/push", "target", "repository", to=["a"]),
            "target.repository must be a string, but is something else",
        ),
        (changed("acr/push", "target", "tag", to=7), "target.tag must be a string"),
        (changed("acr-event-grid/image_pushed", 0, "data", to=None), "data must be an object"),
        (
            changed("acr-event-grid/image_pushed", 0, "data", *IN_ACR),
            "item 0: data: target.repository must be a string, but is missing",
        ),
        (
            changed("acr-event-grid/handshake", 0, "data", to={}),
            "data.validationCode must be a string",
        ),
        (
            changed("aliyun/push", "repository", "repo_full_name"),
            "repository.repo_full_name must be a string",
        ),
        (changed("cloudevents/structured", "type", to=None), "type must be a string"),
        (
            changed("cloudevents/structured", "data", "repository", to=7),
            r"data.repository \(or data.repositoryName\)",
        ),
        (
            changed("cloudevents/structured", "data", "tag", to=["v1"]),
            r"data.tag \(or data.imageTag\) must be a string",
        ),
        (
            changed("dockerhub/push", *HUB, to=""),
            "repository.repo_name must be a string, but is empty",
        ),
        (
            changed("ecr/push", "detail", "repository-name"),
            "detail.repository-name must be a string",
        ),
        (
            changed("ecr-cloudevents/push", "data", "registryId", to=7),
            "registryId must be a string",
        ),
        (changed("ecr-cloudevents/push", "data", "imageTag", to=7), "imageTag must be a string"),
        (
            changed(
                "ecr-sns/push",
                "Message",
                to='{"source": "aws.ecr", "detail-type": "ECR Image Action", '
                '"detail": {"action-type": "PUSH"}}',
            ),
            "detail.repository-name must be",
        ),
        (wrapped("%%%"), "message.data is not base64"),
        (wrapped("é"), "message.data is not base64"),
        (changed("gcr/insert", "message", "data", to=7), "message.data must be a string"),
        (changed("ghcr/package_published", "package"), "package must be an object"),
        (
            changed("ghcr/package_published", *TAG, to=["v1"]),
            "package.package_version.container_metadata.tag.name must be a string",
        ),
        (changed("ghcr/without_url", "package", "name"), "package.name must be a string"),
        (
            changed("ghcr/without_namespace", "package", "owner"),
            "package.owner.login must be a string",
        ),
        (
            changed("harbor/push_artifact", "event_data", "resources", to=7),
            "event_data.resources must be a list",
        ),
        (
            changed("harbor/push_artifact", "event_data", "resources", to=[7]),
            r"event_data.resources\[0\]: an object is expected",
        ),
        (
            changed("harbor/cloudevent_pushed", "data", "resources", 0, "resource_url", to=7),
            r"data.resources\[0\]: resource_url must be",
        ),
        (changed("harbor/cloudevent_pushed", "data", to=7), "data.resources must be a list"),
        (
            changed("nexus/component_created", "component", "name"),
            "component.name must be a string",
        ),
        (changed("quay/push", "updated_tags", to="v1"), "updated_tags must be a list or an object"),
        (
            changed("quay/push", "updated_tags", to=[7]),
            r"updated_tags\[0\]: a tag must be a string",
        ),
        (changed("zot/image_updated", "name"), "name must be a string"),
        (in_base64("%%%"), "data_base64 is not base64"),
        (in_base64(7), "data_base64 must be a string"),
    ],
)
def test_a_call_of_a_shape_that_nobody_sends_is_refused_by_the_name_of_its_field(
    payload: Payload, said: str
) -> None:
    with pytest.raises(InvalidValueError, match=said):
        hear(payload.headers, payload.body)


HELM = "application/vnd.cncf.helm.config.v1+json"
NO_CONTAINER = f"it is not a container image: its media type is '{HELM}'"
DIGEST_ONLY = "its tag is a digest"


@pytest.mark.parametrize(
    ("payload", "image", "said"),
    [
        # A host that no registry can have.
        (
            changed("acr/push", "request", "host", to="git"),
            "git/shop/web",
            "'git' cannot be the host of a registry",
        ),
        (
            changed("distribution/tag_pushed", "events", 1, "request", "host", to="registry"),
            "registry/shop/web",
            "?registry=NAME",
        ),
        (
            changed("gitea/forgejo_created", "package", "html_url", to="https://git/shop"),
            "git/shop/web",
            "ROOT_URL",
        ),
        (
            changed("quay/push", "docker_url", to="shop/web"),
            "shop/web",
            "'shop' cannot be the host of a registry",
        ),
        (
            changed("gcr/insert_unwrapped", "tag", to="shop/web:v1"),
            "shop/web",
            "'shop' cannot be the host of a registry",
        ),
        (
            changed("ghcr/package_published", *VERSION, "package_url", to="web:v1"),
            "web:v1/",
            "'web:v1' is not a registry host",
        ),
        (
            changed("aliyun/push", "repository", "region", to="evil.example.net/x"),
            "shop/web",
            "is not a region",
        ),
        (
            changed("ecr/push", "account", to="evil.example.net/x"),
            "shop/web",
            "the account 'evil.example.net/x' is not a number",
        ),
        (changed("ecr/push", "region", to="a.b"), "shop/web", "the region 'a.b' is not a region"),
        (
            changed("ecr-cloudevents/push", "source", to="aws.ecr"),
            "shop/web",
            "'aws.ecr' is not urn:aws:ecr:REGION:ACCOUNT",
        ),
        (
            changed("ecr-cloudevents/push", "source", to="urn:aws:s3:a:1:b"),
            "shop/web",
            "is not urn:aws:ecr:REGION:ACCOUNT",
        ),
        # Names and tags that none can have.
        (
            changed("dockerhub/push", *HUB, to="Shop/web"),
            "docker.io/Shop/web",
            "repository names are lower-case",
        ),
        (
            changed("jfrog/pushed", "data", "repo_key", to="Docker"),
            "shop.jfrog.example.org/Docker/shop/web",
            "lower-case",
        ),
        (
            changed("jfrog/pushed", "data", "path", to="v1/manifest.json"),
            "docker-local",
            "data.path must be IMAGE/TAG/FILE",
        ),
        (
            changed("gcr/insert_unwrapped", "tag", to="web:v1"),
            "web",
            "tag must be HOST/PATH:TAG, but is 'web:v1'",
        ),
        (
            changed("gcr/insert_unwrapped", "tag", to="a.example.org/web"),
            "",
            "tag must be HOST/PATH:TAG",
        ),
        (changed("keel/plain", "name", to="shop/web:v1"), "shop/web:v1", "has a tag or digest"),
        (
            changed("nexus/component_created", "component", "version", to="v 1"),
            "shop/web",
            "'v 1' is not a tag",
        ),
        (
            changed("acr/push", *IN_ACR, to="x" * 300),
            "shop.azurecr.example.org/" + "x" * 230 + "…",
            "longer than 255",
        ),
        (
            changed("acr/push", "target", "tag", to="t" * 129),
            "shop.azurecr.example.org/shop/web",
            "129 characters",
        ),
        # What is no container image, where the call says so.
        (
            changed("acr/push", "target", "mediaType", to=HELM),
            "shop.azurecr.example.org/shop/web",
            NO_CONTAINER,
        ),
        (
            changed("dockerhub/push", "push_data", "media_type", to=HELM),
            "docker.io/shop/web",
            NO_CONTAINER,
        ),
        (changed("ecr/push", "detail", "artifact-media-type", to=HELM), ECR, NO_CONTAINER),
        (
            changed("ecr/push", "detail", "manifest-media-type", to="application/vnd.wasm"),
            ECR,
            "'application/vnd.wasm'",
        ),
        (
            changed(
                "ghcr/package_published", *METADATA, "manifest", to={"config": {"media_type": HELM}}
            ),
            GHCR,
            NO_CONTAINER,
        ),
        (
            changed(
                "zot/image_updated", "manifest", to=json.dumps({"config": {"mediaType": HELM}})
            ),
            "shop/web",
            NO_CONTAINER,
        ),
        (
            changed("zot/image_updated", "manifest", to=json.dumps({"artifactType": HELM})),
            "shop/web",
            NO_CONTAINER,
        ),
        (
            changed("cloudevents/structured", "data", "mediaType", to=HELM),
            "images.example.org/shop/web",
            NO_CONTAINER,
        ),
        # Digests and signatures.
        (
            changed("acr/push", "target", "tag"),
            "shop.azurecr.example.org/shop/web",
            "it names no tag",
        ),
        (
            changed("dockerhub/push", "push_data", "tag", to=""),
            "docker.io/shop/web",
            "it names no tag",
        ),
        (
            changed("harbor/push_image_of_version_1", *RESOURCE, "tag", to="sha256:" + "b" * 64),
            HARBOR,
            DIGEST_ONLY,
        ),
        (changed("harbor/push_image_of_version_1", *RESOURCE, "tag"), HARBOR, "it names no tag"),
        (
            changed("gitea/forgejo_created", "package", "version", to="sha256:" + "b" * 64),
            FORGEJO,
            DIGEST_ONLY,
        ),
        (
            changed("nexus/component_created", "component", "version", to=f"sha256-{'b' * 64}.sig"),
            "shop/web",
            "signature",
        ),
        (
            changed("keel/plain", "tag", to=""),
            "registry.example.org:5000/shop/web",
            "it names no tag",
        ),
        (FIXTURES["gcr/insert_by_digest"], "europe-docker.pkg.example.org/shop/apps/web", "no tag"),
    ],
)
def test_what_a_sender_tells_of_and_nobody_can_use_is_skipped_with_a_reason(
    payload: Payload, image: str, said: str
) -> None:
    heard = hear(payload.headers, payload.body)
    assert heard.images == ()
    skipped = heard.news.skipped[0]
    assert skipped.image == image
    assert said in skipped.reason
    assert heard.news.reason


@pytest.mark.parametrize(
    "payload",
    [
        wrapped(base64.b64encode(b"hello").decode()),
        wrapped(base64.b64encode(b"[" * 5000).decode()),
        wrapped(base64.b64encode(b'{"hello": 1}').decode()),
        wrapped(""),
        changed("gcr/insert", "message", "data"),
        changed("ecr-sns/push", "Message", to="[]"),
        changed("ecr-sns/push", "Message"),
        changed("ecr-sns/push", "Message", to='{"image": "shop/web"}'),
        in_base64(base64.b64encode(b"hello").decode()),
    ],
)
def test_a_message_of_somebody_else_in_a_senders_envelope_is_passed_over(payload: Payload) -> None:
    heard = hear(payload.headers, payload.body)
    assert (heard.images, heard.news.skipped, bool(heard.news.reason)) == ((), (), True)


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (changed("acr/push", "request"), "shop/web"),
        (changed("cloudevents/host_of_the_source", "source", to="/ci/7"), "shop/web"),
        (changed("jfrog/pushed", "jpd_origin"), "docker-local/shop/web"),
        (changed("harbor/push_image_of_version_1", *RESOURCE, "resource_url"), "shop/web"),
        (changed("zot/image_updated", "digest"), "shop/web"),
    ],
)
def test_a_sender_that_names_no_host_leaves_it_open(payload: Payload, path: str) -> None:
    (image,) = hear(payload.headers, payload.body).news.unqualified
    assert (image.path, image.tag) == (path, "v2.0.1")


def test_the_registry_that_the_url_names_is_where_images_without_a_usable_host_are() -> None:
    for payload, expected in [
        (changed("zot/image_updated", "digest"), "named.example.org/shop/web:v2.0.1"),
        (
            changed("acr/push", "request", "host", to="git"),
            f"named.example.org/shop/web:v2.0.1@{A}",
        ),
        (changed("keel/plain", "name", to="shop/web"), "named.example.org/shop/web:v2.0.1"),
        (changed("keel/plain", "name", to="docker.io/shop/web"), "docker.io/shop/web:v2.0.1"),
        (changed("native/plain", "image", to="web:v1"), "named.example.org/web:v1"),
        (changed("native/plain", "image", to="a.example.org/web:v1"), "a.example.org/web:v1"),
        (
            changed("quay/push", "docker_url", to="quay.example.org/shop/web"),
            "quay.example.org/shop/web:v2.0.1",
        ),
    ]:
        call = Call(payload.headers, payload.body, "named.example.org")
        assert str(recognise(call).read(call).images[0]) == expected


def test_a_subscription_of_anywhere_but_amazon_is_not_to_be_opened() -> None:
    for url in [
        "http://sns.eu-central-1.amazonaws.com/?Token=x",
        "https://sns.eu-central-1.amazonaws.com.example.net/?Token=x",
        "https://sns.eu-central-1.amazonaws.com@example.net/",
        "https://example.net/sns.eu-central-1.amazonaws.com/",
        "https://[::1/",
        "javascript:alert(1)",
        7,
    ]:
        payload = changed("ecr-sns/subscription", "SubscribeURL", to=url)
        news = hear(payload.headers, payload.body).news
        assert news.needs_you
        assert str(url) not in str(news.reason)
        assert "do not open it" in str(news.reason)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (changed("ghcr/package_published", *VERSION, "package_url", to="GHCR.io/Shop/Web"),
         [f"ghcr.io/shop/web:v2.0.1@{A}"]),
        (changed("quay/push", "updated_tags", to=["v1", "no tag", None, 7]),
         ["quay.example.org/shop/web:v1"]),
        (changed("cloudevents/structured", "data", "registryUrl", to=""),
         [f"builds.example.org:8443/shop/web:v2.0.1@{A}"]),
        (changed("cloudevents/structured", "type", to="CONTAINER_PUSH"),
         [f"images.example.org/shop/web:v2.0.1@{A}"]),
        (changed("jfrog/pushed", "jpd_origin", to="shop.example.org:8082"), [
            f"shop.example.org:8082/docker-local/shop/web:v2.0.1@{A}"
        ]),
        (
            changed("ecr-cloudevents/push", "data", "registryId"),
            [f"210987654321.dkr.ecr.eu-central-1.amazonaws.com/shop/web:v2.0.1@{A}"],
        ),
        (repository_with_host("a.example.org/shop/web"), [f"a.example.org/shop/web:v2.0.1@{A}"]),
        (in_base64("eyJyZWdpc3RyeSI6ImEuYiIsInJlcG9zaXRvcnkiOiJjIiwidGFnIjoidjEifQ=="),
         ["a.b/c:v1"]),
        (changed("ecr/push", "detail", "result"),
         [f"210987654321.dkr.ecr.eu-central-1.amazonaws.com/shop/web:v2.0.1@{A}"]),
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
    assert "does not name the push of a container image" in (heard.news.reason or "")


@pytest.mark.parametrize(
    "tag",
    [
        "sha256:" + "b" * 64,
        "sha512:" + "b" * 128,
        f"sha256-{'b' * 64}",
        f"sha256-{'B' * 64}.att",
        f"sha256-{'b' * 64}.sbom",
    ],
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
