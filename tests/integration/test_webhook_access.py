"""Signatures, URLs of projects' own, what is kept of calls, and floods: the webhook over the real
store.
"""

import asyncio
import gzip
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tagboat.core.delivery import MAX_BODY, Delivery
from tagboat.core.errors import (
    ConflictError,
    InvalidValueError,
    NotFoundError,
    StoreUnavailableError,
)
from tagboat.core.ids import new_id
from tagboat.core.ports import Topic
from tagboat.core.project_webhook import ProjectWebhook, Signature, SignatureKind, hash_secret
from tagboat.core.values import replace
from tagboat.deploy.queue import DeployQueue
from tagboat.http.problem import not_found
from tagboat.intake.intake import Intake
from tagboat.intake.ledger import Ledger
from tagboat.store import SqlStore, open_store
from tagboat.webhook import WebhookHandler, regenerate_webhook_secret
from tagboat.webhook import handler as webhook_handler
from tagboat.webhook.access import AccessCheck
from tagboat.webhook.body import Receive, read_body
from tagboat.webhook.handler import TURNED_AWAY_PER_S, WRONG_EACH
from tests.support.api import NoInspector
from tests.support.asgi import Answer, Caller

pytestmark = pytest.mark.anyio

PUSH = {"image": "git.example.com/acme/app:v1"}
OTHER = {"image": "git.example.com/acme/other:v1"}
OWN_SECRET = "5f0c9e0e-3f0e-4a55-9a1e-0d2f3a4b5c6d"
SHARED = "a shared secret"


@dataclass(frozen=True, slots=True)
class Gate:
    store: SqlStore
    handler: WebhookHandler
    caller: Caller
    secret: str

    async def send(
        self, body: object = PUSH, headers: Mapping[str, str] | None = None, secret: str = ""
    ) -> Answer:
        return await self.caller.call("POST", f"/{secret or self.secret}", body, headers)

    async def deliveries(self) -> list[Delivery]:
        """All that is kept, newest first."""
        return await self.store.read(
            lambda reader: [reader.delivery(found.id) for found in reader.deliveries()]
        )

    async def add_hook(self, signature: Signature | None = None) -> ProjectWebhook:
        """A hook of the project that `PUSH` has made."""
        (project,) = await self.store.read(lambda reader: reader.projects())
        hook = ProjectWebhook(
            id=new_id(),
            project_id=project.id,
            name="ci",
            secret_hash=hash_secret(OWN_SECRET),
            signature=signature,
            created_at=datetime.now(UTC),
        )
        await self.store.write(lambda tx: tx.add_hook(hook))
        return hook


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    store = open_store(None, tmp_path)
    secret = await regenerate_webhook_secret(store)
    handler = WebhookHandler(store, DeployQueue(lambda: datetime.now(UTC)), NoInspector())
    yield Gate(store, handler, Caller(handler.router()), secret)
    store.close()


class Deaf:
    """A store that other servers write to as well, who are not heard."""

    exclusive = False

    def __init__(self, store: SqlStore) -> None:
        self.read, self.write = store.read, store.write

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        pass


@pytest.fixture
async def shared(gate: Gate) -> Gate:
    """One that has answered already, before a database that is shared."""
    deaf: Any = Deaf(gate.store)
    handler = WebhookHandler(deaf, DeployQueue(lambda: datetime.now(UTC)), NoInspector())
    found = replace(gate, handler=handler, caller=Caller(handler.router()))
    assert (await found.send()).status == 202
    return found


HANDSHAKE = [
    {
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "code"},
    }
]


@pytest.mark.parametrize(
    "body",
    [PUSH, {"image": ""}, b"no JSON", b"x" * ((1 << 20) + 1), HANDSHAKE],
    ids=["a push", "no image", "no JSON", "too large", "a handshake"],
)
async def test_a_secret_made_anew_by_another_server_is_dead_at_once(
    shared: Gate, body: object
) -> None:
    new = await regenerate_webhook_secret(shared.store)
    assert await shared.send(body) == await nothing_there()
    assert await shared.send(body) == await nothing_there()
    assert len(await shared.deliveries()) == 1
    assert (await shared.send(secret=new)).status == 202


async def test_also_where_so_much_was_refused_that_no_more_of_it_is_kept(
    shared: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "keeps_refused", lambda _self, _hook: False)
    assert (await shared.send(b"no JSON")).status == 400
    await regenerate_webhook_secret(shared.store)
    assert await shared.send(b"no JSON") == await nothing_there()


