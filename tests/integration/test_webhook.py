"""The webhook as the application it is, over the real store: what it lets in, and what it says to
everything else.
"""

import asyncio
import gzip
import json
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tagboat.core.audit import AuditFilter
from tagboat.core.config import WEBHOOK_SECRET
from tagboat.deploy.queue import DeployQueue
from tagboat.http.client_address import ClientAddress
from tagboat.http.problem import not_found
from tagboat.store import SqlStore, open_store
from tagboat.webhook import WebhookHandler, ensure_webhook_secret, regenerate_webhook_secret
from tests.support.api import NoInspector
from tests.support.asgi import Answer, Caller
from tests.support.deliveries import deliveries_on_disk

pytestmark = pytest.mark.anyio

MAX_CALL_BYTES = 1 << 20
PUSH = {"image": "git.example.com/acme/app:v1"}
GITEA = {"x-gitea-event": "package"}


@dataclass(frozen=True, slots=True)
class Hook:
    """The handler, its secret, and the database it writes to."""

    store: SqlStore
    handler: WebhookHandler
    caller: Caller
    secret: str
    database: Path

    async def send(self, body: object, headers: Mapping[str, str] | None = None) -> Answer:
        """POST to the right address."""
        return await self.caller.call("POST", f"/{self.secret}", body, headers)

    def deliveries(self) -> list[tuple[int, str, dict[str, Any]]]:
        """Status, sender and result of every delivery on disk, oldest first."""
        return deliveries_on_disk(self.database.parent)


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    store = open_store(None, tmp_path)
    secret = await regenerate_webhook_secret(store)
    handler = WebhookHandler(store, DeployQueue(lambda: datetime.now(UTC)), NoInspector())
    yield Hook(store, handler, Caller(handler.router()), secret, tmp_path / "tagboat.db")
    store.close()


async def nothing_there() -> Answer:
    """The answer of an address that does not exist."""
    return await Caller(not_found).post("/whatever", PUSH)


# Who gets in.


async def test_a_push_is_accepted_and_on_disk(hook: Hook) -> None:
    answer = await hook.send(PUSH)
    assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
    (push,) = answer.json["pushes"]
    assert push["outcome"] == "queued"
    assert set(push) == {
        "image", "tag", "digest", "project", "stage", "project_created", "outcome", "reason",
        "deploy",
    }  # fmt: skip
    assert hook.deliveries() == [(202, "native", answer.json)]
    with closing(sqlite3.connect(hook.database)) as connection:
        assert connection.execute("SELECT id, status FROM deploys").fetchall() == [
            (push["deploy"], "queued")
        ]


async def test_a_wrong_malformed_or_missing_secret_is_an_address_that_does_not_exist(
    hook: Hook,
) -> None:
    expected = await nothing_there()
    assert expected.status == 404
    wrong = "00000000-0000-4000-8000-000000000000"
    paths = ["", "/", f"/{wrong}", f"/{hook.secret[:-1]}", f"/{hook.secret}0", f"/{hook.secret}/",
    f"/{hook.secret}/x", "/..",
             f"/{hook.secret.upper()}x", "/%00", "/%FF", "/é", f"//{hook.secret}",
             "/" + "x" * 10_000]  # fmt: skip
    for path in paths:
        assert await hook.caller.post(path, PUSH) == expected, path
    assert hook.deliveries() == []


@pytest.mark.parametrize(
    "method",
    ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "PROPFIND"],
)
async def test_every_other_method_is_an_address_that_does_not_exist(
    hook: Hook, method: str
) -> None:
    assert await hook.caller.call(method, f"/{hook.secret}", PUSH) == await nothing_there()


async def test_nothing_is_read_before_the_secret_is_known_to_be_right(hook: Hook) -> None:
    expected = await nothing_there()
    headers = {"content-length": str(MAX_CALL_BYTES * 10)}
    assert (
        await hook.caller.call("POST", "/wrong", b"x" * (MAX_CALL_BYTES + 1), headers) == expected
    )
    assert await hook.caller.call("POST", "/wrong", b"\xff[[[") == expected


