"""Projects, their tags and polls, over HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.catalog import KnownTag, Stage, judged_tag
from tagboat.core.deploy import InstanceState, TakenBack
from tagboat.core.errors import EngineUnavailableError, StoreUnavailableError
from tagboat.core.image import Digest
from tagboat.core.polling import Change, PollReport, PollState, TagReport
from tagboat.core.push import Outcome, PushVerdict, Source
from tagboat.core.tags import parse_tag_pattern
from tests.support.api import UNSAID, Api, running_api
from tests.support.records import put_instance

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def make(api: Api, name: str = "app", **more: object) -> Any:  # noqa: ANN401 - JSON
    answer = await api.caller.post(
        "/api/projects", {"name": name, "image": f"git.example.com/acme/{name}", **more}
    )
    assert answer.status == 201, answer.body
    return answer.json


async def test_a_project_is_made_and_shown_as_the_contract_says(api: Api) -> None:
    api.polls.due = NOON

    made = await make(api, port=8080, healthcheck="/up", env={"MODE": "test", "EMPTY": ""})

    assert made | {"id": "", "created_at": ""} == {
        "id": "",
        "name": "app",
        "image": "git.example.com/acme/app",
        "port": 8080,
        "port_set": True,
        "healthcheck": "/up",
        "healthcheck_set": True,
        "protocol_set": False,
        "protocol": "http",
        "env": {"MODE": "test", "EMPTY": ""},
        "registry": None,
        "poll": {"last_at": None, "next_at": "2026-05-01T12:00:00Z", "error": None},
        "created_at": "",
        **UNSAID,
    }
    assert made["created_at"].endswith("Z")
    assert (await api.caller.get(f"/api/projects/{made['id']}")).json == made
    assert (await api.caller.get(f"/api/projects/{made['id']}/stages")).json["items"] == []


async def test_short_names_of_images_are_completed(api: Api) -> None:
    answer = await api.caller.post("/api/projects", {"name": "web", "image": "nginx"})

    assert answer.json["image"] == "docker.io/library/nginx"


async def test_the_image_fills_in_what_was_not_said(api: Api) -> None:
    silent, told, half = (
        await make(api, "a"),
        await make(api, "b", port=0),
        await make(api, "c", healthcheck="/up"),
    )

    projects = {
        project.id: project for project in await api.store.read(lambda reader: reader.projects())
    }

    assert not projects[silent["id"]].inspected
    assert projects[told["id"]].inspected
    assert not projects[half["id"]].inspected
    set_by_hand = {key: (one.port_set, one.healthcheck_set) for key, one in projects.items()}
    assert set_by_hand == {
        silent["id"]: (False, False),
        told["id"]: (True, False),
        half["id"]: (False, True),
    }


async def test_port_and_healthcheck_can_be_given_back_to_the_image(api: Api) -> None:
    made = await make(api, port=8080, healthcheck="/up")
    changed = await api.caller.patch(f"/api/projects/{made['id']}", {"port_set": False})
    assert changed.json == made | {"port_set": False}  # what it is stays until the next deploy
    changed = await api.caller.patch(f"/api/projects/{made['id']}", {"healthcheck_set": False})
    assert changed.json == made | {"port_set": False, "healthcheck_set": False}
    changed = await api.caller.patch(
        f"/api/projects/{made['id']}", {"port": 9090, "healthcheck": "", "port_set": True}
    )
    assert changed.json == made | {"port": 9090, "healthcheck": ""}
    refused = await api.caller.patch(f"/api/projects/{made['id']}", {"port": 1, "port_set": False})
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "port_set")


async def test_a_path_needs_a_port_once_the_port_is_known(api: Api) -> None:
    answer = await api.caller.post(
        "/api/projects", {"name": "app", "image": "nginx", "port": 0, "healthcheck": "/up"}
    )
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "healthcheck")

    made = await make(api, healthcheck="/up")
    refused = await api.caller.patch(f"/api/projects/{made['id']}", {"port": 0})
    assert refused.status == 422
    assert (await api.caller.patch(f"/api/projects/{made['id']}", {"port": 80})).status == 200


async def test_a_project_and_its_first_stages_are_made_together(api: Api) -> None:
    stages = [
        {"name": "dev", "tag_pattern": "*", "position": 5},
        {"name": "prod", "tag_pattern": "semver:>=1.0.0"},
    ]
    body = {"name": "app", "image": "git.example.com/acme/app", "stages": stages}

    made = await api.caller.post("/api/projects", body)

    assert made.status == 201
    assert [(stage["name"], stage["position"]) for stage in made.json["stages"]] == [
        ("dev", 5),
        ("prod", 0),
    ]
    listed = await api.caller.get(f"/api/projects/{made.json['id']}/stages")
    assert [stage["name"] for stage in listed.json["items"]] == ["prod", "dev"]


@pytest.mark.parametrize(
    ("stages", "status", "field"),
    [
        ([{"name": "dev", "tag_pattern": "semver:>>1"}], 422, "stages.0.tag_pattern"),
        ([{"name": "dev", "tag_pattern": "["}], 422, "stages.0.tag_pattern"),
        (
            [{"name": "dev", "tag_pattern": "*"}, {"name": "-", "tag_pattern": "*"}],
            422,
            "stages.1.name",
        ),
        ([{"name": "dev", "tag_pattern": "*", "ttl_h": 3}], 422, "ttl_h"),
        (
            [{"name": "dev", "tag_pattern": "*", "env": {"A": "1"}, "secrets": {"A": "2"}}],
            422,
            "secrets",
        ),
        ([{"name": "dev", "tag_pattern": "*"}] * 2, 409, None),
        ([{"name": f"s{number}", "tag_pattern": "*"} for number in range(21)], 422, "stages"),
        ("dev", 422, "stages"),
    ],
)
async def test_where_a_first_stage_cannot_be_made_nothing_is(
    api: Api, stages: object, status: int, field: str | None
) -> None:
    body = {"name": "app", "image": "git.example.com/acme/app", "stages": stages}
    refused = await api.caller.post("/api/projects", body)
    assert refused.status == status
    if field is not None:
        assert [error["field"] for error in refused.json["errors"]] == [field]
    assert (await api.caller.get("/api/projects")).json["items"] == []
    assert (await api.caller.post("/api/projects", {**body, "stages": []})).status == 201


async def test_names_and_images_are_unique(api: Api) -> None:
    await make(api, "app")
    other = await make(api, "other")

    same_name = await api.caller.post("/api/projects", {"name": "app", "image": "nginx"})
    same_image = await api.caller.post(
        "/api/projects", {"name": "new", "image": "GIT.example.com/acme/app"}
    )
    renamed = await api.caller.patch(f"/api/projects/{other['id']}", {"name": "app"})

    assert (same_name.status, same_name.json["detail"]) == (
        409,
        (
            "there is a project named app already, which deploys git.example.com/acme/app; "
            "give this one another name"
        ),
    )
    assert same_image.status == 409
    assert same_image.json["detail"] == (
        "the project app deploys the image git.example.com/acme/app already, and an "
        "image has one project: "
        "add a stage to it with 'tagboat stages add app NAME --pattern PATTERN'"
    )
    assert renamed.status == 409


async def test_an_unknown_registry_is_an_unusable_value(api: Api) -> None:
    for registry in ("0" * 24, "", "no id"):
        answer = await api.caller.post(
            "/api/projects", {"name": "app", "image": "nginx", "registry": registry}
        )
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "registry")


async def test_a_registry_is_named_and_unnamed(api: Api) -> None:
    registry = (
        await api.caller.post("/api/registries", {"name": "Ours", "url": "https://git.example.com"})
    ).json
    made = await make(api, registry=registry["id"])
    assert made["registry"] == registry["id"]

    changed = await api.caller.patch(f"/api/projects/{made['id']}", {"registry": None})

    assert changed.json["registry"] is None


async def test_a_change_leaves_the_rest_alone(api: Api) -> None:
    made = await make(api, port=80, env={"A": "1"})

    changed = (await api.caller.patch(f"/api/projects/{made['id']}", {"healthcheck": "image"})).json

    assert changed == made | {"healthcheck": "image", "healthcheck_set": True}
    assert (await api.caller.patch(f"/api/projects/{made['id']}", {})).json == changed
    cleared = (await api.caller.patch(f"/api/projects/{made['id']}", {"env": {"A": None}})).json
    assert cleared["env"] == {}


@pytest.mark.parametrize(
    ("given", "status"), [("h2c", 200), ("https", 200), ("http", 200), ("h2", 422), (None, 422)]
)
async def test_the_protocol_is_one_of_three(api: Api, given: str | None, status: int) -> None:
    made = await make(api)
    changed = await api.caller.patch(f"/api/projects/{made['id']}", {"protocol": given})
    assert changed.status == status
    if status == 200:
        assert changed.json["protocol"] == given


@pytest.mark.parametrize("field", ["name", "image", "port", "healthcheck"])
async def test_null_is_no_value(api: Api, field: str) -> None:
    made = await make(api)

    assert (await api.caller.patch(f"/api/projects/{made['id']}", {field: None})).status == 422
    assert (await api.caller.get(f"/api/projects/{made['id']}")).json == made


async def test_another_image_makes_its_tags_unknown(api: Api) -> None:
    made = await make(api)
    await know(api, made["id"], "v1")

    await api.caller.patch(f"/api/projects/{made['id']}", {"name": "renamed"})
    assert len((await api.caller.get(f"/api/projects/{made['id']}/tags")).json["items"]) == 1
    await api.caller.patch(f"/api/projects/{made['id']}", {"image": "nginx"})
    assert (await api.caller.get(f"/api/projects/{made['id']}/tags")).json["items"] == []


async def test_tags_come_in_pages(api: Api) -> None:
    made = await make(api)
    for number in range(5):
        await know(api, made["id"], f"v{number}")

    first = (await api.caller.get(f"/api/projects/{made['id']}/tags?limit=3")).json
    second = (
        await api.caller.get(f"/api/projects/{made['id']}/tags?limit=3&cursor={first['next']}")
    ).json

    assert [item["tag"] for item in first["items"]] == ["v0", "v1", "v2"]
    assert [item["tag"] for item in second["items"]] == ["v3", "v4"]
    assert second["next"] is None
    assert first["items"][0] == {
        "tag": "v0",
        "digest": None,
        "first_seen": "2026-05-01T12:00:00Z",
        "source": "webhook",
        "reason": "the project app has no stage yet",
        "live_in": [],
        "last": None,
    }


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (
            "v1",
            (
                "tag v1 matches v*: a push of it is deployed to the stage prod, while "
                "a poll deploys a known tag only if its "
                "digest changes while it is live or a pattern names it"
            ),
        ),
        ("dev-1", "tag dev-1 matches dev-*, but auto_deploy of the stage dev is off"),
        ("x", "tag x matches no stage's pattern (tried dev dev-*, prod v*)"),
    ],
)
async def test_each_tag_says_what_would_be_done_about_it_and_why(
    api: Api, tag: str, reason: str
) -> None:
    made = await make(api)
    stages = f"/api/projects/{made['id']}/stages"
    await api.caller.post(stages, {"name": "dev", "tag_pattern": "dev-*", "auto_deploy": False})
    await api.caller.post(stages, {"name": "prod", "tag_pattern": "v*"})
    await know(api, made["id"], tag)

    assert (await api.caller.get(f"/api/projects/{made['id']}/tags")).json["items"][0][
        "reason"
    ] == reason


async def test_a_tag_says_that_its_image_was_taken_back(api: Api) -> None:
    made = await make(api)
    stage = (
        await api.caller.post(
            f"/api/projects/{made['id']}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json
    digest = Digest("sha256:" + "1" * 64)
    version = TakenBack(
        stage_id=stage["id"],
        digest=digest,
        fingerprint="f",
        tag="v1",
        reason="it sickened",
        at=NOON,
    )
    await api.store.write(lambda tx: tx.put_taken_back(version))
    verdict = PushVerdict(
        at=NOON, source=Source.WEBHOOK, outcome=Outcome.QUEUED, reason="tag v1 matches *"
    )
    await api.store.write(lambda tx: tx.record_tag(judged_tag(made["id"], "v1", digest, verdict)))

    (tag,) = (await api.caller.get(f"/api/projects/{made['id']}/tags")).json["items"]

    assert tag["reason"].startswith(
        "tag v1 matches *, but its image was taken back in the stage dev"
    )


async def test_a_tag_says_what_was_done_when_it_was_last_news(api: Api) -> None:
    made = await make(api)
    verdict = PushVerdict(
        at=NOON, source=Source.POLL, outcome=Outcome.RECORDED, reason="v2 is the higher version"
    )
    await api.store.write(lambda tx: tx.record_tag(judged_tag(made["id"], "v1", None, verdict)))

    (tag,) = (await api.caller.get(f"/api/projects/{made['id']}/tags")).json["items"]

    assert (tag["first_seen"], tag["source"]) == ("2026-05-01T12:00:00Z", "poll")
    assert tag["last"] == {
        "at": "2026-05-01T12:00:00Z",
        "source": "poll",
        "outcome": "recorded",
        "reason": "v2 is the higher version",
        "deploy": None,
    }


async def test_projects_come_in_pages_in_order_of_name(api: Api) -> None:
    for name in ("c", "a", "b"):
        await make(api, name)

    seen, cursor = [], ""
    for _ in range(3):
        page = (await api.caller.get(f"/api/projects?limit=1&cursor={cursor}")).json
        seen += [item["name"] for item in page["items"]]
        cursor = page["next"] or ""

    assert (seen, cursor) == (["a", "b", "c"], "")


async def test_a_poll_is_made_at_once_and_reported(api: Api) -> None:
    made = await make(api)
    prod = Stage(
        id="s", project_id=made["id"], name="prod", pattern=parse_tag_pattern("v*"), created_at=NOON
    )
    left = PushVerdict(
        at=NOON, source=Source.POLL, outcome=Outcome.UNMATCHED, reason="it matches nothing"
    )
    queued = PushVerdict(
        at=NOON, source=Source.POLL, outcome=Outcome.QUEUED, reason="tag v2 matches v*", deploy="d"
    )
    api.polls.report = PollReport(
        first_poll=False,
        new_tags=("v2",),
        deploys=("d",),
        tags=(
            TagReport(tag="main", change=Change.CHANGED, verdict=left),
            TagReport(tag="v2", change=Change.NEW, stage=prod, verdict=queued),
        ),
    )

    answer = await api.caller.post(f"/api/projects/{made['id']}/poll")

    assert answer.status == 200
    assert answer.json == {
        "first_poll": False,
        "new_tags": ["v2"],
        "deploys": ["d"],
        "tags": [
            {
                "tag": "main",
                "change": "changed",
                "stage": None,
                "outcome": "unmatched",
                "reason": "it matches nothing",
                "deploy": None,
            },
            {
                "tag": "v2",
                "change": "new",
                "stage": {"id": "s", "name": "prod"},
                "outcome": "queued",
                "reason": "tag v2 matches v*",
                "deploy": "d",
            },
        ],
        "error": None,
    }
    assert api.polls.asked == [made["id"]]


async def test_all_projects_are_polled_in_one_call_and_none_keeps_another(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = {}
    for name in ("b", "a"):
        body = {"name": name, "image": f"git.example.com/acme/{name}"}
        ids[name] = (await api.caller.post("/api/projects", body)).json["id"]
    poll = api.polls.poll_now

    async def refuse_one(project_id: str) -> PollReport:
        if project_id == ids["a"]:
            raise StoreUnavailableError("the database is away")
        return await poll(project_id)

    monkeypatch.setattr(type(api.polls), "poll_now", lambda _, project, _actor: refuse_one(project))
    answer = await api.caller.post("/api/poll")

    assert answer.status == 200
    assert [(one["project"], one["error"], one["new_tags"]) for one in answer.json["items"]] == [
        ({"id": ids["a"], "name": "a"}, "the database is away", []),
        ({"id": ids["b"], "name": "b"}, None, ["v1"]),
    ]


async def test_the_error_of_the_last_poll_shows(api: Api) -> None:
    made = await make(api)
    state = PollState(project_id=made["id"], last_at=NOON, error="the registry is away")
    await api.store.write(lambda tx: tx.put_poll_state(state))

    poll = (await api.caller.get(f"/api/projects/{made['id']}")).json["poll"]

    assert poll == {
        "last_at": "2026-05-01T12:00:00Z",
        "next_at": None,
        "error": "the registry is away",
    }


async def test_a_deleted_project_takes_its_containers_along(api: Api) -> None:
    made = await make(api)
    stage = (
        await api.caller.post(
            f"/api/projects/{made['id']}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json
    container = await put_instance(api, made["id"], stage["id"], InstanceState.LIVE)

    answer = await api.caller.delete(f"/api/projects/{made['id']}")

    assert (answer.status, answer.body) == (204, b"")
    assert await api.engine.status(container) is None
    assert api.abandoned == [stage["id"]]
    for path in (f"/api/projects/{made['id']}", f"/api/stages/{stage['id']}"):
        assert (await api.caller.get(path)).status == 404
    assert (await api.caller.delete(f"/api/projects/{made['id']}")).status == 404


async def test_nothing_is_deleted_while_the_engine_is_away(api: Api) -> None:
    made = await make(api)
    stage = (
        await api.caller.post(
            f"/api/projects/{made['id']}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json
    await put_instance(api, made["id"], stage["id"], InstanceState.LIVE)
    api.engine.fail("stop", EngineUnavailableError("the engine is away"))

    answer = await api.caller.delete(f"/api/projects/{made['id']}")

    assert (answer.status, answer.json["detail"]) == (503, "the engine is away")
    assert (await api.caller.get(f"/api/stages/{stage['id']}")).status == 200
    assert (await api.caller.delete(f"/api/projects/{made['id']}")).status == 204


async def know(api: Api, project_id: str, tag: str) -> None:
    known = KnownTag(project_id=project_id, tag=tag, digest=None, first_seen=NOON, source="webhook")
    await api.store.write(lambda tx: tx.record_tag(known))