async def test_also_where_calls_come_too_fast(
    shared: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Intake, "wait_s", lambda _self, _hook: 7.0)
    assert (await shared.send()).status == 429
    await regenerate_webhook_secret(shared.store)
    assert await shared.send() == await nothing_there()


async def test_a_caller_whom_nobody_has_confirmed_hears_nothing_of_the_database(
    shared: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_work: object) -> None:
        raise StoreUnavailableError("the host 192.0.2.1 is away")

    deaf: Any = shared.handler
    monkeypatch.setattr(deaf._store, "write", fail)
    answer = await shared.send()
    assert (answer.status, answer.json["detail"]) == (
        503,
        "the database is not available; call again",
    )


async def test_a_database_that_answers_both_ways_is_not_asked_for_ever(
    shared: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where reads go to a replica that lags behind.
    monkeypatch.setattr(AccessCheck, "confirmation", lambda *_: lambda _reader: False)
    assert await shared.send() == await nothing_there()


async def test_a_projects_url_rotated_or_revoked_by_another_server_is_dead_at_once(
    shared: Gate,
) -> None:
    hook = await shared.add_hook()
    assert (await shared.send(secret=OWN_SECRET)).status == 202
    other = "11111111-2222-4333-8444-555555555555"
    await shared.store.write(lambda tx: tx.put_hook(replace(hook, secret_hash=hash_secret(other))))
    assert await shared.send(secret=OWN_SECRET) == await nothing_there()
    assert (await shared.send(secret=other)).status == 202
    await shared.store.write(lambda tx: tx.delete_hook(hook.id))
    assert await shared.send(secret=other) == await nothing_there()


async def test_a_signature_changed_by_another_server_counts_at_once(shared: Gate) -> None:
    async def ask_for(secret: str | None) -> None:
        signature = secret and Signature(kind=SignatureKind.HEADER, secret=secret, header="x-key")
        await shared.store.write(lambda tx: tx.put_webhook_signature(signature or None))

    async def status(key: str = "") -> int:
        return (await shared.send(headers={"x-key": key} if key else {})).status

    await ask_for("one")
    assert [await status(), await status("one"), await status("two")] == [404, 202, 404]
    await ask_for("two")
    assert [await status("two"), await status("one")] == [202, 404]
    await ask_for("three")
    assert [await status("two"), await status("three")] == [404, 202]
    await ask_for(None)
    assert await status() == 202
    assert "three" not in str(await shared.deliveries())


async def nothing_there() -> Answer:
    return await Caller(not_found).post("/whatever", PUSH)


def signed(body: object, algorithm: str = "sha256") -> str:
    return hmac.new(SHARED.encode(), json.dumps(body).encode(), algorithm).hexdigest()


async def test_a_signature_that_is_asked_for_is_needed(gate: Gate) -> None:
    signature = Signature(kind=SignatureKind.HMAC_SHA256, secret=SHARED)
    assert (await gate.send()).status == 202
    await gate.store.write(lambda tx: tx.put_webhook_signature(signature))
    assert await gate.send() == await nothing_there()
    assert await gate.send(headers={"x-gitea-signature": signed(OTHER)}) == await nothing_there()
    assert await gate.send(b"not even JSON") == await nothing_there()
    assert await gate.send(b"x" * ((1 << 20) + 1)) == await nothing_there()
    assert (
        await gate.send(headers={"x-hub-signature-256": f"sha256={signed(PUSH)}"})
    ).status == 202
    assert len(await gate.deliveries()) == 2  # what nobody signed is not kept
    await gate.store.write(lambda tx: tx.put_webhook_signature(None))
    assert (await gate.send()).status == 202


async def test_what_is_signed_is_what_was_sent_or_what_is_packed_in_it(gate: Gate) -> None:
    await gate.store.write(
        lambda tx: tx.put_webhook_signature(
            Signature(kind=SignatureKind.HMAC_SHA256, secret=SHARED)
        )
    )
    packed = gzip.compress(json.dumps(PUSH).encode())
    of_the_packed = hmac.new(SHARED.encode(), packed, "sha256").hexdigest()
    for offered in (signed(PUSH), of_the_packed):
        headers = {"content-encoding": "gzip", "x-hub-signature-256": f"sha256={offered}"}
        assert (await gate.send(packed, headers)).status == 202
    nothing = await nothing_there()
    for body, coding in (
        (packed, "gzip"),
        (b"no gzip", "gzip"),
        (packed, "br"),
        (gzip.compress(b"0" * 2**21, mtime=0), "gzip"),
    ):
        headers = {"content-encoding": coding, "x-hub-signature-256": f"sha256={signed(OTHER)}"}
        assert await gate.send(body, headers) == nothing
    assert len(await gate.deliveries()) == 2


async def test_a_projects_own_url_takes_its_own_image_only(gate: Gate) -> None:
    assert await gate.send(secret=OWN_SECRET) == await nothing_there()
    await gate.send()
    hook = await gate.add_hook()
    accepted = await gate.send(secret=OWN_SECRET)
    assert accepted.status == 202
    refused = await gate.send(OTHER, secret=OWN_SECRET)
    assert refused.status == 400
    assert "accepts git.example.com/acme/app only" in refused.json["detail"]
    newest, older, _ = await gate.deliveries()
    assert (newest.hook_id, newest.status, older.hook_id, older.status) == (
        hook.id,
        400,
        hook.id,
        202,
    )
    assert (await gate.send(OTHER)).status == 202  # the global URL stays as it was


async def test_a_revoked_or_rotated_url_is_dead_at_once(gate: Gate) -> None:
    await gate.send()
    hook = await gate.add_hook()
    assert (await gate.send(secret=OWN_SECRET)).status == 202
    rotated = replace(hook, secret_hash=hash_secret("11111111-2222-4333-8444-555555555555"))
    await gate.store.write(lambda tx: tx.put_hook(rotated))
    assert await gate.send(secret=OWN_SECRET) == await nothing_there()
    assert (await gate.send(secret="11111111-2222-4333-8444-555555555555")).status == 202
    await gate.store.write(lambda tx: tx.delete_hook(hook.id))
    assert await gate.send(secret="11111111-2222-4333-8444-555555555555") == await nothing_there()


async def test_a_hooks_signature_is_its_own(gate: Gate) -> None:
    await gate.send()
    await gate.add_hook(Signature(kind=SignatureKind.HEADER, secret=SHARED, header="x-ci-key"))
    assert await gate.send(secret=OWN_SECRET) == await nothing_there()
    assert (await gate.send(headers={"x-ci-key": SHARED}, secret=OWN_SECRET)).status == 202
    assert SHARED not in str(await gate.deliveries())
    assert (await gate.send()).status == 202


async def test_what_is_kept_of_a_call(gate: Gate) -> None:
    headers = {
        "user-agent": "ci/1.0",
        "authorization": "Basic c2VjcmV0",
        "cookie": "session=secret",
        "x-jfrog-event-auth": "secret",
        "x-hub-signature-256": "sha256=00",
        "aeg-sas-key": "secret",
        "ocp-apim-subscription-key": "secret",
        "x-credential": "secret",
        "x-csrf": "secret",
        "x-jwt-assertion": "secret",
        "x-passwd": "secret",
        "x-session-id": "secret",
    }
    await gate.send(headers=headers)
    (kept,) = await gate.deliveries()
    assert kept.headers["user-agent"] == "ci/1.0"
    assert not set(headers) - {"user-agent"} & kept.headers.keys()
    assert "secret" not in str(kept)
    assert (json.loads(kept.body), kept.truncated, kept.sender) == (PUSH, False, "native")
    assert kept.took_ms > 0
    await gate.send({**PUSH, "padding": "x" * MAX_BODY})
    (long, _) = await gate.deliveries()
    assert (len(long.body), long.truncated) == (MAX_BODY, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (PUSH, 202),
        ({"image": ""}, 400),
        (b"no JSON", 400),
        (b"x" * ((1 << 20) + 1), 413),
        (HANDSHAKE, 200),
    ],
    ids=["a push", "no image", "no JSON", "too large", "a handshake"],
)
async def test_of_every_call_is_kept_how_long_it_took(
    gate: Gate, body: object, status: int
) -> None:
    began = time.perf_counter()
    assert (await gate.send(body)).status == status
    at_most = (time.perf_counter() - began) * 1000
    (kept,) = await gate.deliveries()
    assert (kept.status, 0 < kept.took_ms < at_most) == (status, True)


