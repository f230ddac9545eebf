"""Each change of an account, a session or a token is in the audit, without secrets."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api, running_api

pytestmark = pytest.mark.anyio
PASSWORD, OTHER = "correct horse battery", "another good one"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


async def entries(api: Api) -> list[Any]:
    """The entries, oldest first; none of them has a password."""
    answer = await api.caller.get("/api/audit?limit=200")
    assert PASSWORD not in answer.body.decode()
    assert OTHER not in answer.body.decode()
    assert "argon2" not in answer.body.decode()
    items: list[Any] = answer.json["items"]
    return items[::-1]


def in_short(items: list[Any]) -> list[tuple[str, str, str]]:
    return [(one["actor"]["name"], one["action"], one["subject"]["name"]) for one in items]


async def test_a_refused_change_is_not_in_it(api: Api) -> None:
    body = {"name": "bob", "role": "admin", "password": PASSWORD}
    made = (await api.caller.post("/api/users", body)).json["id"]
    assert (await api.caller.patch(f"/api/users/{made}", {"role": "viewer"})).status == 409
    assert (await api.caller.delete(f"/api/users/{made}")).status == 409
    assert (await api.caller.post("/api/users", body)).status == 409

    assert len(await entries(api)) == 1


async def test_tokens(api: Api) -> None:
    body = {"name": "ci", "role": "deployer", "expires_in_days": 30}
    made = (await api.caller.post("/api/tokens", body)).json
    await api.caller.delete(f"/api/tokens/{made['id']}")

    found = await entries(api)
    assert [action for _, action, _ in in_short(found)] == ["token.create", "token.delete"]
    assert {one["field"] for one in found[0]["changes"]} >= {"name", "role", "expires_at"}
    assert made["token"] not in json.dumps(found)
