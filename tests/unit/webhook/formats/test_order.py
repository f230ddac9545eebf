"""Who is asked, and in which order."""

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.webhook import formats
from tagboat.webhook.formats import EVENTS, FORMATS, recognise
from tagboat.webhook.formats.call import Call

GITEA = {"x-gitea-event": "package", "x-github-event": "package"}
DISTRIBUTION = {"content-type": "application/vnd.docker.distribution.events.v1+json; charset=utf-8"}
BINARY = {"ce-type": "com.example.thing.happened", "ce-specversion": "1.0"}
STRUCTURED = {"specversion": "1.0"}
PUSHED = {"repo_name": "shop/web"}


def test_the_order_of_the_senders() -> None:
    assert [form.NAME for form in FORMATS] == [
        "gitea",
        "ghcr",
        "nexus",
        "native",
        "zot",
        "harbor",
        "acr-event-grid",
        "ecr-cloudevents",
        "cloudevents",
        "distribution",
        "acr",
        "quay",
        "ecr-sns",
        "ecr",
        "jfrog",
        "aliyun",
        "dockerhub",
        "gcr",
        "keel",
    ]


@pytest.mark.parametrize(
    ("headers", "body", "name"),
    [
        ({}, {"image": "a:b"}, "native"),
        (
            {},
            {
                "image": "a:b",
                "events": [],
                "name": "a",
                "tag": "b",
                "action": "INSERT",
                "push_data": {},
            },
            "native",
        ),
        ({}, {"image": "an id", "docker_url": "r.example.org/a/b"}, "quay"),
        (BINARY, {"image": "a:b"}, "cloudevents"),
        ({}, {"image": "a:b", **STRUCTURED}, "cloudevents"),
        (GITEA, {"image": "a:b", "events": []}, "gitea"),
        ({"x-forgejo-event": "package"}, {}, "gitea"),
        ({"x-github-event": "package"}, {"image": "a:b"}, "ghcr"),
        ({"x-nexus-webhook-id": "rm:repository:component"}, {"name": "a", "tag": "b"}, "nexus"),
        ({"ce-type": "zotregistry.image.updated"}, {"name": "a", "tag": "b"}, "zot"),
        ({}, {"type": "harbor.artifact.pushed", **STRUCTURED}, "harbor"),
        ({}, {"type": "PUSH_ARTIFACT", "event_data": {}}, "harbor"),
        ({}, {"type": "Microsoft.ContainerRegistry.ImagePushed", **STRUCTURED}, "acr-event-grid"),
        (
            {},
            {"eventType": "Microsoft.ContainerRegistry.ImagePushed", "data": {}},
            "acr-event-grid",
        ),
        ({}, {"type": "com.amazon.ecr.image.push", **STRUCTURED}, "ecr-cloudevents"),
        ({}, {"type": "anything", "name": "a", "tag": "b", **STRUCTURED}, "cloudevents"),
        (DISTRIBUTION, {}, "distribution"),
        ({}, {"events": []}, "distribution"),
        ({}, {"action": "push", "target": {}, "request": {}}, "acr"),
        ({"user-agent": "AzureContainerRegistry/1.0"}, {"action": "ping"}, "acr"),
        ({}, {"id": "an id", "timestamp": "2026-01-01T00:00:00Z", "action": "ping"}, "acr"),
        ({}, {"docker_url": "r.example.org/a/b", "name": "b", "tag": "c"}, "quay"),
        ({}, {"Type": "Notification", "TopicArn": "arn", "Message": "{}"}, "ecr-sns"),
        ({}, {"source": "aws.ecr", "detail-type": "ECR Image Action"}, "ecr"),
        ({}, {"domain": "docker", "event_type": "pushed"}, "jfrog"),
        ({"x-jfrog-event-auth": "of no concern here"}, {"repo_key": "k"}, "jfrog"),
        ({}, {"push_data": {}, "repository": {"region": "eu-1", **PUSHED}}, "aliyun"),
        ({}, {"push_data": {}, "repository": PUSHED}, "dockerhub"),
        ({}, {"message": {"data": ""}}, "gcr"),
        ({}, {"action": "INSERT", "name": "a", "tag": "b"}, "gcr"),
        ({}, {"name": "a", "tag": "b"}, "keel"),
    ],
)
def test_a_sender_is_recognised_among_all(headers: dict[str, str], body: object, name: str) -> None:
    assert name == recognise(Call(headers, body)).NAME


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"events": "no list"},
        {"Image": "a:b"},
        {"ref": "refs/heads/main"},
        {"action": "push"},
        {"push_data": {"tag": "v1"}},
        {"message": "hello"},
        {"name": "a"},
        {"type": "PUSH_ARTIFACT"},
    ],
)
def test_a_shape_that_nobody_sends_is_refused_with_what_was_looked_for(body: object) -> None:
    with pytest.raises(InvalidValueError) as raised:
        recognise(Call({}, body))
    assert '{"image": "registry/org/app:tag"}' in str(raised.value)
    assert [form.MARK for form in FORMATS if form.MARK not in str(raised.value)] == []
    assert len(str(raised.value)) < 400


