"""What `explain` says of a push is what becomes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tagboat.core.errors import NotAnImageError
from tagboat.core.image import ImageInfo
from tests.support.api import Api, running_api

pytestmark = pytest.mark.anyio

APP = "git.example.com/acme/app"
HUB = "nginx"
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
SAID = ("image", "tag", "project", "stage", "outcome", "reason")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def made(api: Api, path: str, body: object) -> dict[str, Any]:
    answer = await api.caller.post(path, body)
    assert answer.status == 201, answer.body
    return dict(answer.json)


async def stages_of(api: Api) -> dict[str, str]:
    """A project on Gitea with a stage of each kind, and one without; the stages' ids by name."""
    await made(
        api, "/api/registries", {"name": "gitea", "url": "https://git.example.com", "kind": "gitea"}
    )
    await made(api, "/api/projects", {"name": "hub", "image": HUB})
    project = await made(api, "/api/projects", {"name": "app", "image": APP})
    stages: list[dict[str, Any]] = [
        {"name": "prod", "tag_pattern": "semver:>=1.0.0", "position": -1},
        {"name": "offered", "tag_pattern": "rc*", "auto_deploy": False},
        {"name": "previews", "tag_pattern": "regex:pr-[0-9]+", "max_instances": 3},
    ]
    return {
        stage["name"]: (await made(api, f"/api/projects/{project['id']}/stages", stage))["id"]
        for stage in stages
    }


async def explained(api: Api, ref: str) -> dict[str, Any]:
    answer = await api.caller.get(f"/api/explain?image={quote(ref, safe='')}")
    assert answer.status == 200, answer.body
    return dict(answer.json)


async def pushed(api: Api, ref: str) -> dict[str, Any]:
    url = (await api.caller.get("/api/settings/webhook")).json["url"]
    answer = await api.anonymous.post(url[url.index("/api/") :], {"image": ref})
    assert answer.status == 202, answer.body
    return dict(answer.json["pushes"][0])


async def came_as_said(api: Api, ref: str) -> str:
    """Push `ref`, once it is explained; the outcome."""
    said, came = await explained(api, ref), await pushed(api, ref)
    assert {key: came[key] for key in SAID} == {key: said[key] for key in SAID}, ref
    return str(came["outcome"])


async def test_every_outcome_is_foretold_in_the_same_words(api: Api) -> None:
    stages = await stages_of(api)
    for ref, outcome in [
        (f"{APP}:v1.0.0", "queued"),
        (f"{APP}:v1.0.0", "merged"),
        (f"{APP}:V1.0.0", "merged"),
        (f"{APP}:v1.0.0@{ONE}", "merged"),
        (f"{APP}:v1.1.0@{ONE}", "queued"),
        (f"{APP}:v1.1.0@{ONE}", "merged"),
        (f"{APP}:v1.1.0@{TWO}", "queued"),
        (f"{APP}:v1.1.0", "merged"),
        (f"{APP}:v1.0.0-rc.1", "unmatched"),
        (f"{APP}:RC1", "waiting"),
        (f"{APP}:pr-1", "queued"),
        (f"{APP}:pr-2", "queued"),
        (f"{APP}:pr-1", "merged"),
        (APP, "unmatched"),
        (HUB, "unmatched"),
    ]:
        assert await came_as_said(api, ref) == outcome, ref
    await api.caller.post(f"/api/stages/{stages['prod']}/hold")
    assert await came_as_said(api, f"{APP}:v1.1.0") == "waiting"
    await api.caller.post(f"/api/stages/{stages['prod']}/release")
    assert await came_as_said(api, f"{APP}:v1.1.0") == "merged"


async def test_a_refusal_is_foretold_with_the_tag_as_its_registry_has_it(api: Api) -> None:
    await stages_of(api)
    await api.caller.patch("/api/settings", {"auto_create": False})
    assert await came_as_said(api, "git.example.com/acme/other:V2") == "refused"
    assert (await explained(api, "git.example.com/acme/other:V2"))["tag"] == "v2"
    assert (await explained(api, "elsewhere.example.com/acme/other:V2"))["tag"] == "V2"
    await api.caller.patch(
        "/api/settings", {"auto_create": True, "auto_create_images": ["nowhere/**"]}
    )
    assert await came_as_said(api, "elsewhere.example.com/acme/other:V2") == "refused"


async def test_of_an_image_that_becomes_a_project_the_outcome_and_the_tag_are_foretold(
    api: Api,
) -> None:
    await stages_of(api)
    said, came = [await ask(api, "git.example.com/acme/new:V1") for ask in (explained, pushed)]
    assert (said["outcome"], said["tag"]) == (came["outcome"], came["tag"]) == ("queued", "v1")
    assert "no project has the image git.example.com/acme/new yet" in said["reason"]
    assert came["project_created"]


async def test_what_an_unknown_image_is_decides_what_is_foretold(api: Api) -> None:
    data, chart = "git.example.com/acme/db:v1", "git.example.com/acme/chart:v1"
    api.inspector.found |= {
        data: ImageInfo(volumes=("/var/lib/db",)),
        chart: NotAnImageError(f"{chart} is not a container image: it is a chart"),
    }
    said, came = [await ask(api, data) for ask in (explained, pushed)]
    assert (said["outcome"], came["outcome"]) == ("waiting", "waiting")
    assert said["reason"].endswith(came["reason"])
    assert await came_as_said(api, data) == "waiting"
    assert await came_as_said(api, chart) == "refused"
    assert await came_as_said(api, chart) == "refused"