async def test_a_store_without_a_secret_lets_nobody_in(tmp_path: Path) -> None:
    store = open_store(None, tmp_path)
    handler = WebhookHandler(store, DeployQueue(lambda: datetime.now(UTC)), NoInspector())
    try:
        for path in ("/", "/None", "/null"):
            assert await Caller(handler.router()).post(path, PUSH) == await nothing_there()
    finally:
        store.close()


async def test_where_no_secret_can_be_looked_up_a_sender_is_asked_to_come_back(hook: Hook) -> None:
    with closing(sqlite3.connect(hook.database)) as other:
        other.execute("ALTER TABLE settings RENAME TO gone")
    answer = await hook.send(PUSH)
    assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (answer.headers["retry-after"], answer.json["detail"]) == (
        "5",
        "the database is not available; call again",
    )
    assert await hook.caller.call("GET", f"/{hook.secret}") == await nothing_there()


async def test_a_new_secret_makes_the_old_one_worthless_at_once(hook: Hook) -> None:
    assert (await hook.send(PUSH)).status == 202
    new = await regenerate_webhook_secret(hook.store)
    assert new != hook.secret
    assert await hook.send(PUSH) == await nothing_there()
    assert (await hook.caller.post(f"/{new}", PUSH)).status == 202
    await ensure_webhook_secret(hook.store)
    assert await hook.store.read(lambda reader: reader.setting(WEBHOOK_SECRET)) == new


async def test_the_secret_is_in_no_answer_and_no_delivery(hook: Hook) -> None:
    bodies: list[object] = [PUSH, {"image": hook.secret[:5] + "!"}, b"not json", []]
    answers = [await hook.send(body) for body in bodies]
    assert all(hook.secret.encode() not in answer.body for answer in answers)
    assert hook.secret not in json.dumps(hook.deliveries())


# Sizes.


def padded(size: int) -> bytes:
    """A push of exactly `size` bytes."""
    head, tail = json.dumps(PUSH)[:-1].encode() + b', "padding": "', b'"}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


async def stream(
    hook: Hook, pieces: Iterable[bytes], headers: Mapping[str, str]
) -> tuple[int, int]:
    """Send a body in pieces; the status and how many pieces were taken."""
    waiting, taken = list(pieces), 0
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/{hook.secret}",
        "root_path": "",
        "headers": raw,
    }
    await hook.caller.app(scope, receive, send)
    return sent[0]["status"], taken


async def test_exactly_one_mebibyte_is_accepted(hook: Hook) -> None:
    body = padded(MAX_CALL_BYTES)
    assert len(body) == MAX_CALL_BYTES
    assert (await hook.send(body)).status == 202
    assert await stream(hook, [body[:1000], body[1000:]], {}) == (202, 2)


async def test_one_byte_more_is_too_large_whether_announced_or_streamed(hook: Hook) -> None:
    answer = await hook.send(padded(MAX_CALL_BYTES + 1))
    assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")
    assert "1048576" in answer.json["detail"]
    assert await stream(hook, [b"never read"], {"content-length": str(MAX_CALL_BYTES + 1)}) == (
        413,
        0,
    )
    assert await stream(hook, [b"x" * MAX_CALL_BYTES, b"x", b"never read"], {}) == (413, 2)
    assert [status for status, _, _ in hook.deliveries()] == [413, 413, 413]


async def test_a_body_in_gzip_is_understood_and_kept_unpacked(hook: Hook) -> None:
    answer = await hook.send(gzip.compress(json.dumps(PUSH).encode()), {"content-encoding": "gzip"})
    assert (answer.status, answer.json["pushes"][0]["tag"]) == (202, "v1")
    kept = await hook.store.read(lambda reader: reader.delivery(answer.json["delivery"]))
    assert json.loads(kept.body) == PUSH
    again = json.loads(await hook.handler.redeliver(kept.id))
    assert again["pushes"][0]["outcome"] == "merged"