def test_a_plain_call_is_the_cheapest_to_recognise_but_for_those_known_by_a_header() -> None:
    asked = []

    class Watched(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as of dict
            asked.append(key)
            return super().get(key, default)

        def __contains__(self, key: object) -> bool:
            asked.append(str(key))
            return super().__contains__(key)

    recognise(Call(Watched(), Watched(image="a.b/c:d")))
    assert len(asked) < 10


def test_every_module_of_a_sender_is_asked() -> None:
    modules = [
        import_module(f"{formats.__name__}.{found.name}")
        for found in pkgutil.iter_modules(formats.__path__)
    ]
    assert {module.NAME for module in modules if hasattr(module, "NAME")} == {
        form.NAME for form in FORMATS
    }


def test_the_documents_name_the_mark_of_each_sender() -> None:
    table = (
        (Path(__file__).parents[4] / "docs" / "webhooks.md")
        .read_text()
        .partition("| sender |")[2]
        .partition("\n\n")[0]
    )
    assert [form.NAME for form in FORMATS if form.MARK not in table.replace("`", "")] == []
    assert table.count("\n") - 1 == len(FORMATS)


# Arrays.


def test_an_array_is_read_event_by_event_under_the_name_of_the_first() -> None:
    events = [
        {"eventType": "Microsoft.Storage.BlobCreated", "data": {}},
        {"type": "anything", **STRUCTURED},
    ]
    batch = recognise(Call({}, events))
    assert batch.NAME == "acr-event-grid"
    assert batch.read(Call({}, events)).reason == "no event is the push of a tag"


@pytest.mark.parametrize(
    "items",
    [
        [],
        [7],
        [None],
        [[]],
        [{}],
        [{"image": "a:b"}],
        [{"type": "x", **STRUCTURED}, {"events": []}],
    ],
)
def test_an_array_of_anything_but_events_is_refused(items: object) -> None:
    with pytest.raises(InvalidValueError, match="the body is an (empty )?array"):
        recognise(Call({}, items))


def test_a_batch_of_cloud_events_may_be_empty() -> None:
    call = Call({"content-type": "application/cloudevents-batch+json; charset=UTF-8"}, [])
    assert (recognise(call).NAME, recognise(call).read(call).reason) == (
        "cloudevents",
        "no event is the push of a tag",
    )


@pytest.mark.parametrize("items", [[], [7], [{"image": "a:b", "repository": "x", "tag": "y"}]])
def test_an_array_as_the_data_of_an_event_is_passed_over(items: object) -> None:
    call = Call({"ce-type": "container.push", "ce-source": "https://r.example.org"}, items)
    assert recognise(call).read(call).images == ()


def test_every_event_that_may_come_in_an_array_is_a_sender() -> None:
    assert set(EVENTS) < set(FORMATS)
