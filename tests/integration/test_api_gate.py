"""What every call passes: addresses, methods, tokens, bodies; and how the API says no."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from tagboat.api.app import api_routes
from tagboat.api.openapi import OPEN_PATHS, describe
from tagboat.core.errors import EngineUnavailableError, StoreUnavailableError
from tagboat.core.polling import RegistryBackoff
from tagboat.core.ports import Tx
from tagboat.ingress.memory import MemoryIngress
from tests.support.api import OTHER_TOKEN, TOKEN, VERSION, Api, running_api
from tests.support.asgi import Caller

pytestmark = pytest.mark.anyio
PROBLEM = "application/problem+json"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


OTHERS = {"x-forwarded-for": "192.0.2.7"}
"""What a front adds to a call that comes from another machine."""
WELL = {"database": "ok", "engine": "ok", "ingress": "none", "registries": "ok"}


async def test_health_needs_no_token(api: Api) -> None:
    answer = await api.anonymous.get("/api/health")

    assert answer.status == 200
    assert answer.json == {"status": "ok", "version": VERSION, "checks": WELL}


@pytest.mark.parametrize(
    ("token", "headers", "said"),
    [
        ("", {}, "no answer at unix:///run/hidden.sock"),
        ("", OTHERS, "out of reach; 'tagboat doctor' on the server's machine says why"),
        ("wrong", OTHERS, "out of reach; 'tagboat doctor' on the server's machine says why"),
        (TOKEN, OTHERS, "no answer at unix:///run/hidden.sock"),
    ],
)
async def test_health_is_degraded_without_the_engine_and_tells_why_whoever_may_know(
    api: Api, token: str, headers: dict[str, str], said: str
) -> None:
    api.engine.fail("version", EngineUnavailableError("no answer at unix:///run/hidden.sock"))

    answer = await Caller(api.app, token).call("GET", "/api/health", headers=headers)

    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert answer.json["checks"] == WELL | {"engine": said}


async def test_health_is_degraded_in_a_container_whose_loopback_is_not_the_engines(
    api: Api,
) -> None:
    api.engine.network = "bridge"
    answer = await api.anonymous.get("/api/health")
    assert answer.json["status"] == "degraded"
    assert "Tagboat runs in a container in the network bridge" in answer.json["checks"]["engine"]
    assert "--network host" in answer.json["checks"]["engine"]
    api.engine.network = "host"
    assert (await api.anonymous.get("/api/health")).json["status"] == "ok"


@pytest.mark.parametrize(
    ("trouble", "status"), [(None, "ok"), ("no answer at /run/hidden.sock", "degraded")]
)
async def test_health_tells_of_an_ingress_in_trouble(
    tmp_path: Path, trouble: str | None, status: str
) -> None:
    with running_api(tmp_path, MemoryIngress()) as api:
        api.ways.trouble = trouble
        answer = await api.anonymous.get("/api/health")

    assert (answer.status, answer.json["status"], answer.json["checks"]["ingress"]) == (
        200,
        status,
        trouble or "ok",
    )


async def test_health_tells_of_registries_that_failed_as_long_as_a_project_needs_them(
    api: Api,
) -> None:
    def fail(tx: Tx) -> None:
        for host in ("down.example.com", "down.example.co", "unused.example.com"):
            tx.put_registry_backoff(
                RegistryBackoff(host=host, failures=2, error="connection refused")
            )

    await api.store.write(fail)
    assert (await api.anonymous.get("/api/health")).json["status"] == "ok"
    await api.caller.post("/api/projects", {"name": "app", "image": "down.example.com/acme/app"})
    answer = await api.anonymous.get("/api/health")
    assert answer.json["status"] == "degraded"
    assert answer.json["checks"] == WELL | {"registries": "down.example.com: connection refused"}


async def test_live_and_ready_are_for_orchestrators(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.engine.fail("version", EngineUnavailableError("away"))
    alive = {"status": "ok", "version": VERSION, "checks": {}}
    assert (await api.anonymous.get("/api/health/live")).json == alive
    assert (await api.anonymous.get("/api/health/ready")).json == alive | {
        "checks": {"database": "ok"}
    }
    break_store(api, monkeypatch)
    assert (await api.anonymous.get("/api/health/live")).status == 200
    ready = await api.anonymous.get("/api/health/ready")
    assert (ready.status, ready.json["status"]) == (503, "unavailable")


async def test_ready_writes_now_and_then_and_after_a_failed_write(api: Api) -> None:
    """A file that can be locked can be written, as long as its disk has space."""
    leases = 0

    def count(*told: object) -> None:
        nonlocal leases
        leases += "INTO leases" in str(told[2])

    def fill_the_disk(_tx: Tx) -> None:
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    event.listen(Engine, "before_cursor_execute", count)
    try:
        for _ in range(3):
            assert (await api.anonymous.get("/api/health/ready")).status == 200
        assert leases == 1
        with pytest.raises(StoreUnavailableError, match="disk is full"):
            await api.store.write(fill_the_disk)
        for _ in range(2):
            assert (await api.anonymous.get("/api/health/ready")).status == 200
        assert leases == 2
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def test_those_who_ask_for_health_at_one_time_are_told_the_same(tmp_path: Path) -> None:
    with running_api(tmp_path, MemoryIngress()) as api:
        answers = await asyncio.gather(*(api.anonymous.get("/api/health") for _ in range(50)))
        asked = api.ways.asked
        await api.anonymous.get("/api/health")

    assert {answer.body for answer in answers} == {answers[0].body}
    assert (asked, api.ways.asked) == (1, 2)


async def test_health_is_503_without_the_database(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_store(api, monkeypatch)

    answer = await api.anonymous.get("/api/health")

    assert (answer.status, answer.json["status"]) == (503, "unavailable")
    assert answer.json["checks"]["database"] != "ok"


@pytest.mark.parametrize(
    "path", ["/api/projects", "/api/openapi.json", "/metrics", "/api/settings/webhook"]
)
@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer wrong", "Bearer", "Basic dGhlLXRva2Vu", "the-token", "Bearer th\xe9"],
)
async def test_without_a_known_token_nothing_is_shown(
    api: Api, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}

    answer = await api.anonymous.call("GET", path, headers=headers)

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == PROBLEM


async def test_who_tries_out_tokens_is_slowed_down_and_who_has_one_is_not(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, slowed, let_go = [0.0], asyncio.Event(), asyncio.Event()

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        slowed.set()
        await let_go.wait()

    monkeypatch.setattr(asyncio, "sleep", wait)
    wrong = Caller(api.app, "a-wrong-token")
    trying = [asyncio.create_task(wrong.get("/api/projects")) for _ in range(40)]
    await slowed.wait()
    assert (await api.caller.get("/api/projects")).status == 200
    assert not all(task.done() for task in trying), (
        "the right token did not wait for the wrong ones"
    )
    let_go.set()
    assert {answer.status for answer in await asyncio.gather(*trying)} == {401}
    assert max(waits) > 0.5


async def test_every_token_opens_and_the_scheme_has_no_case(api: Api) -> None:
    assert (await Caller(api.app, OTHER_TOKEN).get("/api/projects")).status == 200
    answer = await api.anonymous.call(
        "GET", "/api/projects", headers={"authorization": f"bearer {OTHER_TOKEN}"}
    )
    assert answer.status == 200


async def test_who_has_no_token_gets_nothing_parsed(api: Api) -> None:
    answer = await api.anonymous.post("/api/projects", b"{ not json")

    assert answer.status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/nothing"),
        ("POST", "/api/nothing"),
        ("GET", "/api/"),
        ("GET", "/api/projects/"),
        ("GET", "/api"),
        ("GET", "/metrics/"),
        ("POST", "/api/webhook"),
        ("POST", "/api/webhook/"),
        ("POST", "/api/webhook/6c0c3c5e-0000-4000-8000-000000000000"),
        ("GET", "/api/webhook/6c0c3c5e-0000-4000-8000-000000000000"),
        ("GET", "/api/projects/a%2Fb"),
        ("GET", "/api/%00"),
        ("GET", "/api/%ff"),
    ],
)
async def test_unknown_addresses_are_all_alike_with_and_without_token(
    api: Api, method: str, path: str
) -> None:
    expected = await api.anonymous.get("/api/no-such-thing")
    assert expected.status == 404

    for caller in (api.anonymous, api.caller):
        assert await caller.call(method, path) == expected


async def test_a_huge_body_to_an_unknown_address_is_a_plain_404(api: Api) -> None:
    assert (await api.anonymous.post("/api/nothing", b"x" * (2 << 20))).status == 404


@pytest.mark.parametrize("path", ["/api/projects", "/api/health", "/metrics", "/api/openapi.json"])
async def test_head_is_answered_as_get_without_the_body(api: Api, path: str) -> None:
    read = await api.caller.get(path)
    head = await api.caller.call("HEAD", path)

    assert (head.status, head.body) == (read.status, b"")
    assert head.headers["content-type"] == read.headers["content-type"]
    assert int(head.headers["content-length"]) > 0
    assert (await api.anonymous.call("HEAD", "/api/projects")).status == 401
    assert (await api.caller.call("HEAD", "/api/no-such-thing")).status == 404


async def test_an_unknown_method_is_told_the_known_ones(api: Api) -> None:
    answer = await api.caller.call("PUT", "/api/projects")

    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert answer.headers["content-type"] == PROBLEM


async def test_the_webhook_is_reached_with_its_secret(api: Api) -> None:
    url = (await api.caller.post("/api/settings/webhook/regenerate")).json["url"]
    path = url.removeprefix("https://tagboat.example.com")

    answer = await api.anonymous.post(path, {"image": "git.example.com/acme/app:v1"})

    assert answer.status == 202
    assert answer.json["pushes"][0]["outcome"] == "queued"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": "\xff"}',
        b"[" * 100_000,
        b'{"name":' * 50_000,
        b"",
        b"null",
        b"[]",
        b'"text"',
        b'{"name": "app", "image": "nginx", "port": ' + b"9" * 5000 + b"}",
        b'{"name": "app", "image": "nginx", "port": NaN}',
        b'{"name": "a\\u0000b", "image": "nginx"}',
        b'{"name": "\\ud800", "image": "nginx"}',
        b'{"name": "app", "image": "nginx", "\\ud800": 1}',
        b'{"name": "app", "image": "nginx", "env": {"\\ud800": "x"}}',
        b'{"name": "app", "image": "nginx", "env": {"A": "\\ud800"}}',
        b'{"name": "app", "image": "nginx", "env": {"A": "\\u0000"}}',
        b'{"name": "app", "image": "nginx:v1"}',
        b'{"name": "app", "image": "nginx; rm -rf /"}',
        b'{"name": "app", "image": "nginx", "port": "80"}',
        b'{"name": "app", "image": "nginx", "port": true}',
        b'{"name": "app", "image": "nginx", "port": 65536}',
        b'{"name": "app", "image": "nginx", "port": 99999999999999999999}',
        b'{"name": "app", "image": "nginx", "registry": "\\u0000"}',
        b'{"name": "app", "image": "nginx", "registry": 1}',
        b'{"name": "app", "image": "nginx", "registry": "\\ud800"}',
    ],
)
async def test_unusable_bodies_are_422_with_fields(api: Api, body: bytes) -> None:
    answer = await api.caller.post("/api/projects", body)

    assert answer.status == 422
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json["detail"]
    assert all(set(error) == {"field", "message"} for error in answer.json["errors"])
    assert answer.json["errors"]
    assert (await api.caller.get("/api/projects")).json["items"] == []


def without_body() -> list[tuple[str, str]]:
    """The method and path of each order that reads no body, with `x` for each parameter."""
    return sorted(
        (method, "/api" + re.sub(r"{[^}]+}", "x", path).removeprefix("/api"))
        for path, operations in describe(api_routes(VERSION))["paths"].items()
        for method in operations.keys() - {"get", "head", "parameters"}
        if "requestBody" not in operations[method] and "/webhook/" not in path
    )


@pytest.mark.parametrize(("method", "path"), without_body())
async def test_an_order_that_reads_no_body_refuses_what_stands_in_one(
    api: Api, method: str, path: str
) -> None:
    for body, field in (({"nope": 1}, "nope"), (b"garbage", "body"), ([1], "body")):
        answer = await api.caller.call(method.upper(), path, body)
        assert answer.status == 422, body
        assert [error["field"] for error in answer.json["errors"]] == [field]
    nothing: list[object] = [{}, b"", b" ", None]
    for empty in nothing:
        assert (await api.caller.call(method.upper(), path, empty)).status != 422


async def test_a_body_of_another_kind_than_json_is_422(api: Api) -> None:
    answer = await api.caller.call(
        "POST", "/api/projects", b"name=app", headers={"content-type": "text/plain"}
    )

    assert answer.status == 422


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b'{"name": }', "body", "the body is not valid JSON (line 1, column 10): Expecting value"),
        (
            b"[]",
            "body",
            "must be a JSON object, sent with the header Content-Type: application/json",
        ),
        (
            b'{"name": "a", "image": "a/b", "env": {"A=B": "x"}}',
            "env.A=B",
            "must be a name without = and NUL",
        ),
        (
            b'{"name": "a", "image": "a/b", "env": {"": "x"}}',
            "env",
            "must be a name without = and NUL, 1 to 255 characters",
        ),
        (b'{"name": "a", "image": "a/b", "env": {"A": 1}}', "env.A", "must be a string"),
        (
            b'{"name": "a", "image": "a/b", "env": []}',
            "env",
            'must be an object, such as {"NAME": "value"}',
        ),
        (b'{"name": "a", "image": "a/b", "networks": "x"}', "networks", "must be a list, such as"),
        (
            b'{"name": "a", "image": "a/b", "networks": [%b]}' % b",".join([b'"x"'] * 21),
            "networks",
            "must have at most 20 entries",
        ),
        (
            b'{"name": "a", "image": "a/b", "env": {%b}}'
            % b",".join(b'"A%d": ""' % number for number in range(201)),
            "env",
            "must have at most 200 entries",
        ),
        (b'{"name": "a", "image": "a/b", "port": "80"}', "port", "must be a whole number"),
        (b'{"name": "a", "image": "a/b", "port": 70000}', "port", "must be at most 65535"),
        (b'{"name": "a", "image": "a/b", "port": -1}', "port", "must be at least 0"),
        (
            b'{"name": "a", "image": "a/b", "protocol": "htp"}',
            "protocol",
            "must be 'http', 'h2c' or 'https'",
        ),
        (
            b'{"name": "a", "image": "a/b", "read_only": "maybe"}',
            "read_only",
            "must be true or false",
        ),
    ],
)
async def test_complaints_name_a_field_that_was_sent(
    api: Api, body: bytes, field: str, message: str
) -> None:
    answer = await api.caller.call("POST", "/api/projects", body)

    assert answer.status == 422
    (error,) = answer.json["errors"]
    assert error["field"] == field
    assert message in error["message"]
    assert answer.json["detail"] == f"{field}: {error['message']}"


async def test_complaints_name_the_fields_and_are_not_endless(api: Api) -> None:
    answer = await api.caller.post("/api/projects", {"name": "App", "port": "80", "extra": 1})

    assert answer.json["detail"] == "4 values cannot be used: name, image, port, extra"
    assert [error["field"] for error in answer.json["errors"]] == ["name", "image", "port", "extra"]
    many = await api.caller.post("/api/projects", {f"f{number}": 1 for number in range(5000)})
    assert len(many.json["errors"]) == 20


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_1_mib_is_413(api: Api, announced: bool) -> None:
    body = b" " * ((1 << 20) + 1)
    headers = {} if announced else {"content-length": "x"}

    answer = await api.caller.call("POST", "/api/projects", body, headers)

    assert answer.status == 413
    assert answer.headers["content-type"] == PROBLEM


async def test_a_store_that_is_away_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    break_store(api, monkeypatch)

    answer = await api.caller.get("/api/projects")

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.json["detail"] == "the database is away"


async def test_a_fault_shows_nothing_of_the_inside_and_is_logged(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr(api.store, "read", fail, raising=True)

    with structlog.testing.capture_logs() as lines:
        answer = await api.caller.get("/api/projects")

    assert answer.status == 500
    assert answer.headers["content-type"] == PROBLEM
    assert b"inside" not in answer.body.replace(b"inside Tagboat", b"")
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "a fault inside Tagboat"
    ]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        f"limit={2**70}",
        "cursor=garbage",
        "cursor=%00",
    ],
)
async def test_pages_refuse_what_they_cannot_use(api: Api, query: str) -> None:
    for path in ("/api/projects", "/api/deploys", "/api/instances", "/api/registries"):
        answer = await api.caller.get(f"{path}?{query}")
        assert answer.status == 422, path
        assert answer.json["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize("noun", ["projects", "stages", "deploys", "registries"])
@pytest.mark.parametrize(
    "key", ["0" * 24, "%00", "%ff", "%F0%9F%9A%A2", "x" * 5000, "..", "1' OR '1'='1", str(2**80)]
)
async def test_ids_that_are_none_are_404(api: Api, noun: str, key: str) -> None:
    answer = await api.caller.get(f"/api/{noun}/{key}")

    assert answer.status == 404
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json["detail"].startswith(
        f"there is no {noun.removesuffix('ies').removesuffix('s')}"
    )


async def test_the_log_has_a_line_for_each_call_and_no_secret(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as lines, running_api(tmp_path) as api:
        await api.anonymous.post("/api/webhook/not-to-be-seen", {})
        await api.caller.get("/api/projects?cursor=not-to-be-seen")

    calls = [line for line in lines if line["event"] == "call"]
    assert [(call["method"], call["path"], call["status"]) for call in calls] == [
        ("POST", "/api/webhook/***", 404),
        ("GET", "/api/projects", 422),
    ]
    assert "not-to-be-seen" not in json.dumps(lines, default=str)


async def test_an_address_without_end_is_cut_in_the_log(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as lines, running_api(tmp_path) as api:
        await api.caller.get("/api/" + "x" * 60_000)
    (path,) = [line["path"] for line in lines if "path" in line]
    assert (path[:10], len(path)) == ("/api/xxxxx", 201)


async def test_a_webhooks_secret_in_an_address_with_a_slip_in_it_is_not_in_the_log(
    tmp_path: Path,
) -> None:
    secret = "0f8fad5b-d9cb-469f-a165-70867728950e"
    slips = [
        f"/api/webhooks/{secret}",
        f"/api//webhook/{secret}",
        f"/API/webhook/{secret.upper()}",
        f"/{secret}/x",
    ]
    with structlog.testing.capture_logs() as lines, running_api(tmp_path) as api:
        for path in [*slips, f"/api/webhook{secret.replace('-', '')}"]:
            await api.anonymous.post(path, {})
        await api.caller.get(f"/api/deploys/{'0' * 24}")

    said = [line["path"] for line in lines if line["event"] == "call"]
    assert said == [
        "/api/webhooks/***",
        "/api//webhook/***",
        "/API/webhook/***",
        "/***/x",
        "/api/webhook***",
        f"/api/deploys/{'0' * 24}",
    ]


async def test_the_description_names_every_route_with_its_problems(api: Api) -> None:
    answer = await api.caller.get("/api/openapi.json")

    document: dict[str, Any] = answer.json
    assert document["openapi"].startswith("3.1")
    assert document["security"] == [{"token": []}]
    operations = {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    webhook = operations.pop(("POST", "/api/webhook/{secret}"))
    assert webhook["security"] == []
    assert len(operations) == 91
    for (method, path), operation in operations.items():
        if path not in OPEN_PATHS:
            assert {"401", "422", "500", "503"} <= set(operation["responses"]), (method, path)
        if "{" in path:
            assert "404" in operation["responses"], (method, path)
        if "requestBody" in operation:
            assert {"413", "422"} <= set(operation["responses"]), (method, path)
        for status, response in operation["responses"].items():
            if status.startswith(("4", "5")) and not path.startswith("/api/health"):
                assert list(response["content"]) == [PROBLEM], (method, path, status)
        assert (operation.get("security") == []) == (path in OPEN_PATHS)
    assert "HTTPValidationError" not in answer.body.decode()


def break_store(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise StoreUnavailableError("the database is away")

    monkeypatch.setattr(api.store, "read", fail)
    monkeypatch.setattr(api.store, "write", fail)
