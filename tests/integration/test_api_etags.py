"""ETag of what can be changed, and If-Match on its changes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.ports import Tx
from tests.support.api import Api, running_api
from tests.support.asgi import Answer

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def paths(api: Api) -> dict[str, str]:
    """Make one of each; return the path of each."""
    app = {"name": "app", "image": "git.example.com/acme/app"}
    project = (await api.caller.post("/api/projects", app)).json["id"]
    lane = {"name": "dev", "tag_pattern": "*"}
    stage = (await api.caller.post(f"/api/projects/{project}/stages", lane)).json["id"]
    forge = {"name": "forge", "url": "https://git.example.com", "password": "first"}
    registry = (await api.caller.post("/api/registries", forge)).json["id"]
    hook = (await api.caller.post(f"/api/projects/{project}/webhooks", {"name": "ci"})).json["id"]
    return {
        "project": f"/api/projects/{project}",
        "stage": f"/api/stages/{stage}",
        "registry": f"/api/registries/{registry}",
        "hook": f"/api/webhooks/{hook}",
        "settings": "/api/settings",
    }


async def with_match(api: Api, method: str, path: str, etag: str, body: object = None) -> Answer:
    headers = {"if-match": etag}
    if method == "DELETE":
        return await api.caller.call(method, path, headers=headers)
    return await api.caller.call(method, path, body, headers=headers)


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("project", {"port": 80}, {"healthcheck": "/up"}, "port_set"),
    ("stage", {"tag_pattern": "v*"}, {"env": {"A": "1"}}, "pattern"),
    ("registry", {"username": "me"}, {"name": "other"}, "username"),
    ("hook", {"name": "other"}, {"name": "third"}, "name"),
    ("settings", {"images_keep": 7}, {"max_projects": 5}, "images_keep"),
]


@pytest.mark.parametrize(("kind", "first", "second", "field"), CHANGES)
async def test_a_change_of_what_was_changed_since_is_refused_and_names_it(
    api: Api, kind: str, first: dict[str, Any], second: dict[str, Any], field: str
) -> None:
    path = (await paths(api))[kind]
    read = await api.caller.get(path)
    changed = await with_match(api, "PATCH", path, read.headers["etag"], first)
    late = await with_match(api, "PATCH", path, read.headers["etag"], second)

    assert changed.status == 200
    assert changed.headers["etag"] != read.headers["etag"]
    assert (late.status, late.json["type"]) == (412, "/problems/stale")
    assert field in late.json["detail"]
    assert late.headers["etag"] == changed.headers["etag"]
    again = await api.caller.get(path)
    assert again.headers["etag"] == changed.headers["etag"]
    retried = await with_match(api, "PATCH", path, again.headers["etag"], second)
    assert retried.status == 200
    assert (await api.caller.patch(path, {})).status == 200, "without If-Match nothing is demanded"


@pytest.mark.parametrize("kind", ["project", "stage", "registry", "hook"])
async def test_a_deletion_of_what_was_changed_since_is_refused(api: Api, kind: str) -> None:
    path = (await paths(api))[kind]
    etag = (await api.caller.get(path)).headers["etag"]
    await api.caller.patch(path, {"name": "renamed"})
    late = await with_match(api, "DELETE", path, etag)

    assert (late.status, late.json["type"]) == (412, "/problems/stale")
    assert "name" in late.json["detail"]
    assert (await with_match(api, "DELETE", path, late.headers["etag"])).status == 204


@pytest.mark.parametrize("kind", ["project", "stage", "registry", "hook"])
async def test_a_deletion_is_refused_where_the_change_comes_just_before_it(
    api: Api, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = (await paths(api))[kind]
    etag = (await api.caller.get(path)).headers["etag"]
    write = api.store.write

    async def late(work: Callable[[Tx], Any]) -> Any:  # noqa: ANN401 - whatever the work returns
        monkeypatch.undo()
        assert (await api.caller.patch(path, {"name": "renamed"})).status == 200
        return await write(work)

    monkeypatch.setattr(api.store, "write", late)
    assert (await with_match(api, "DELETE", path, etag)).status == 412
    assert (await api.caller.get(path)).json["name"] == "renamed"
    assert await api.store.read(lambda reader: reader.deletions()) == []


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("*", 200),
        ('"x", {etag}', 200),
        ("W/{etag}", 412),
        ('"x"', 412),
        ("nonsense", 412),
        ("", 412),
        (" , ", 412),
    ],
)
async def test_the_forms_of_if_match(api: Api, header: str, status: int) -> None:
    path = (await paths(api))["stage"]
    etag = (await api.caller.get(path)).headers["etag"]
    answer = await with_match(api, "PATCH", path, header.replace("{etag}", etag), {"position": 1})

    assert answer.status == status


async def test_a_poll_does_not_change_the_version_and_no_secret_shows_in_it(api: Api) -> None:
    where = await paths(api)
    before = (await api.caller.get(where["registry"])).headers["etag"]
    await api.caller.patch(where["registry"], {"password": "second"})
    assert (await api.caller.get(where["registry"])).headers["etag"] == before
    await api.caller.patch(where["registry"], {"password": None})
    assert (await api.caller.get(where["registry"])).headers["etag"] != before

    project = (await api.caller.get(where["project"])).headers["etag"]
    await api.caller.post(f"{where['project']}/poll")
    assert (await api.caller.get(where["project"])).headers["etag"] == project
    await api.caller.patch(where["project"], {"secrets": {"A": "1"}})
    one = (await api.caller.get(where["project"])).headers["etag"]
    await api.caller.patch(where["project"], {"secrets": {"A": "2"}})
    assert one != project
    assert (await api.caller.get(where["project"])).headers["etag"] == one