@pytest.mark.parametrize(
    ("body", "coding", "status", "word"),
    [
        (gzip.compress(padded(MAX_CALL_BYTES + 1), mtime=0), "gzip", 413, "1048576 bytes"),
        (gzip.compress(b"0" * (100 << 20), mtime=0), "x-gzip", 413, "1048576 bytes"),
        (b"{}", "gzip", 400, "not gzip"),
        (b"{}", "br", 415, "'br'"),
        (b"{}", "gzip, br", 415, "'gzip, br'"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_refused_in_words(
    hook: Hook, body: bytes, coding: str, status: int, word: str
) -> None:
    answer = await hook.send(body, {"content-encoding": coding})
    assert (answer.status, word in answer.json["detail"]) == (status, True)
    assert answer.headers.get("accept-encoding") == ("gzip" if status == 415 else None)
    assert [status for status, _, _ in hook.deliveries()] == [status]


async def test_a_caller_who_hangs_up_leaves_nothing(hook: Hook) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await hook.caller.app(
        {"type": "http", "method": "POST", "path": f"/{hook.secret}", "headers": []}, receive, send
    )
    assert sent == []
    assert hook.deliveries() == []


# What cannot be used.


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"image": "\xc3\x28"}', "not JSON"),
        (b'{"image": "a\x00"}', "not JSON"),
        ({"image": "a.b/c:v\x00"}, "not a tag"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
        (b'{"image":' * 100_000, "nested too deeply|not JSON"),
        (b'{"image": NaN}', "not JSON"),
        (b'{"image": -Infinity}', "not JSON"),
        ([], "an empty array"),
        ([PUSH], "an array"),
        ("text", "a string"),
        (None, "null"),
        (7, "a number"),
        ({}, "no known sender"),
        ({"image": 7}, "image must be a string"),
        ({"image": None}, "image must be a string"),
        ({"image": {"name": "x"}}, "image must be a string"),
        ({"image": [[[]]]}, "image must be a string"),
        ({"image": "a.b/c:" + "t" * 129}, "129 characters; at most 128"),
        ({"image": "a.b/" + "c" * 300}, "255 characters"),
        ({"image": "x" * 100_000}, "100000 characters"),
        ({"image": "a.b/c:v1;reboot"}, "not a tag"),
        ({"image": "a.b/$(reboot):v1"}, r"\$\(reboot\)"),
        ({"image": "a.b/`id`:v1"}, "`id`"),
        ({"image": "../../etc/passwd:v1"}, "not a"),
        ({"image": "https://a.b/c:v1"}, "scheme"),
        ({"image": "a.b/c@sha256:" + "a" * 64}, "no tag"),
        ({"image": "a.b/c:v1", "digest": "sha256:A"}, "not a digest"),
        ({"events": 7}, "no known sender"),
        ({"events": [7]}, r"events\[0\]"),
    ],
)
async def test_a_body_without_a_usable_image_is_refused_in_words_and_kept(
    hook: Hook, body: object, word: str
) -> None:
    answer = await hook.send(body)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    problem = answer.json
    assert (problem["type"], problem["title"], problem["status"]) == (
        "/problems/malformed",
        "Bad Request",
        400,
    )
    with pytest.raises(ValueError, match=word):
        raise ValueError(problem["detail"])
    assert problem["detail"].isprintable()
    assert len(problem["detail"]) < 400
    ((status, _, result),) = hook.deliveries()
    assert (status, result) == (400, {"reason": problem["detail"]})
    with closing(sqlite3.connect(hook.database)) as connection:
        assert connection.execute(
            "SELECT (SELECT count(*) FROM projects) + (SELECT count(*) FROM deploys)"
        ).fetchone() == (0,)
    assert (await hook.send(PUSH)).status == 202


@pytest.mark.parametrize("headers", [{}, GITEA])
async def test_no_depth_of_nesting_brings_it_down(hook: Hook, headers: dict[str, str]) -> None:
    for depth in range(900, 1010):
        nested = b'{"image":%s,"action":%s,"events":[%s]}' % ((b"[" * depth + b"]" * depth,) * 3)
        assert (await hook.send(nested, headers)).status in {202, 400}, depth


async def test_the_sender_of_a_refused_delivery_is_kept_where_it_is_known(hook: Hook) -> None:
    await hook.send({"image": ""})
    await hook.send({"action": "created"}, GITEA)
    await hook.send(b"[")
    assert [sender for _, sender, _ in hook.deliveries()] == ["native", "gitea", "unknown"]


# Shapes of its own.


async def test_an_authentic_event_that_is_no_push_is_accepted_with_a_reason(hook: Hook) -> None:
    answer = await hook.send({"action": "deleted"}, GITEA)
    assert (answer.status, answer.json["pushes"]) == (202, [])
    assert "deleted" in answer.json["reason"]
    assert hook.deliveries() == [(202, "gitea", answer.json)]


async def test_a_form_with_a_payload_and_json_as_curl_sends_it(hook: Hook) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    as_form = await hook.send(urlencode({"payload": json.dumps(PUSH)}).encode(), form)
    as_curl = await hook.send(json.dumps(PUSH).encode(), form)
    assert [answer.json["pushes"][0]["outcome"] for answer in (as_form, as_curl)] == [
        "queued",
        "merged",
    ]


async def test_it_may_be_mounted_anywhere(hook: Hook) -> None:
    async def mounted(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's callables
        await hook.caller.app({**scope, "root_path": "/api/webhook"}, receive, send)

    answer = await Caller(mounted).post(f"/api/webhook/{hook.secret}", PUSH)
    assert answer.status == 202


async def test_a_locked_database_is_told_of_before_the_sender_gives_up(hook: Hook) -> None:
    """Gitea waits 5 s for an answer, also when other writers were at it before."""
    loop = asyncio.get_running_loop()

    async def sent() -> tuple[Answer, float]:
        began = loop.time()
        return await hook.send(PUSH), loop.time() - began

    for _ in range(3):  # the machine may be busy elsewhere
        with closing(sqlite3.connect(hook.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            first = asyncio.create_task(sent())
            # The first has begun to wait for the lock, and the second has to wait for the first.
            await asyncio.sleep(0.2)
            answers = await asyncio.gather(first, sent())
            other.execute("ROLLBACK")
        for answer, _took_s in answers:
            media_type = answer.headers["content-type"]
            assert (answer.status, media_type) == (503, "application/problem+json")
            assert answer.headers["retry-after"] == "5"
            assert answer.json["detail"] == "the database cannot be used: database is locked"
        longest_s = max(took_s for _, took_s in answers)
        if longest_s < 4.8:
            break
    assert longest_s < 4.8
    assert (await hook.send(PUSH)).status == 202
    assert len(hook.deliveries()) == 1


async def test_a_call_through_a_front_is_the_callers_in_the_audit(hook: Hook) -> None:
    trusting = WebhookHandler(
        hook.store,
        DeployQueue(lambda: datetime.now(UTC)),
        NoInspector(),
        addresses=ClientAddress(["127.0.0.0/8"]),
    )
    for handler, tag in ((trusting, "v1"), (hook.handler, "v2")):
        answer = await Caller(handler.router()).call(
            "POST",
            f"/{hook.secret}",
            {"image": f"git.example.com/acme/app:{tag}"},
            {"x-forwarded-for": "203.0.113.7"},
        )
        assert answer.status == 202
    entries = await hook.store.read(lambda reader: reader.audit_entries(AuditFilter(), None, 9))
    # Without trust in it, anybody could write the header.
    assert [one.address for one in entries] == ["127.0.0.1", "203.0.113.7"]
