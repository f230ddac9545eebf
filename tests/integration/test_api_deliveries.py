"""The webhook's log, over HTTP."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tagboat.core.delivery import Delivery, Receipt
from tagboat.core.ids import new_id
from tagboat.core.project_webhook import ProjectWebhook
from tests.support.api import Api, running_api

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, 0, 250000, tzinfo=UTC)
PUSH: dict[str, object] = {
    "image": "git.example.com/acme/app", "tag": "v1", "digest": None, "project": {"id": "p",
    "name": "app"},
    "stage": {"id": "s", "name": "prod"}, "project_created": False, "outcome": "queued",
    "reason": "tag v1 matches v*",
    "deploy": "d",
}  # fmt: skip
UNMATCHED = PUSH | {
    "tag": "x",
    "stage": None,
    "outcome": "unmatched",
    "reason": "tag x matches no stage's pattern",
    "deploy": None,
}

SKIPPED = {"image": "git.example.com/acme/other", "reason": "it names no tag"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def keep(api: Api, result: dict[str, Any], **more: Any) -> Delivery:  # noqa: ANN401 - any field of a delivery
    key = new_id()
    receipt = msgspec.convert({"pushes": [], **result, "delivery": key}, Receipt)
    fields = {"id": key, "sender": "native", "status": 202, "received_at": NOW, "receipt": receipt}
    delivery = Delivery(**{**fields, **more})
    await api.store.write(lambda tx: tx.add_delivery(delivery))
    return delivery


async def listed(api: Api) -> list[Any]:
    answer = await api.caller.get("/api/deliveries")
    assert answer.status == 200, answer.body
    return list(answer.json["items"])


async def test_a_delivery_says_what_came_of_it(api: Api) -> None:
    delivery = await keep(api, {"delivery": "x", "pushes": [PUSH]}, took_ms=1.5)

    assert await listed(api) == [
        {
            "id": delivery.id,
            "sender": "native",
            "status": 202,
            "received_at": "2026-11-24T10:00:00.250000Z",
            "took_ms": 1.5,
            "hook": None,
            "outcome": "queued",
            "reason": "git.example.com/acme/app:v1 is queued in app prod: tag v1 matches v*",
            "pushes": [PUSH],
            "skipped": [],
            "needs_you": False,
        }
    ]


@pytest.mark.parametrize(
    ("status", "result", "outcome", "reason"),
    [
        (
            202,
            {"delivery": "x", "pushes": [PUSH, PUSH | {"tag": "v2"}, UNMATCHED]},
            "2 queued, 1 unmatched",
            "git.example.com/acme/app:v1 is queued in app prod: tag v1 matches v* (and 2 more)",
        ),
        (
            202,
            {"delivery": "x", "pushes": [UNMATCHED]},
            "unmatched",
            "git.example.com/acme/app:x is unmatched: tag x matches no stage's pattern",
        ),
        (
            202,
            {
                "delivery": "x",
                "pushes": [UNMATCHED],
                "reason": "set ROOT_URL",
                "skipped": [SKIPPED],
            },
            "unmatched",
            (
                "git.example.com/acme/app:x is unmatched: tag x matches no stage's pattern; 1 "
                "skipped; set ROOT_URL"
            ),
        ),
        (202, {"delivery": "x", "pushes": [], "reason": "a ping"}, "nothing to push", "a ping"),
        (400, {"reason": "`image` is missing"}, "failed", "`image` is missing"),
    ],
)
async def test_the_outcome_in_a_word_and_a_sentence(
    api: Api, status: int, result: dict[str, Any], outcome: str, reason: str
) -> None:
    await keep(api, result, status=status)

    (shown,) = await listed(api)

    assert (shown["outcome"], shown["reason"]) == (outcome, reason)


async def test_a_real_call_is_in_the_log(api: Api) -> None:
    url = (
        (await api.caller.get("/api/settings/webhook"))
        .json["url"]
        .removeprefix("https://tagboat.example.com")
    )
    good = (await api.anonymous.post(url, {"image": "git.example.com/acme/app:v1"})).json
    assert (await api.anonymous.post(url, {"image": "UPPER"})).status == 400

    bad, shown = await listed(api)

    assert (shown["id"], shown["pushes"]) == (good["delivery"], good["pushes"])
    assert (shown["outcome"], bad["outcome"], bad["status"]) == ("queued", "failed", 400)
    assert "UPPER" in bad["reason"]


async def test_what_was_skipped_and_what_needs_a_person_is_in_the_log(api: Api) -> None:
    url = (
        (await api.caller.get("/api/settings/webhook"))
        .json["url"]
        .removeprefix("https://tagboat.example.com")
    )
    target = {"repository": "acme/app", "tag": "v1"}
    events = [
        {"action": "push", "target": target, "request": {"host": host}}
        for host in ("registry", "r.example.com")
    ]
    good = (await api.anonymous.post(url, {"events": events})).json
    refused = await api.anonymous.call(
        "POST", url, {"name": "a", "reference": "v1"}, {"ce-type": "zotregistry.image.updated"}
    )
    assert refused.status == 400

    bad, shown = await listed(api)

    assert (shown["id"], shown["skipped"], shown["needs_you"]) == (
        good["delivery"],
        good["skipped"],
        True,
    )
    assert [skipped["image"] for skipped in shown["skipped"]] == ["registry/acme/app"]
    assert (bad["skipped"], bad["needs_you"]) == ([], True)


async def test_one_is_shown_with_all_that_is_kept_of_it(api: Api) -> None:
    result = {"reason": "no usable image"}
    delivery = await keep(
        api,
        result,
        status=400,
        headers={"user-agent": "ci"},
        body='{"image": 1',
        truncated=True,
        took_ms=0.5,
    )

    answer = await api.caller.get(f"/api/deliveries/{delivery.id}")

    (in_list,) = await listed(api)
    more = {
        "headers": {"user-agent": "ci"},
        "body": '{"image": 1',
        "truncated": True,
        "result": result,
    }
    assert (answer.status, answer.json) == (200, in_list | more)


async def test_the_webhook_called_is_named_even_when_it_is_revoked(api: Api) -> None:
    project = (
        await api.caller.post("/api/projects", {"name": "app", "image": "git.example.com/acme/app"})
    ).json
    hook = ProjectWebhook(
        id=new_id(), project_id=project["id"], name="ci", secret_hash="0", created_at=NOW
    )
    await api.store.write(lambda tx: tx.add_hook(hook))
    delivery = await keep(api, {"pushes": []}, hook_id=hook.id)
    path = f"/api/deliveries/{delivery.id}"

    before = [(await listed(api))[0]["hook"], (await api.caller.get(path)).json["hook"]]
    await api.caller.delete(f"/api/webhooks/{hook.id}")
    after = [(await listed(api))[0]["hook"], (await api.caller.get(path)).json["hook"]]

    assert before == [{"id": hook.id, "name": "ci"}] * 2
    assert after == [{"id": hook.id, "name": None}] * 2


async def test_deliveries_come_newest_first_in_pages(api: Api) -> None:
    made = [(await keep(api, {"pushes": []})).id for _ in range(3)]

    first = (await api.caller.get("/api/deliveries?limit=2")).json
    second = (await api.caller.get(f"/api/deliveries?limit=2&cursor={first['next']}")).json

    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next"] is None


async def test_once_more_answers_with_the_receipt(api: Api) -> None:
    url = (
        (await api.caller.get("/api/settings/webhook"))
        .json["url"]
        .removeprefix("https://tagboat.example.com")
    )
    first = (await api.anonymous.post(url, {"image": "git.example.com/acme/app:v1"})).json

    answer = await api.caller.post(f"/api/deliveries/{first['delivery']}/redeliver")

    assert (answer.status, answer.headers["content-type"]) == (202, "application/json")
    assert answer.json["pushes"][0] | {"reason": ""} == first["pushes"][0] | {
        "outcome": "merged", "project_created": False, "reason": "",
    }  # fmt: skip
    assert [item["id"] for item in await listed(api)] == [
        answer.json["delivery"],
        first["delivery"],
    ]


async def test_once_more_of_what_cannot_be_taken_in_says_why(api: Api) -> None:
    cut = await keep(api, {"pushes": [PUSH]}, body='{"image": "a', truncated=True)
    bad = await keep(
        api,
        {"reason": "no"},
        status=400,
        body='{"image": "UPPER"}',
        headers={"content-type": "application/json"},
    )

    answers = [
        await api.caller.post(f"/api/deliveries/{delivery.id}/redeliver") for delivery in (cut, bad)
    ]

    assert [answer.status for answer in answers] == [409, 422]
    assert "was not kept completely" in answers[0].json["detail"]
    assert "UPPER" in answers[1].json["detail"]


@pytest.mark.parametrize("unknown", ["0" * 24, "none", "%00"])
async def test_what_is_not_in_the_log_is_404(api: Api, unknown: str) -> None:
    assert (await api.caller.get(f"/api/deliveries/{unknown}")).status == 404
    assert (await api.caller.post(f"/api/deliveries/{unknown}/redeliver")).status == 404
