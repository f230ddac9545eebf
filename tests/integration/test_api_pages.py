"""The reads that pages are made of: histories, tags, previews, comparisons, needs, calls heard."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.catalog import KnownTag, run_config
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, Trigger
from tagboat.core.errors import EngineUnavailableError
from tagboat.core.health import Trouble, Vitals
from tagboat.core.heard import HeardCall, PollFinds
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.core.polling import RegistryBackoff
from tagboat.core.ports import Tx
from tagboat.core.project_webhook import ProjectWebhook
from tagboat.core.values import replace
from tagboat.runtime.memory import MemoryImage
from tests.integration.test_api_overview import statements
from tests.support.api import Api, running_api
from tests.support.records import deploy_record, put_deploy

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
NOBODY = "0" * 24
IMAGE = ImageName("git.example.com", "acme/app")
REVISION, SOURCE = "org.opencontainers.image.revision", "org.opencontainers.image.source"


@pytest.fixture
async def api(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Api]:  # noqa: ARG001 - it runs this
    with running_api(tmp_path) as api:
        yield api


async def make(api: Api, name: str = "app", **patterns: str) -> tuple[str, list[str]]:
    """Make a project with a stage for each pattern, tried in this order; return the ids."""
    stages = [
        {"name": stage, "tag_pattern": pattern, "position": place}
        for place, (stage, pattern) in enumerate(patterns.items())
    ]
    body = {"name": name, "image": f"git.example.com/acme/{name}", "stages": stages, "port": 80}
    made = (await api.caller.post("/api/projects", body)).json
    return made["id"], [stage["id"] for stage in made["stages"]]


async def get(api: Api, path: str, status: int = 200) -> Any:  # noqa: ANN401 - JSON
    answer = await api.caller.get(path)
    assert answer.status == status, answer.body
    return answer.json


def digest_of(tag: str) -> Digest:
    return Digest(f"sha256:{tag[-1] * 64}")


async def lived(
    api: Api,
    stage: str,
    tag: str,
    state: InstanceState = InstanceState.LIVE,
    *,
    hour: int = 0,
    left_for: str = "",
    **deploy: Any,  # noqa: ANN401 - any field of a deploy
) -> Instance:
    """Put on record that a deploy of `tag`, whose last digit is its digest, became live."""

    def work(tx: Tx) -> Instance:
        found = tx.stage(stage)
        project = tx.project(found.project_id)
        made = replace(
            deploy_record(project.id, stage, tag), digest=digest_of(tag), released=True, **deploy
        )
        config = run_config(project, found)
        gone = state is not InstanceState.LIVE
        instance = Instance(
            id=new_id(),
            deploy_id=made.id,
            project_id=project.id,
            stage_id=stage,
            tag=tag,
            digest=digest_of(tag),
            state=state,
            container=f"app-{made.id}",
            endpoints=(),
            fingerprint=config.fingerprint,
            started_at=NOON + timedelta(hours=hour),
            live_at=NOON + timedelta(hours=hour, minutes=1),
            left_at=NOON + timedelta(hours=hour + 1) if gone else None,
            left_for=left_for,
            stopped_at=NOON + timedelta(hours=hour + 1, minutes=1) if state.final else None,
        )
        tx.add_deploy(made)
        tx.put_deploy_config(made.id, config)
        tx.add_instance(instance)
        return instance

    return await api.store.write(work)


async def ended_by(api: Api, instance: Instance, deploy_id: str) -> None:
    await api.store.write(lambda tx: tx.put_instance(replace(instance, left_for=deploy_id)))


async def webhook(api: Api) -> str:
    url = (await get(api, "/api/settings/webhook"))["url"]
    return str(url).removeprefix("https://tagboat.example.com")


async def push(api: Api, *tags: str, image: str = "git.example.com/acme/app") -> list[Any]:
    path = await webhook(api)
    answers = [await api.anonymous.post(path, {"image": f"{image}:{tag}"}) for tag in tags]
    assert {answer.status for answer in answers} == {202}
    return [answer.json["pushes"][0] for answer in answers]


# What was live.


async def test_the_history_of_a_stage_says_from_when_to_when_and_how_it_ended(api: Api) -> None:
    _, (prod,) = await make(api, prod="v*")
    first = await lived(api, prod, "v1", InstanceState.STOPPED, hour=0, note="for the fair")
    second = await lived(api, prod, "v2", InstanceState.FAILED, hour=2, status=DeployStatus.FAILED)
    third = await lived(api, prod, "v3", hour=4, release_id="c", trigger=Trigger.PROMOTE)
    await ended_by(api, first, third.deploy_id)
    await api.store.write(lambda tx: tx.note_pull(IMAGE, digest_of("v1"), NOON))

    newest, middle, oldest = (await get(api, f"/api/stages/{prod}/history"))["items"]

    assert newest == {
        "deploy": third.deploy_id,
        "instance": third.id,
        "tag": "v3",
        "digest": digest_of("v3"),
        "trigger": "promote",
        "note": "",
        "live_from": "2026-05-01T16:01:00Z",
        "live_until": None,
        "ending": "serving",
        "reason": "serves now",
        "ended_by": None,
        "requests_lost": None,
        "rollback_possible": False,
        "rollback_reason": "v3 is live as it was then",
        "warning": "",
    }
    assert (middle["deploy"], middle["ending"]) == (second.deploy_id, "failed_watch")
    assert middle["rollback_possible"] is False
    assert "it was taken back; deploy the tag v2" in middle["rollback_reason"]
    assert (oldest["live_from"], oldest["live_until"]) == (
        "2026-05-01T12:01:00Z",
        "2026-05-01T13:00:00Z",
    )
    assert (oldest["ending"], oldest["ended_by"]) == ("replaced", third.deploy_id)
    assert (oldest["reason"], oldest["note"]) == ("replaced by v3", "for the fair")
    assert (oldest["rollback_possible"], oldest["rollback_reason"]) == (True, "")
    assert "a release command ran since, with v3" in oldest["warning"]


async def test_a_history_of_before_infers_what_replaced_what(api: Api) -> None:
    _, (prod,) = await make(api, prod="v*")
    first = await lived(api, prod, "v1", InstanceState.STOPPED)
    await api.store.write(lambda tx: tx.put_instance(replace(first, left_at=None)))
    second = await lived(api, prod, "v2", hour=3)

    _, oldest = (await get(api, f"/api/stages/{prod}/history"))["items"]
    assert (oldest["ending"], oldest["ended_by"]) == ("replaced", second.deploy_id)
    assert oldest["live_until"] == "2026-05-01T13:01:00Z"
    assert "removed from the engine" in oldest["rollback_reason"]
    assert oldest["rollback_possible"] is True


async def test_a_history_comes_in_pages_by_as_many_statements_whatever_their_size(
    api: Api,
) -> None:
    _, (prod,) = await make(api, prod="v*")
    for number in range(7):
        await lived(api, prod, f"v{number}", InstanceState.STOPPED, hour=number)

    path = f"/api/stages/{prod}/history?limit="
    with statements() as few:
        page = await get(api, f"{path}2")
    with statements() as many:
        assert len((await get(api, f"{path}7"))["items"]) == 7
    assert len(few) == len(many)
    seen = [item["tag"] for item in page["items"]]
    while page["next"]:
        page = await get(api, f"{path}2&cursor={page['next']}")
        seen += [item["tag"] for item in page["items"]]
    assert seen == [f"v{number}" for number in reversed(range(7))]


@pytest.mark.parametrize(
    "path",
    [
        "stages/{}/history",
        "stages/{}/pending",
        "stages/{}/promotion?from=" + NOBODY,
        "deploys/{}/changes",
        "projects/{}/pattern?pattern=v*",
        "projects/{}/tags?order=newest",
    ],
)
async def test_unknown_things_are_not_found(api: Api, path: str) -> None:
    await get(api, f"/api/{path.format(NOBODY)}", 404)
    await get(api, f"/api/{path.format('nonsense')}", 404)


# Tags.


async def test_tags_newest_first_with_a_filter_and_where_they_are_live(api: Api) -> None:
    project, (dev, prod) = await make(api, dev="main", prod="v*")
    tags = ("v1", "v2", "main", "v3")

    def work(tx: Tx) -> None:
        for minute, tag in enumerate(tags):
            seen = NOON + timedelta(minutes=minute)
            tx.record_tag(
                KnownTag(
                    project_id=project, tag=tag, digest=None, first_seen=seen, source="webhook"
                )
            )

    await api.store.write(work)
    await lived(api, prod, "v2")
    await lived(api, dev, "v2")

    path = f"/api/projects/{project}/tags?order=newest&limit=2"
    first = await get(api, path)
    second = await get(api, f"{path}&cursor={first['next']}")
    assert [one["tag"] for one in (*first["items"], *second["items"])] == list(reversed(tags))
    assert second["next"] is None
    by_text = await get(api, f"{path}&text=V2")
    assert [one["tag"] for one in by_text["items"]] == ["v2"]
    assert [stage["name"] for stage in by_text["items"][0]["live_in"]] == ["dev", "prod"]
    by_name = await get(api, f"/api/projects/{project}/tags?text=v&limit=2")
    assert [one["tag"] for one in by_name["items"]] == ["v1", "v2"]
    # The cursor of one order is of no use in the other.
    await get(api, f"{path}&cursor={by_name['next']}", 422)
    await get(api, f"/api/projects/{project}/tags?order=oldest", 422)


# Patterns.


async def test_a_pattern_is_held_against_tags_and_pushes(api: Api) -> None:
    project, (dev, prod) = await make(api, dev="main*", prod="v*")
    await push(api, "main", "v1.0", "v2.0", "other")

    found = await get(api, f"/api/projects/{project}/pattern?pattern=v1.*&stage={prod}")
    assert (found["matching"], found["tags"], found["newest"]) == (1, 4, ["v1.0"])
    assert found["pushes"] == 4
    (diverted,) = found["elsewhere"]
    assert (diverted["tag"], diverted["went_to"], diverted["would_go_to"]) == (
        "v2.0",
        {"id": prod, "name": "prod"},
        None,
    )
    assert found["summary"] == (
        "of the last 4 pushes, 1 would have gone elsewhere: v2.0 went to prod and would go to no"
        " stage"
    )

    new = await get(api, f"/api/projects/{project}/pattern?pattern=*&position=-1&name=all")
    assert (new["matching"], len(new["elsewhere"])) == (4, 4)
    assert {one["would_go_to"]["name"] for one in new["elsewhere"]} == {"all"}
    assert any("stage dev (main*) will never get a tag" in one for one in new["warnings"])

    same = await get(api, f"/api/projects/{project}/pattern?pattern=main*&stage={dev}")
    assert (same["elsewhere"], same["summary"], same["warnings"]) == ([], "", [])


@pytest.mark.parametrize("pattern", ["[a", "semver:nonsense", "regex:(", "", "x" * 300])
async def test_a_malformed_pattern_is_refused_with_its_field(api: Api, pattern: str) -> None:
    project, _ = await make(api, dev="*")
    answer = await get(api, f"/api/projects/{project}/pattern?pattern={pattern}", 422)
    assert [error["field"] for error in answer["errors"]] == ["pattern"]


async def test_a_stage_of_another_project_cannot_be_previewed(api: Api) -> None:
    project, _ = await make(api, dev="*")
    _, (foreign,) = await make(api, "other", dev="*")
    answer = await get(api, f"/api/projects/{project}/pattern?pattern=*&stage={foreign}", 422)
    assert answer["errors"][0]["field"] == "stage"


async def test_the_newest_matching_tags_are_shown_by_version(api: Api) -> None:
    project, (dev,) = await make(api, dev="*")
    await push(api, *(f"1.{number}.0" for number in range(25)), "1.3.1")

    path = f"/api/projects/{project}/pattern?stage={dev}&pattern="
    found = await get(api, f"{path}semver:>=1.0.0")
    assert found["matching"] == 26
    assert found["newest"] == [f"1.{number}.0" for number in range(24, 4, -1)]
    assert (await get(api, f"{path}1.3.*"))["newest"] == ["1.3.1", "1.3.0"]


async def test_what_a_poll_deployed_is_a_push_too(api: Api) -> None:
    project, (dev, prod) = await make(api, dev="main", prod="v*")
    await put_deploy(api, replace(deploy_record(project, prod, "v1"), trigger=Trigger.POLL))
    await put_deploy(api, replace(deploy_record(project, prod, "v2"), trigger=Trigger.MANUAL))

    found = await get(api, f"/api/projects/{project}/pattern?pattern=*&stage={dev}")
    assert [one["tag"] for one in found["elsewhere"]] == ["v1"]


async def test_a_saved_pattern_names_the_pushes_that_would_have_gone_elsewhere(api: Api) -> None:
    project, (dev, prod) = await make(api, dev="main", prod="v*")
    await push(api, "main", "v1")

    changed = (await api.caller.patch(f"/api/stages/{dev}", {"tag_pattern": "*"})).json
    assert "v1 went to prod and would go to dev" in changed["preview"]["summary"]
    assert [one["tag"] for one in changed["preview"]["elsewhere"]] == ["v1"]
    # Neither another field nor a pattern without effect has a preview.
    other = (await api.caller.patch(f"/api/stages/{dev}", {"watch_s": 3})).json
    assert other["preview"] is None
    again = (await api.caller.patch(f"/api/stages/{dev}", {"tag_pattern": "ma*"})).json
    assert again["preview"] is None
    body = {"name": "first", "tag_pattern": "v1*", "position": -5}
    made = (await api.caller.post(f"/api/projects/{project}/stages", body)).json
    assert made["preview"]["elsewhere"][0]["went_to"]["id"] == prod


# Comparisons.


def described(revision: str, **more: Any) -> MemoryImage:  # noqa: ANN401 - any field of an image
    labels = {REVISION: revision, SOURCE: "https://git.example.com/acme/app"}
    return MemoryImage(info=ImageInfo(labels=labels, **more))


async def on_engine(api: Api, tag: str, image: MemoryImage) -> None:
    api.engine.publish(IMAGE, digest_of(tag), image)
    await api.engine.pull(IMAGE, digest_of(tag), None, lambda _: None)


async def test_a_promotion_is_compared_with_what_is_live(api: Api) -> None:
    _, (staging, prod) = await make(api, staging="rc*", prod="v*")
    await on_engine(api, "v1", described("8f3c2a1", size=10, exposed=("80/tcp",)))
    await on_engine(api, "v2", described("c01d9e4", size=12, exposed=("80/tcp",), user="1000"))
    await api.caller.patch(f"/api/stages/{prod}", {"env": {"A": "1", "CACHE_URL": "old"}})
    old = await lived(api, prod, "v1")
    new = await lived(api, staging, "v2")
    changes = {
        "env": {"A": None, "CACHE_URL": "new", "SMTP_HOST": "mail"},
        "secrets": {"TOKEN": "very secret"},
        "release_command": ["migrate"],
    }
    await api.caller.patch(f"/api/stages/{prod}", changes)

    found = await get(api, f"/api/stages/{prod}/promotion?from={staging}")

    before = {"tag": "v1", "digest": digest_of("v1"), "deploy": old.deploy_id, "size": 10}
    assert found["before"] == before
    assert found["after"] == {
        "tag": "v2",
        "digest": digest_of("v2"),
        "deploy": new.deploy_id,
        "size": 12,
    }
    assert found["commits"] == {
        "before": "8f3c2a1",
        "after": "c01d9e4",
        "source": "https://git.example.com/acme/app",
        "compare_url": "https://git.example.com/acme/app/compare/8f3c2a1...c01d9e4",
    }
    assert found["env"] == {
        "added": ["SMTP_HOST", "TOKEN"],
        "removed": ["A"],
        "changed": ["CACHE_URL"],
    }
    assert found["image"] == [
        {"field": "user", "change": "changed", "before": "root", "after": "1000"}
    ]
    assert "very secret" not in str(found)
    assert found["release_command"] is True
    assert (found["changes_nothing"], found["unknown"]) == (False, "")

    pending = await get(api, f"/api/stages/{prod}/pending")
    assert pending["count"] == len(pending["changes"]) == 5
    assert (pending["deploy"], pending["tag"], pending["reason"]) == (old.deploy_id, "v1", "")
    assert {one["field"]: (one["before"], one["after"]) for one in pending["changes"]} == {
        "env.A": ("1", None),
        "env.CACHE_URL": ("old", "new"),
        "env.SMTP_HOST": (None, "mail"),
        "secrets.TOKEN": (None, "***"),
        "release_command": (None, '["migrate"]'),
    }


async def test_a_promotion_of_the_same_changes_nothing(api: Api) -> None:
    _, (staging, prod) = await make(api, staging="rc*", prod="v*")
    await on_engine(api, "v1", described("8f3c2a1"))
    await lived(api, staging, "v1")
    await lived(api, prod, "v1")

    found = await get(api, f"/api/stages/{prod}/promotion?from={staging}")
    assert found["changes_nothing"] is True
    assert found["commits"]["compare_url"] is None
    assert (found["image"], found["config"]) == ([], [])
    assert (await get(api, f"/api/stages/{prod}/pending"))["count"] == 0


async def test_what_cannot_be_promoted_is_refused_like_the_order(api: Api) -> None:
    _, (staging, prod) = await make(api, staging="rc*", prod="v*")
    for source in (staging, prod):
        path = f"/api/stages/{prod}/promotion?from={source}"
        shown = await get(api, path, 409)
        ordered = await api.caller.post(f"/api/stages/{prod}/promote", {"from": source})
        assert shown["detail"] == ordered.json["detail"]
    await get(api, f"/api/stages/{prod}/promotion", 422)


async def test_an_image_that_nobody_describes_is_said_and_does_not_stop_the_rest(
    api: Api,
) -> None:
    _, (staging, prod) = await make(api, staging="rc*", prod="v*")
    await lived(api, staging, "v2")
    await lived(api, prod, "v1")
    api.engine.fail("inspect_image", EngineUnavailableError("the engine is away"))

    found = await get(api, f"/api/stages/{prod}/promotion?from={staging}")
    assert "the image could not be described: there is no" in found["unknown"]
    assert found["before"]["size"] is None
    assert found["changes_nothing"] is False


async def test_the_changes_of_a_deploy_compare_it_with_what_it_replaced(api: Api) -> None:
    project, (prod,) = await make(api, prod="v*")
    await on_engine(api, "v1", described("1"))
    await on_engine(api, "v2", described("2"))
    old = await lived(api, prod, "v1", InstanceState.STOPPED)
    new = await lived(api, prod, "v2", replaced=(old.id,))
    queued = await put_deploy(api, deploy_record(project, prod, "v3", DeployStatus.QUEUED))
    await api.store.write(lambda tx: tx.put_deploy(replace(queued, digest=None)))
    failed = await put_deploy(api, deploy_record(project, prod, "v4", DeployStatus.FAILED))

    async def sides(deploy: Deploy | str) -> tuple[Any, Any]:
        key = deploy if isinstance(deploy, str) else deploy.id
        found = await get(api, f"/api/deploys/{key}/changes")
        return found["before"] and found["before"]["tag"], found["after"]["tag"]

    assert await sides(new.deploy_id) == ("v1", "v2")
    assert await sides(old.deploy_id) == (None, "v1")
    assert await sides(queued) == ("v2", "v3")
    assert await sides(failed) == ("v2", "v4")
    not_resolved = await get(api, f"/api/deploys/{queued.id}/changes")
    assert "the digest of v3 is not known yet" in not_resolved["unknown"]
    assert not_resolved["after"]["digest"] is None


async def test_nothing_is_pending_where_nothing_is_live_and_unknown_is_not_none(api: Api) -> None:
    _, (dev, prod) = await make(api, dev="*", prod="v*")
    empty = await get(api, f"/api/stages/{prod}/pending")
    assert (empty["deploy"], empty["count"], empty["reason"]) == (None, 0, "")
    instance = await lived(api, dev, "v1")
    other = replace(instance, id=new_id(), deploy_id="")
    deploy = await put_deploy(api, deploy_record(other.project_id, dev, "v1"))
    await api.store.write(lambda tx: tx.add_instance(replace(other, deploy_id=deploy.id)))
    unknown = await get(api, f"/api/stages/{dev}/pending")
    assert unknown["reason"] == "the configuration of what is live was not recorded"


# Notes.


async def test_a_note_is_kept_with_each_order(api: Api) -> None:
    _, (staging, prod) = await make(api, staging="rc*", prod="v*")
    await lived(api, staging, "v2")
    await lived(api, prod, "v1", InstanceState.STOPPED)
    await lived(api, prod, "v3", hour=3)
    await api.store.write(lambda tx: tx.note_pull(IMAGE, digest_of("v1"), NOON))
    orders = {
        "promote": {"from": staging, "note": "for the fair"},
        "deploys": {"tag": "v9", "note": "by hand\nin two lines"},
        "rollback": {"note": "v3 is slow"},
    }
    for order, body in orders.items():
        made = await api.caller.post(f"/api/stages/{prod}/{order}", body)
        assert made.status == 202, made.body
        shown = await get(api, f"/api/deploys/{made.json['id']}")
        assert shown["note"] == body["note"], order
    plain = await api.caller.post(f"/api/stages/{staging}/deploys", {"tag": "v9"})
    assert plain.json["note"] == ""
    # One that merges gives its note to the deploy that waits.
    merged = await api.caller.post(f"/api/stages/{staging}/deploys", {"tag": "v9", "note": "now"})
    assert (merged.json["id"], merged.json["note"]) == (plain.json["id"], "now")


@pytest.mark.parametrize("note", ["x" * 501, "bell\x07", "nul\x00", 5, None])
async def test_a_note_that_cannot_be_kept_is_refused(api: Api, note: object) -> None:
    _, (prod,) = await make(api, prod="v*")
    answer = await api.caller.post(f"/api/stages/{prod}/deploys", {"tag": "v1", "note": note})
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "note"
    longest = {"tag": "v1", "note": "ü" * 500}
    assert (await api.caller.post(f"/api/stages/{prod}/deploys", longest)).status == 202


# Who was heard.


async def test_senders_and_registries_say_when_they_were_heard_last(api: Api) -> None:
    await make(api, dev="*")
    made = await api.caller.post(
        "/api/registries", {"name": "forge", "url": "https://git.example.com", "kind": "gitea"}
    )
    assert (await get(api, "/api/heard"))["registries"] == [
        {
            "host": "git.example.com",
            "registry": {"id": made.json["id"], "name": "forge"},
            "last": None,
            "silent": None,
        }
    ]
    await push(api, "v1", "v2")
    await api.anonymous.post(await webhook(api), {"nonsense": True})

    heard = await get(api, "/api/heard")
    (sender,) = heard["senders"]
    assert (sender["sender"], sender["host"]) == ("native", "git.example.com")
    newest = (await get(api, "/api/deliveries"))["items"][1]
    assert sender["delivery"] == newest["id"]
    assert heard["registries"][0]["last"] == sender


async def silent_for_days(api: Api, host: str = "git.example.com") -> datetime:
    now = datetime.now(UTC)
    called = now - timedelta(days=3, minutes=5)
    finds = PollFinds(
        host=host,
        first_at=now - timedelta(days=2),
        last_at=now - timedelta(hours=1),
        pushes=4,
    )

    def work(tx: Tx) -> None:
        tx.note_call(HeardCall(host=host, sender="gitea", at=called, delivery_id="d"))
        tx.put_poll_finds(finds)

    await api.store.write(work)
    return called


async def test_a_silent_registry_needs_a_person_until_it_calls(api: Api) -> None:
    await make(api, dev="*")
    body = {"name": "forge", "url": "https://git.example.com", "kind": "gitea"}
    registry = (await api.caller.post("/api/registries", body)).json["id"]
    await silent_for_days(api)

    (need,) = await needs(api, "silent")
    assert need["sentence"] == (
        "Registry forge has not called for 3 days; polling found 4 pushes it did not report."
    )
    assert (need["target"], need["target_id"]) == ("registry", registry)
    assert "tagboat webhook url" in need["todo"]
    heard = await get(api, "/api/heard")
    assert heard["registries"][0]["silent"] == need["sentence"]

    await push(api, "v1")
    assert await needs(api, "silent") == []


async def test_a_project_with_a_webhook_of_its_own_is_expected_to_call(api: Api) -> None:
    project, _ = await make(api, dev="*")
    now = datetime.now(UTC)
    finds = PollFinds(
        host="git.example.com",
        first_at=now - timedelta(days=1),
        last_at=now - timedelta(hours=1),
        pushes=1,
    )
    await api.store.write(lambda tx: tx.put_poll_finds(finds))
    assert await needs(api, "silent") == []

    hook = ProjectWebhook(
        id=new_id(),
        project_id=project,
        name="ci",
        secret_hash="h",
        created_at=now - timedelta(days=9),
    )
    await api.store.write(lambda tx: tx.add_hook(hook))
    (need,) = await needs(api, "silent")
    assert need["sentence"] == (
        "Registry git.example.com has never called, although there is a webhook URL for it;"
        " polling found 1 push it did not report."
    )


# What needs a person.


async def needs(api: Api, *kinds: str, query: str = "") -> list[Any]:
    found = (await get(api, f"/api/overview{query}"))["needs"]
    return [need for need in found if need["kind"] in kinds]


async def test_everything_that_needs_a_person_is_one_list(api: Api) -> None:
    project, (dev, prod) = await make(api, dev="*", prod="v*")
    now = datetime.now(UTC)
    live = await lived(api, prod, "v1")
    failed = replace(
        deploy_record(project, prod, "v2", DeployStatus.FAILED),
        reason="not healthy within 60 s: connection refused.",
        finished_at=now,
    )
    await put_deploy(api, failed)
    await api.store.write(partial(in_trouble, live.id))
    await api.caller.post(f"/api/stages/{dev}/hold", {})
    await push(api, "main", "main-2")
    backoff = RegistryBackoff(host="git.example.com", failures=3, error="no answer")
    await api.store.write(lambda tx: tx.put_registry_backoff(backoff))

    found = (await get(api, "/api/overview"))["needs"]

    assert [need["kind"] for need in found] == ["failed", "unhealthy", "held", "registry", "disk"]
    failure, trouble, held, registry, disk = found
    assert failure["sentence"] == (
        "v2 failed: not healthy within 60 s: connection refused. v1 serves."
    )
    assert (failure["project"]["name"], failure["stage"]["name"]) == ("app", "prod")
    assert (failure["target"], failure["target_id"]) == ("deploy", failed.id)
    assert (trouble["sentence"], trouble["target_id"]) == ("v1: it restarts again and again", prod)
    assert held["sentence"] == "The stage is held; 2 pushes came meanwhile: newest main-2."
    assert held["todo"] == "tagboat release app dev"
    assert registry["sentence"] == "polls of git.example.com fail: no answer"
    assert (registry["target_id"], registry["stage"]) == ("git.example.com", None)
    assert (disk["target_id"], disk["since"]) == ("engine", None)

    only = (await get(api, "/api/overview?project=app&stage=dev"))["needs"]
    assert [need["kind"] for need in only] == ["held"]
    assert (await get(api, "/api/overview?project=nothing"))["needs"] == []
    first = await get(api, "/api/overview?limit=1")
    assert len(first["needs"]) == 5
    assert (await get(api, f"/api/overview?limit=1&cursor={first['next']}"))["needs"] == []


async def test_a_stopped_stage_needs_nobody_but_for_what_came_since(api: Api) -> None:
    project, (prod,) = await make(api, prod="v*")
    failed = replace(
        deploy_record(project, prod, "v2", DeployStatus.FAILED), finished_at=datetime.now(UTC)
    )
    await put_deploy(api, failed)
    assert len(await needs(api, "failed")) == 1
    await api.caller.post(f"/api/stages/{prod}/stop")
    assert await needs(api, "failed", "waiting") == []
    await push(api, "v3")
    (waiting,) = await needs(api, "waiting")
    assert waiting["sentence"] == "The stage is stopped; 1 push came meanwhile: v3."
    assert waiting["todo"] == "tagboat start app prod"


def in_trouble(instance_id: str, tx: Tx) -> None:
    tx.put_vitals(
        Vitals(
            instance_id=instance_id,
            running=True,
            restarting=True,
            paused=False,
            restarts=9,
            health=None,
            trouble=Trouble.CRASH_LOOP,
            detail="it restarts again and again",
            changed_at=NOON,
        )
    )


async def test_a_failure_is_gone_once_something_newer_succeeded_or_a_day_has_passed(
    api: Api,
) -> None:
    project, (dev, prod) = await make(api, dev="*", prod="v*")
    now = datetime.now(UTC)

    async def ended(stage: str, tag: str, status: DeployStatus, hours: int) -> None:
        at = now - timedelta(hours=hours)
        await put_deploy(
            api, replace(deploy_record(project, stage, tag, status), finished_at=at, reason="why")
        )

    await ended(dev, "v1", DeployStatus.FAILED, 25)
    await ended(prod, "v1", DeployStatus.FAILED, 3)
    await ended(prod, "v2", DeployStatus.FAILED, 2)
    # Only the latest of a stage.
    (need,) = await needs(api, "failed")
    assert need["sentence"] == "v2 failed: why. Nothing serves."
    await ended(prod, "v3", DeployStatus.SUPERSEDED, 1)
    assert len(await needs(api, "failed")) == 1
    await ended(prod, "v4", DeployStatus.SUCCEEDED, 1)
    assert await needs(api, "failed") == []


async def test_needs_take_as_many_statements_however_many_there_are(api: Api) -> None:
    project, stages = await make(api, **{f"s{number}": f"{number}*" for number in range(6)})
    now = datetime.now(UTC)

    async def fail(stage: str) -> None:
        failed = deploy_record(project, stage, "v1", DeployStatus.FAILED)
        await put_deploy(api, replace(failed, finished_at=now))

    await fail(stages[0])
    await get(api, "/api/overview")
    with statements() as few:
        assert len(await needs(api, "failed")) == 1
    for stage in stages[1:]:
        await fail(stage)
    with statements() as many:
        assert len(await needs(api, "failed")) == 6
    assert len(few) == len(many)