async def test_redelivering(gate: Gate) -> None:
    await gate.send()
    (first,) = await gate.deliveries()
    receipt = json.loads(await gate.handler.redeliver(first.id))
    assert receipt["delivery"] != first.id
    assert receipt["pushes"][0]["outcome"] == "merged"
    with pytest.raises(NotFoundError):
        await gate.handler.redeliver("nothing")


async def test_a_handshake_taken_in_again_has_a_receipt_as_all_have(gate: Gate) -> None:
    assert (await gate.send(HANDSHAKE)).json == {"validationResponse": "code"}
    (first,) = await gate.deliveries()
    receipt = json.loads(await gate.handler.redeliver(first.id))
    again, _ = await gate.deliveries()
    assert receipt == {
        "delivery": again.id,
        "pushes": [],
        "reason": "the handshake of a new Event Grid subscription",
    }


async def test_what_cannot_be_redelivered(gate: Gate) -> None:
    await gate.send({**PUSH, "padding": "x" * MAX_BODY})
    await gate.send({"image": ""})
    bad, long = await gate.deliveries()
    with pytest.raises(ConflictError, match="not kept completely"):
        await gate.handler.redeliver(long.id)
    with pytest.raises(InvalidValueError, match="image"):
        await gate.handler.redeliver(bad.id)


