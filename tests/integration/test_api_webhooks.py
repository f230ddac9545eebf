"""Webhook URLs of projects and the signatures of calls, over HTTP."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.project_webhook import Signature, SignatureKind, hash_secret
from tests.support.api import Api, running_api

pytestmark = pytest.mark.anyio
WEBHOOK = "https://tagboat.example.com/api/webhook/"
SECRET = "not-to-be-seen-by-anybody"
GLOBAL = "/api/settings/webhook/signature"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def project(api: Api, name: str = "app") -> str:
    answer = await api.caller.post(
        "/api/projects", {"name": name, "image": f"git.example.com/acme/{name}"}
    )
    return str(answer.json["id"])


async def make(api: Api, project_id: str, name: str = "ci", **more: object) -> Any:  # noqa: ANN401 - JSON
    answer = await api.caller.post(f"/api/projects/{project_id}/webhooks", {"name": name, **more})
    assert answer.status == 201, answer.body
    return answer.json


async def kept(api: Api, hook_id: str) -> tuple[str, Signature | None]:
    hook = await api.store.read(lambda reader: reader.hook(hook_id))
    return hook.secret_hash, hook.signature


async def test_the_url_is_shown_once_and_only_its_hash_is_kept(api: Api) -> None:
    made = await make(api, await project(api))
    secret = made["url"].removeprefix(WEBHOOK)

    shown = [
        await api.caller.get(f"/api/projects/{made['project']['id']}/webhooks"),
        await api.caller.get(f"/api/webhooks/{made['id']}"),
        await api.caller.patch(f"/api/webhooks/{made['id']}", {"name": "renamed"}),
    ]

    assert uuid.UUID(secret).version == 4
    assert await kept(api, made["id"]) == (hash_secret(secret), None)
    assert all(secret not in answer.body.decode() for answer in shown)
    assert shown[0].json == {
        "items": [{name: made[name] for name in made if name != "url"}],
        "next": None,
    }
    assert (shown[1].json["name"], shown[2].json["name"]) == ("ci", "renamed")


async def test_a_new_url_takes_the_place_of_the_old_one(api: Api) -> None:
    made = await make(api, await project(api))

    rotated = await api.caller.post(f"/api/webhooks/{made['id']}/rotate")

    assert (rotated.status, rotated.json["id"]) == (200, made["id"])
    assert rotated.json["url"] != made["url"]
    assert (await kept(api, made["id"]))[0] == hash_secret(
        rotated.json["url"].removeprefix(WEBHOOK)
    )


async def test_a_revoked_one_is_gone(api: Api) -> None:
    made = await make(api, await project(api))
    path = f"/api/webhooks/{made['id']}"

    assert (await api.caller.delete(path)).status == 204

    gone = [
        await api.caller.get(path),
        await api.caller.patch(path, {"name": "x"}),
        await api.caller.post(f"{path}/rotate"),
        await api.caller.delete(path),
        await api.caller.get("/api/webhooks/none"),
    ]
    assert [answer.status for answer in gone] == [404] * 5
    assert await api.store.read(lambda reader: reader.hooks()) == []


async def test_a_url_takes_its_own_projects_image_until_it_is_made_anew_or_revoked(
    api: Api,
) -> None:
    made = await make(api, await project(api))

    async def call(url: str, image: str = "git.example.com/acme/app:v1") -> int:
        return (
            await api.anonymous.post(
                url.removeprefix("https://tagboat.example.com"), {"image": image}
            )
        ).status

    assert await call(made["url"]) == 202
    assert await call(made["url"], "git.example.com/acme/other:v1") == 400
    fresh = (await api.caller.post(f"/api/webhooks/{made['id']}/rotate")).json["url"]
    assert (await call(made["url"]), await call(fresh)) == (404, 202)
    await api.caller.delete(f"/api/webhooks/{made['id']}")
    assert await call(fresh) == 404


async def test_a_signature_is_demanded_from_the_next_call_on(api: Api) -> None:
    made = await make(api, await project(api))
    path = made["url"].removeprefix("https://tagboat.example.com")
    news = {"image": "git.example.com/acme/app:v1"}
    signature = {"kind": "header", "header": "Authorization", "secret": f"Bearer {SECRET}"}
    await api.caller.patch(f"/api/webhooks/{made['id']}", {"signature": signature})

    unsigned = await api.anonymous.post(path, news)
    signed = [
        await api.anonymous.call("POST", path, news, {"authorization": f"{word}{SECRET}"})
        for word in ("", "Bearer ")
    ]

    assert (unsigned.status, [answer.status for answer in signed]) == (404, [202, 202])
    assert SECRET not in (await api.caller.get("/api/deliveries")).body.decode()
    newest = (await api.caller.get("/api/deliveries")).json["items"][0]["id"]
    assert SECRET not in (await api.caller.get(f"/api/deliveries/{newest}")).body.decode()


async def test_names_are_unique_within_a_project(api: Api) -> None:
    first, other = await project(api), await project(api, "other")
    await make(api, first)
    spare = await make(api, first, "spare")
    await make(api, other)

    made = await api.caller.post(f"/api/projects/{first}/webhooks", {"name": "ci"})
    renamed = await api.caller.patch(f"/api/webhooks/{spare['id']}", {"name": "ci"})

    assert [answer.status for answer in (made, renamed)] == [409, 409]
    assert made.json["detail"] == "the project has a webhook named ci already"


async def test_webhooks_are_listed_by_name_in_pages(api: Api) -> None:
    owner = await project(api)
    for name in ("b", "ä", "a"):
        await make(api, owner, name)

    first = (await api.caller.get(f"/api/projects/{owner}/webhooks?limit=2")).json
    second = (
        await api.caller.get(f"/api/projects/{owner}/webhooks?limit=2&cursor={first['next']}")
    ).json

    assert [item["name"] for item in first["items"] + second["items"]] == ["a", "b", "ä"]
    assert second["next"] is None
    assert (await api.caller.get(f"/api/projects/{'0' * 24}/webhooks")).status == 404
    assert (
        await api.caller.post(f"/api/projects/{'0' * 24}/webhooks", {"name": "x"})
    ).status == 404


@pytest.mark.parametrize(
    ("asked", "shown", "stored"),
    [
        (
            {"kind": "hmac-sha256", "secret": SECRET},
            {"kind": "hmac-sha256", "header": None},
            Signature(kind=SignatureKind.HMAC_SHA256, secret=SECRET),
        ),
        (
            {"kind": "hmac-sha1", "secret": "ü and 15 others ", "header": None},
            {"kind": "hmac-sha1", "header": None},
            Signature(kind=SignatureKind.HMAC_SHA1, secret="ü and 15 others "),
        ),
        (
            {"kind": "header", "secret": f"Bearer {SECRET}", "header": "Authorization"},
            {"kind": "header", "header": "authorization"},
            Signature(kind=SignatureKind.HEADER, secret=SECRET, header="authorization"),
        ),
    ],
)
async def test_a_signature_goes_in_and_only_its_kind_comes_out(
    api: Api, asked: dict[str, object], shown: dict[str, object], stored: Signature
) -> None:
    made = await make(api, await project(api), signature=asked)
    plain = await make(api, made["project"]["id"], "plain")
    path = f"/api/webhooks/{plain['id']}"

    signed = (await api.caller.patch(path, {"signature": asked})).json
    renamed = (await api.caller.patch(path, {"name": "renamed"})).json
    assert (made["signature"], signed["signature"], renamed["signature"], plain["signature"]) == (
        shown,
        shown,
        shown,
        None,
    )
    assert (await kept(api, made["id"]))[1] == (await kept(api, plain["id"]))[1] == stored

    assert (await api.caller.patch(path, {"signature": None})).json["signature"] is None
    assert (await kept(api, plain["id"]))[1] is None


async def test_the_global_urls_signature_is_set_shown_and_taken_away(api: Api) -> None:
    none = {"kind": None, "header": None}
    asked = {"kind": "header", "secret": SECRET, "header": "X-JFrog-Event-Auth"}
    assert (await api.caller.get(GLOBAL)).json == none

    put = await api.caller.call("PUT", GLOBAL, asked)

    assert (put.status, put.json) == (200, {"kind": "header", "header": "x-jfrog-event-auth"})
    assert (await api.caller.get(GLOBAL)).json == put.json
    assert await api.store.read(lambda reader: reader.webhook_signature()) == Signature(
        kind=SignatureKind.HEADER, secret=SECRET, header="x-jfrog-event-auth"
    )
    assert (await api.caller.delete(GLOBAL)).status == 204
    assert (await api.caller.get(GLOBAL)).json == none
    assert await api.store.read(lambda reader: reader.webhook_signature()) is None


@pytest.mark.parametrize(
    ("signature", "field"),
    [
        ({"kind": "hmac-sha256"}, "secret"),
        ({"kind": "hmac-sha256", "secret": ""}, "secret"),
        ({"kind": "hmac-sha256", "secret": "x" * 7}, "secret"),
        ({"kind": "header", "secret": "Bearer " + "x" * 7, "header": "Authorization"}, "secret"),
        ({"kind": "hmac-sha256", "secret": "a\u0000"}, "secret"),
        ({"kind": "hmac-sha256", "secret": 1}, "secret"),
        ({"kind": "md5", "secret": SECRET}, "kind"),
        ({"secret": SECRET}, "kind"),
        ({"kind": "header", "secret": SECRET, "header": "X A"}, "header"),
        ({"kind": "header", "secret": SECRET, "header": ""}, "header"),
        ({"kind": "header", "secret": SECRET}, ""),
        ({"kind": "header", "secret": f"{SECRET} ", "header": "x"}, ""),
        ({"kind": "header", "secret": f"{SECRET}ü", "header": "x"}, ""),
        ({"kind": "hmac-sha1", "secret": SECRET, "header": "x"}, ""),
        ({"kind": "hmac-sha1", "secret": SECRET, "algorithm": "x"}, "algorithm"),
        (SECRET, ""),
    ],
)
async def test_unusable_signatures_are_refused_without_a_word_of_the_secret(
    api: Api, signature: object, field: str
) -> None:
    owner = await project(api)

    made = await api.caller.post(
        f"/api/projects/{owner}/webhooks", {"name": "ci", "signature": signature}
    )
    put = await api.caller.call("PUT", GLOBAL, signature)

    assert (made.status, put.status) == (422, 422)
    assert made.json["errors"][0]["field"] == ("signature." + field).rstrip(".")
    assert put.json["errors"][0]["field"] == (field or "body")
    assert SECRET not in made.body.decode() + put.body.decode()
    assert await api.store.read(lambda reader: (reader.hooks(), reader.webhook_signature())) == (
        [],
        None,
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", " x"), ("name", None), ("url", "https://x"), ("id", "x")],
)
async def test_unusable_values_are_refused(api: Api, field: str, value: object) -> None:
    made = await make(api, await project(api))

    created = await api.caller.post(
        f"/api/projects/{made['project']['id']}/webhooks", {"name": "new", field: value}
    )
    changed = await api.caller.patch(f"/api/webhooks/{made['id']}", {field: value})

    for answer in (created, changed):
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)
