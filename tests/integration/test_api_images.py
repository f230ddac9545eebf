"""Images and tags to choose from, over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.errors import RegistryDeniedError
from tagboat.core.image import ImageName
from tests.support.api import Api, running_api

pytestmark = pytest.mark.anyio
UNTOLD = "git.example.com does not tell which images it has"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def registry(
    api: Api, name: str = "Ours", url: str = "https://git.example.com", kind: str = "gitea"
) -> str:
    return str(
        (await api.caller.post("/api/registries", {"name": name, "url": url, "kind": kind})).json[
            "id"
        ]
    )


async def test_the_images_of_a_registry(api: Api) -> None:
    asked = await registry(api)
    api.registries.images += (ImageName("git.example.com", "acme/web"),)
    api.registries.whole = False

    answer = await api.caller.get(f"/api/registries/{asked}/images")

    names = ["git.example.com/acme/app", "git.example.com/acme/web"]
    assert (answer.status, answer.json) == (200, {"items": names, "whole": False, "error": None})
    assert api.registries.asked == [("images", "Ours")]
    assert (await api.caller.get(f"/api/registries/{'0' * 24}/images")).status == 404


async def test_the_tags_of_an_image_that_is_no_project_as_its_registry_keeps_them(api: Api) -> None:
    await registry(api)
    api.registries.tags = ("V2", "v1", "v2")

    ours = await api.caller.get("/api/images/tags?image=git.example.com/acme/new")
    strange = await api.caller.get("/api/images/tags?image=nginx")

    assert (ours.status, ours.json) == (200, {"items": ["v2", "v1"], "whole": True, "error": None})
    assert strange.json["items"] == ["V2", "v1", "v2"]
    assert api.registries.asked == [
        ("git.example.com/acme/new", "Ours"),
        ("docker.io/library/nginx", None),
    ]
    assert (await api.caller.get("/api/projects")).json["items"] == []


async def test_a_project_is_asked_of_at_the_registry_that_it_names(api: Api) -> None:
    await registry(api)
    mirror = await registry(api, "Mirror", "https://mirror.example.com", "oci")
    await api.caller.post(
        "/api/projects", {"name": "app", "image": "git.example.com/acme/app", "registry": mirror}
    )

    await api.caller.get("/api/images/tags?image=git.example.com/acme/app")

    assert api.registries.asked == [("git.example.com/acme/app", "Mirror")]


async def test_a_registry_that_does_not_tell_is_an_error_in_words(api: Api) -> None:
    asked = await registry(api)
    api.registries.error = RegistryDeniedError(UNTOLD)

    images = await api.caller.get(f"/api/registries/{asked}/images")
    tags = await api.caller.get("/api/images/tags?image=git.example.com/acme/app")

    for answer in (images, tags):
        assert (answer.status, answer.json) == (200, {"items": [], "whole": False, "error": UNTOLD})


@pytest.mark.parametrize("image", ["", "UPPER", "nginx:v1", "a@b", "%00", "x" * 300])
async def test_what_is_no_image_is_400(api: Api, image: str) -> None:
    answer = await api.caller.get(f"/api/images/tags?image={image}")

    assert answer.status == 400
    assert answer.json["detail"].startswith("image: ")
    assert api.registries.asked == []