async def test_a_flood_of_wrong_secrets_keeps_no_right_one_out(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a slow machine this would take so long that it is none.
    still = SimpleNamespace(monotonic=lambda: 0.0, perf_counter=time.perf_counter)
    monkeypatch.setattr(webhook_handler, "time", still)

    async def at_once(_seconds: float) -> None:
        pass

    monkeypatch.setattr(asyncio, "sleep", at_once)
    statuses = [(await gate.send(secret="wrong")).status for _ in range(WRONG_EACH.burst + 200)]
    assert statuses[: WRONG_EACH.burst] == [404] * WRONG_EACH.burst
    assert 429 in statuses[WRONG_EACH.burst :]
    refused = await gate.send(secret="wrong")
    while refused.status != 429:
        refused = await gate.send(secret="wrong")
    assert int(refused.headers["retry-after"]) >= 1
    assert "too many calls" in refused.json["detail"]
    assert (await gate.send()).status == 202


async def test_a_right_secret_overtakes_a_crowd_of_wrong_ones(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gate.send()
    slowed, let_go = asyncio.Event(), asyncio.Event()

    async def wait(_seconds: float) -> None:
        slowed.set()
        await let_go.wait()

    monkeypatch.setattr(asyncio, "sleep", wait)
    crowd = [
        asyncio.create_task(gate.send(secret="wrong")) for _ in range(TURNED_AWAY_PER_S)
    ]  # a second's worth
    await slowed.wait()
    assert (await gate.send()).status == 202
    assert not all(task.done() for task in crowd)
    let_go.set()
    assert {answer.status for answer in await asyncio.gather(*crowd)} == {404, 429}


async def test_a_projects_url_goes_with_the_project(gate: Gate) -> None:
    await gate.send()
    hook = await gate.add_hook()
    assert (await gate.send(secret=OWN_SECRET)).status == 202
    await gate.store.write(lambda tx: tx.delete_project(hook.project_id))
    assert await gate.send(secret=OWN_SECRET) == await nothing_there()


async def test_a_project_deleted_while_a_call_of_its_url_is_read(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gate.send()
    hook = await gate.add_hook()

    async def delete_then_read(headers: Mapping[str, str], receive: Receive) -> bytes:
        await gate.store.write(lambda tx: tx.delete_project(hook.project_id))
        return await read_body(headers, receive)

    monkeypatch.setattr("tagboat.webhook.sent_call.read_body", delete_then_read)
    assert await gate.send(secret=OWN_SECRET) == await nothing_there()


async def test_no_webhooks_secret_is_kept_of_a_call(gate: Gate) -> None:
    url = f"https://tagboat.example.com/api/webhook/{gate.secret}"
    escaped = url.replace("/", "\\/")
    ping = (
        f'{{"hook": {{"config": {{"url": "{url}?a=1", "again": "{escaped}"}}}}, '
        '"image": "git.example.com/acme/app:v1"}'
    )
    await gate.send(
        ping.encode(), {"x-original-uri": f"/api/webhook/{gate.secret}", "referer": url}
    )
    (kept,) = await gate.deliveries()
    assert gate.secret not in str(kept)
    assert (
        json.loads(kept.body)["hook"]["config"]["url"]
        == "https://tagboat.example.com/api/webhook/***?a=1"
    )
    assert kept.headers["x-original-uri"] == "/api/webhook/***"
    assert (
        json.loads(await gate.handler.redeliver(kept.id))["pushes"][0]["image"]
        == "git.example.com/acme/app"
    )
