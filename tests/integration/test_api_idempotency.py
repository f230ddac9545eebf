"""An order that is sent twice with one Idempotency-Key is carried out once; Location of orders."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tagboat.api.app import SECRET_ANSWERS, api_routes
from tagboat.api.locations import location_template
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.idempotency import RememberedAnswer
from tests.support.api import ADMIN, Api, running_api
from tests.support.asgi import Answer, Caller

pytestmark = pytest.mark.anyio
APP = {"name": "app", "image": "git.example.com/acme/app"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def order(api: Api, path: str, body: object, key: str = "key-1") -> Answer:
    return await api.caller.call("POST", path, body, headers={"idempotency-key": key})


def route_of(path: str) -> str:
    return f"POST {path} by {ADMIN.kind} {ADMIN.name}"


async def stage(api: Api) -> str:
    project = (await api.caller.post("/api/projects", APP)).json["id"]
    made = await api.caller.post(
        f"/api/projects/{project}/stages", {"name": "dev", "tag_pattern": "*"}
    )
    return str(made.json["id"])


async def deploys(api: Api) -> list[str]:
    items = (await api.caller.get("/api/deploys")).json["items"]
    return [item["id"] for item in items]


async def test_the_same_key_and_body_gives_the_same_answer_and_acts_once(api: Api) -> None:
    path = f"/api/stages/{await stage(api)}/deploys"
    first = await order(api, path, {"tag": "v1"})
    second = await order(api, path, {"tag": "v1"})
    other = await order(api, path, {"tag": "v1"}, "key-2")

    assert first.status == 202
    assert (second.status, second.body) == (first.status, first.body)
    assert second.headers["location"] == first.headers["location"]
    assert second.headers["idempotency-replayed"] == "true"
    assert other.status == 202
    assert "idempotency-replayed" not in other.headers


async def test_a_project_is_created_once(api: Api) -> None:
    first = await order(api, "/api/projects", APP)
    second = await order(api, "/api/projects", APP)

    assert (first.status, second.status) == (201, 201)
    assert first.json == second.json
    assert first.headers["location"] == f"/api/projects/{first.json['id']}"
    assert len((await api.caller.get("/api/projects")).json["items"]) == 1


async def test_another_body_is_refused(api: Api) -> None:
    path = f"/api/stages/{await stage(api)}/deploys"
    await order(api, path, {"tag": "v1"})
    answer = await order(api, path, {"tag": "v2"})

    assert (answer.status, answer.json["type"]) == (422, "/problems/key-reused")
    assert len(await deploys(api)) == 1


async def test_it_holds_over_a_restart(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        path = f"/api/stages/{await stage(api)}/deploys"
        first = await order(api, path, {"tag": "v1"})
    with running_api(tmp_path) as api:
        second = await order(api, path, {"tag": "v1"})
        assert (second.status, second.json) == (202, first.json)
        assert len(await deploys(api)) == 1


async def test_what_did_nothing_may_be_repeated(api: Api) -> None:
    refused = await order(api, "/api/projects", {"name": "app"})
    made = await order(api, "/api/projects", APP)

    assert (refused.status, made.status) == (422, 201)


async def test_an_order_that_was_cut_off_is_not_carried_out_again(api: Api) -> None:
    path = f"/api/stages/{await stage(api)}/deploys"
    first = await order(api, path, {"tag": "v1"})
    cut_off = await api.store.read(lambda reader: reader.remembered_answer("key-1", route_of(path)))
    assert cut_off is not None
    claim = RememberedAnswer(
        key="key-2",
        route=cut_off.route,
        fingerprint=cut_off.fingerprint,
        status=0,
        body="",
        at=datetime.now(UTC),
    )
    await api.store.write(lambda tx: tx.remember_answer(claim))
    again = await order(api, path, {"tag": "v1"}, "key-2")

    assert (again.status, again.json["type"]) == (409, "/problems/conflict")
    assert await deploys(api) == [first.json["id"]]


async def test_the_key_of_another_caller_answers_nobody_else(api: Api) -> None:
    path = f"/api/stages/{await stage(api)}/deploys"
    other = {"name": "other", "image": "git.example.com/acme/other"}
    mine = (await api.caller.post("/api/projects", other)).json["id"]
    rights: list[dict[str, object]] = [{}, {"projects": [mine]}]
    tokens = [
        (await api.caller.post("/api/tokens", {"name": f"t{n}", "role": "deployer", **right})).json
        for n, right in enumerate(rights)
    ]
    headers = {"idempotency-key": "1"}
    first = await order(api, path, {"tag": "v1"}, "1")
    free, limited = [
        await Caller(api.app, token["token"]).call("POST", path, {"tag": "v1"}, headers=headers)
        for token in tokens
    ]

    assert (first.status, free.status, limited.status) == (202, 202, 403)
    assert "idempotency-replayed" not in free.headers


async def test_an_answer_with_a_secret_is_not_kept(api: Api) -> None:
    project = (await api.caller.post("/api/projects", APP)).json["id"]
    path = f"/api/projects/{project}/webhooks"
    first = await order(api, path, {"name": "ci"})
    second = await order(api, path, {"name": "ci"})

    assert (first.status, second.status) == (201, 409)
    assert "held a secret" in second.json["detail"]
    assert len((await api.caller.get(path)).json["items"]) == 1
    kept = await api.store.read(lambda reader: reader.remembered_answer("key-1", route_of(path)))
    assert kept is not None
    assert (kept.status, kept.body) == (201, "")


async def test_no_route_whose_answer_shows_a_secret_is_forgotten(api: Api) -> None:
    document = (await api.caller.get("/api/openapi.json")).json
    shown: set[str] = set()
    for path, of_path in document["paths"].items():
        for answer in of_path.get("post", {}).get("responses", {}).values():
            schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
            name = schema.get("$ref", "").rpartition("/")[2]
            fields = document["components"]["schemas"].get(name, {}).get("properties", {})
            if fields.keys() & {"token", "secret", "url"} and name != "RegistryOut":
                shown.add(path)
    assert len(shown) >= 6
    assert {path for path in shown if not SECRET_ANSWERS.search(path)} == set()


@pytest.mark.parametrize("key", ["", "x" * 201, "\u00e9", "a\tb"])
async def test_a_key_that_cannot_be_one_is_refused(api: Api, key: str) -> None:
    answer = await order(api, "/api/projects", APP, key)

    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"
    assert (await api.caller.get("/api/projects")).json["items"] == []


async def test_an_answer_that_is_a_stream_takes_no_key(api: Api) -> None:
    answer = await order(api, f"/api/stages/{await stage(api)}/runs", {"command": ["true"]})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert "leave the header out" in answer.json["detail"]


async def test_a_body_too_large_and_a_database_out_of_reach_are_said(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = await order(api, "/api/projects", b"x" * ((1 << 20) + 1))
    assert (large.status, large.json["type"]) == (413, "/problems/too-large")

    async def away(*_: object) -> object:
        raise StoreUnavailableError("the database cannot be reached")

    monkeypatch.setattr(type(api.store), "write", away)
    out = await order(api, "/api/projects", APP)
    assert (out.status, out.json["type"]) == (503, "/problems/database-unavailable")


async def test_each_order_has_the_location_of_what_it_made(api: Api) -> None:
    made = await api.caller.post("/api/projects", APP)
    project = made.json["id"]
    registry = await api.caller.post(
        "/api/registries", {"name": "forge", "url": "https://git.example.com"}
    )
    hook = await api.caller.post(f"/api/projects/{project}/webhooks", {"name": "ci"})
    lane = await api.caller.post(
        f"/api/projects/{project}/stages", {"name": "dev", "tag_pattern": "*"}
    )
    stopped = await api.caller.post(f"/api/stages/{lane.json['id']}/stop")
    deploy = await api.caller.post(f"/api/stages/{lane.json['id']}/deploys", {"tag": "v1"})
    token = await api.caller.post("/api/tokens", {"name": "ci", "role": "viewer"})

    for answer in (made, registry, hook, lane, deploy, token, stopped):
        assert answer.status in {201, 202}
        assert (await api.caller.get(answer.headers["location"])).json["id"] == answer.json["id"]
    cancelled = await api.caller.post(f"/api/stages/{lane.json['id']}/cancel")
    (found,) = (await api.caller.get(cancelled.headers["location"])).json["items"]
    assert found["id"] == deploy.json["id"]
    assert (await api.caller.call("DELETE", token.headers["location"])).status == 204


def test_each_route_that_creates_has_a_location() -> None:
    paths = api_routes("1").openapi()["paths"]
    posted = {path: of["post"]["responses"] for path, of in paths.items() if "post" in of}
    creating = [path for path, answers in posted.items() if answers.keys() & {"201", "202"}]
    assert len(creating) >= 6
    assert [path for path in creating if location_template(path) is None] == []


async def test_what_is_kept_of_a_body_says_nothing_of_a_password(api: Api) -> None:
    body = {"name": "ada", "role": "viewer", "password": "correct horse battery"}
    await order(api, "/api/users", body)
    kept = await api.store.read(
        lambda reader: reader.remembered_answer("key-1", route_of("/api/users"))
    )
    assert kept is not None
    guesses = [json.dumps(body).encode(), json.dumps(body, separators=(",", ":")).encode()]
    plain = [hashlib.sha256(b"\0" + guess).hexdigest() for guess in guesses]
    assert kept.fingerprint not in plain
