"""Native, Gitea and Distribution in detail, and any object at all from whomever."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import parse_image_ref
from tagboat.webhook.formats import recognise
from tagboat.webhook.formats.call import Call, ParsedNotification

FIXTURES = Path(__file__).parent / "fixtures"
GITEA = {
    "x-gitea-event": "package",
    "x-github-event": "package",
    "content-type": "application/json",
}
EVENTS = {"content-type": "application/vnd.docker.distribution.events.v2+json"}
A = "sha256:" + "a" * 64


def fixture(name: str) -> Any:  # noqa: ANN401 - whatever the JSON is
    return json.loads((FIXTURES / name).read_text())


def read(body: object, headers: dict[str, str] | None = None) -> ParsedNotification:
    call = Call(headers or {}, body)
    return recognise(call).read(call)


def refs(body: object, headers: dict[str, str] | None = None) -> list[str]:
    return [str(image) for image in read(body, headers).images]


def container(**changes: object) -> dict[str, Any]:
    body: dict[str, Any] = fixture("gitea/container_created.json")
    body["package"] |= changes
    return body


def event(
    action: object = "push", host: object = "r.example.org", **target: object
) -> dict[str, Any]:
    whole = {
        "repository": "shop/web",
        "tag": "v1",
        "digest": A,
        "url": "https://u.example.org/v2/x",
    } | target
    return {"action": action, "target": whole, "request": {"host": host}}


# Native.


def test_native() -> None:
    assert refs(fixture("native/plain.json")) == ["registry.example.org/shop/web:v2.0.1"]
    assert refs(fixture("native/with_digest.json")) == [
        f"registry.example.org:5000/shop/web:v2.0.1@{A}"
    ]
    assert refs({"image": "nginx", "digest": None}) == ["docker.io/library/nginx:latest"]
    assert refs({"image": f"a.b/c:d@{A}", "digest": A}) == [f"a.b/c:d@{A}"]
    assert refs({"image": "a.b:5000/c", "tag": "v2"}) == ["a.b:5000/c:v2"]
    assert refs({"image": "nginx", "tag": "v2"}) == ["docker.io/library/nginx:v2"]
    assert refs({"image": "a.b/c:v2", "tag": "v2"}) == ["a.b/c:v2"]
    assert refs({"image": "a.b/c:v2", "tag": None}) == ["a.b/c:v2"]
    assert refs({"image": f"a.b/c@{A}", "tag": "v2"}) == [f"a.b/c:v2@{A}"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"image": "a.b/c:v3", "tag": "v2"}, "image has the tag 'v3', and tag is 'v2'"),
        ({"image": "a.b/c", "tag": ""}, "tag is empty; fill it in, or leave the field out"),
        ({"image": "a.b/c:v1", "tag": ""}, "tag is empty"),
        ({"image": "a.b/c", "tag": None}, "tag is null"),
        ({"image": "a.b/c", "tag": 7}, "tag must be a string"),
        ({"image": "a.b/c", "tag": "v1@" + A}, "not a tag"),
        ({"image": "a.b/c", "tag": "t" * 129}, "129 characters"),
        ({"image": "a" * 64, "tag": "v1"}, "the id of an image"),
        ({"image": "a.b/c:d", "digest": ""}, "digest is empty; fill it in, or leave the field out"),
        ({"image": None}, "image"),
        ({"image": 7}, "image"),
        ({"image": ["a"]}, "image"),
        ({"image": ""}, "image"),
        ({"image": "a.b/c@" + A}, "no tag"),
        ({"image": "a.b/c:d@sha256:xyz"}, "not a digest"),
        ({"image": "a.b/c:d", "digest": "sha256:xyz"}, "not a digest"),
        ({"image": "a.b/c:d", "digest": 7}, "digest"),
        ({"image": "a.b/c:d@sha256:" + "b" * 64, "digest": A}, "two different digests"),
        ({"image": "a.b/c:" + "t" * 129}, "129 characters"),
        ({"image": "a.b/" + "c" * 252 + ":v1"}, "255"),
        ({"image": "a.b/c:$(reboot)"}, "not a tag"),
        ({"image": "a.b/c;rm -rf /:v1"}, "a.b/c;rm -rf"),
        ({"image": "a.b/c:v\x00"}, "not a tag"),
    ],
)
def test_native_refuses_what_it_cannot_use_and_says_what(body: object, word: str) -> None:
    with pytest.raises(InvalidValueError) as raised:
        read(body)
    assert word in str(raised.value)
    assert str(raised.value).isprintable()


# Gitea.


def test_gitea_names_the_image_by_its_owner_and_in_lower_case() -> None:
    assert refs(container(), GITEA) == ["git.example.org:3000/shop/team/web:v2.0.1"]
    assert refs(container(), {"x-forgejo-event": "package"}) == [
        "git.example.org:3000/shop/team/web:v2.0.1"
    ]


def test_gitea_keeps_the_case_of_a_tag_for_the_intake_to_judge() -> None:
    assert refs(container(version="V2-RC"), GITEA) == ["git.example.org:3000/shop/team/web:V2-RC"]


@pytest.mark.parametrize(
    ("body", "headers", "word"),
    [
        (container(), GITEA | {"x-gitea-event": "push"}, "'push'"),
        (container() | {"action": "deleted"}, GITEA, "'deleted'"),
        (container() | {"action": {"a": []}}, GITEA, "not 'created'"),
        ({"action": None}, GITEA, "not 'created'"),
        (container(type="npm"), GITEA, "'npm'"),
        (fixture("gitea/child_manifest.json"), GITEA, "digest"),
    ],
)
def test_gitea_events_that_are_no_push_of_a_tag_are_passed_over_with_a_reason(
    body: object, headers: dict[str, str], word: str
) -> None:
    news = read(body, headers)
    assert news.images == ()
    assert word in str(news.reason)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"action": "created"}, "package.owner.login"),
        (container(version=None), "package.version"),
        (container(name=1), "package.name"),
        (container(owner=None), "package.owner.login"),
        (container(html_url=""), "package.html_url"),
    ],
)
def test_gitea_names_the_field_that_is_missing(body: object, path: str) -> None:
    with pytest.raises(InvalidValueError, match=path):
        read(body, GITEA)


@pytest.mark.parametrize(
    "body",
    [
        {
            "channel": "#ops",
            "text": "Package created: web",
            "username": "Gitea",
            "icon_url": "",
            "attachments": [],
        },
        {"username": "Gitea", "avatar_url": "", "embeds": [{"title": "Package created: web"}]},
        {"message": "Package created: web", "parse_mode": "HTML"},
        {"@type": "MessageCard", "title": "Package created: web", "sections": []},
        {"msgtype": "markdown", "markdown": {"content": "x"}},
        {"repository": {"url": "https://git.example.org/shop/web"}},
    ],
)
def test_gitea_chat_messages_name_the_type_that_is_right(body: dict[str, object]) -> None:
    for event in ("package",) if "repository" in body else ("package", "push", "issues"):
        news = read(body, GITEA | {"x-gitea-event": event})
        assert news.needs_you
        assert "type such as Slack" in str(news.reason)
        assert "of the type Gitea" in str(news.reason)


def test_giteas_test_delivery_says_that_it_proves_nothing_of_packages() -> None:
    news = read(
        {"ref": "refs/heads/main", "commits": [], "repository": {}},
        GITEA | {"x-gitea-event": "push"},
    )
    assert "Test delivery" in str(news.reason)
    assert "only shows that this URL can be reached" in str(news.reason)


# Distribution.


def test_distribution_reads_the_push_of_a_tag_among_blobs_and_pulls() -> None:
    assert refs(fixture("distribution/tag_pushed.json"), EVENTS) == [
        f"registry.example.org:5000/shop/web:v2.0.1@{A}"
    ]


def test_distribution_reads_every_tag_of_an_envelope() -> None:
    assert refs({"events": [event(tag="v1"), event(tag="v2", repository="x")]}) == [
        f"r.example.org/shop/web:v1@{A}",
        f"r.example.org/x:v2@{A}",
    ]


@pytest.mark.parametrize("host", [None, "", 7])
def test_distribution_takes_the_host_of_the_url_where_the_request_names_none(host: object) -> None:
    assert refs({"events": [event(host=host)]}) == [f"u.example.org/shop/web:v1@{A}"]


@pytest.mark.parametrize("digest", [None, "", 7, "sha256:abc", "md5:" + "a" * 32])
def test_distribution_drops_a_digest_that_is_none_and_keeps_the_tag(digest: object) -> None:
    assert refs({"events": [event(digest=digest)]}) == ["r.example.org/shop/web:v1"]


@pytest.mark.parametrize(
    "one",
    [event("pull"), event("delete"), event("mount"), event(tag=""), event(tag=None), {}, event(7)],
)
def test_distribution_passes_over_every_other_event(one: object) -> None:
    news = read({"events": [one]}, EVENTS)
    assert (news.images, bool(news.reason)) == ((), True)


def test_distribution_takes_what_it_can_use_and_skips_the_rest() -> None:
    bad, good = event(repository="UPPER"), event()
    assert refs({"events": [bad, good]}) == [f"r.example.org/shop/web:v1@{A}"]
    assert read({"events": [bad, good]}).reason is None
    news = read({"events": [event("pull"), bad]})
    assert [skipped.image for skipped in news.skipped] == ["r.example.org/UPPER"]
    assert news.reason == "no event is the push of a tag"


def test_distribution_fails_only_where_no_event_has_a_shape_that_anybody_sends() -> None:
    odd = event(repository=7)
    with pytest.raises(InvalidValueError, match=r"events\[1\]: target.repository must be a string"):
        read({"events": [event("pull"), odd]})
    (skipped,) = read({"events": [odd, event()]}).skipped
    assert (skipped.image, "events[0]: target.repository" in skipped.reason) == (None, True)


def test_a_blob_is_not_listed_as_skipped_and_a_manifest_without_a_tag_is() -> None:
    blob = event(tag=None, mediaType="application/octet-stream")
    child = event(tag=None, mediaType="application/vnd.oci.image.manifest.v1+json")
    assert read({"events": [blob]}).skipped == ()
    assert [skipped.image for skipped in read({"events": [blob, child]}).skipped] == [
        "r.example.org/shop/web"
    ]


@pytest.mark.parametrize("body", [{}, {"events": {}}, {"events": [7]}, {"events": [[]]}])
def test_distribution_refuses_an_envelope_of_another_shape(body: object) -> None:
    with pytest.raises(InvalidValueError, match="events"):
        read(body, EVENTS)


# Whatever is sent.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
KEYS = st.sampled_from(
    ["action", "package", "type", "version", "events", "image", "digest", "target", "request",
     "tag", "name", "data", "detail",
     "specversion", "source", "event_data", "resources", "eventType", "docker_url",
     "updated_tags", "push_data", "repository",
     "region", "repo_name", "message", "domain", "event_type", "detail-type", "component",
     "reference"]
)  # fmt: skip
HEADERS = st.sampled_from(
    [{}, GITEA, EVENTS, {"x-github-event": "package"},
     {"x-nexus-webhook-id": "rm:repository:component"},
     {"ce-type": "container.push"}, {"ce-type": "zotregistry.image.updated"},
     {"ce-type": "harbor.artifact.pushed"}]
)  # fmt: skip


@given(
    body=st.dictionaries(
        KEYS, JSON | st.dictionaries(KEYS, JSON) | st.lists(st.dictionaries(KEYS, JSON))
    ),
    headers=HEADERS,
)
def test_any_object_is_news_or_refused_in_words(body: object, headers: dict[str, str]) -> None:
    try:
        news = read(body, headers)
    except InvalidValueError as error:
        said = str(error)
    else:
        said = news.reason or "images"
        assert all(parse_image_ref(str(image)) == image for image in news.images)
    assert 0 < len(said) < 2000
