"""A new project by three questions, and a quick deploy."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.errors import RegistryUnreachableError
from tagboat.core.image import ImageInfo, ImageName
from tagboat.core.principal import Role
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in, words
from tests.support.sample_pages import fill

pytestmark = pytest.mark.anyio
IMAGE = "git.example.com/acme/new"
FORM = {
    "image": IMAGE,
    "registry": "",
    "name": "new",
    "stage": "dev",
    "tag_pattern": "v*",
    "auto_deploy": "yes",
    "port": "",
    "healthcheck": "",
    "env": "",
    "tag": "",
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        running.registries.tags = ("main-1a2b3c4", "v1.0.0", "v1.10.0", "v1.9.0")
        running.inspector.found[f"{IMAGE}:v1.10.0"] = ImageInfo(
            tcp_ports=(3000,), env=("NODE_ENV=production",)
        )
        yield running


@pytest.fixture
async def browser(api: Api) -> Browser:
    return await signed_in(api)


async def test_the_first_question_names_the_registries(api: Api, browser: Browser) -> None:
    assert "No registry is configured." in words(await browser.get("/new-project"))
    await api.caller.post(
        "/api/registries", {"name": "forge", "url": "https://git.example.com", "kind": "gitea"}
    )
    page = await browser.get("/new-project")
    assert "forge git.example.com" in words(page)
    assert 'href="/new-project?registry=' in page.body.decode()


async def test_the_images_of_a_registry_come_after_the_page(api: Api, browser: Browser) -> None:
    made = await api.caller.post(
        "/api/registries", {"name": "forge", "url": "https://git.example.com", "kind": "gitea"}
    )
    api.registries.images = tuple(ImageName("git.example.com", f"acme/{name}") for name in "abc")
    path = f"/new-project?registry={made.json['id']}"
    page = await browser.get(path)
    assert "Asking git.example.com" in words(page)
    # No call of a registry waits before the page.
    assert api.registries.asked == []
    assert 'hx-trigger="load"' in page.body.decode()
    # Without JavaScript a link leads to the list.
    listed = await browser.get(f"{path}&list=1&q=ACME/B")
    assert "git.example.com/acme/b" in words(listed)
    assert "git.example.com/acme/a" not in words(listed)
    part = await browser.get(f"/new-project/images?registry={made.json['id']}")
    assert "<html" not in part.body.decode()
    assert "git.example.com/acme/c" in words(part)
    api.registries.error = RegistryUnreachableError("it is down")
    down = words(await browser.get(f"/new-project/images?registry={made.json['id']}"))
    assert down == "it is down. Type the image instead."


async def test_the_rule_shows_what_it_takes(api: Api, browser: Browser) -> None:
    asked = f"/new-project/matches?image={IMAGE}"
    seen = words(await browser.get(f"{asked}&tag_pattern=v*"))
    assert seen == "3 of 4 tags match. v1.10.0 v1.9.0 v1.0.0"
    wrong = await browser.get(f"{asked}&tag_pattern=v%5B")
    assert wrong.status == 200
    assert "[" in words(wrong)
    page = await browser.get(f"/new-project?image={IMAGE}")
    assert "/new-project/matches?image=git.example.com/acme/new" in page.body.decode()
    assert api.registries.asked[1:] == []


async def test_the_image_says_what_it_needs(browser: Browser) -> None:
    part = await browser.get(f"/new-project/look?image={IMAGE}")
    assert "It listens on port 3000. It has no health check. It sets NODE_ENV." in words(part)
    assert 'value="v1.10.0"' in part.body.decode()
    typed = await browser.get(f"/new-project/look?image={IMAGE}&tag=v1.0.0")
    assert 'name="tag" type="text" value="v1.0.0"' in typed.body.decode()
    whole = await browser.get(f"/new-project?image={IMAGE}&look=1")
    assert "It listens on port 3000." in words(whole)
    assert "All 4 tags match." in words(whole)


async def test_the_registry_that_was_chosen_is_asked_without_javascript(
    api: Api, browser: Browser
) -> None:
    ids = [
        (await api.caller.post("/api/registries", {"name": name, "url": url})).json["id"]
        for name, url in (("one", "https://git.example.com"), ("two", "https://two.example.com"))
    ]
    await browser.get(f"/new-project?image={IMAGE}&registry={ids[1]}&look=1")
    assert api.registries.asked == [(IMAGE, "two")]


async def test_no_registry_is_asked_for_those_who_make_no_projects(api: Api) -> None:
    made = await api.caller.post(
        "/api/registries", {"name": "forge", "url": "https://git.example.com"}
    )
    for role in (Role.VIEWER, Role.DEPLOYER):
        other = await signed_in(api, role, role.value)
        for asked in (f"registry={made.json['id']}&list=1", f"image={IMAGE}&look=1"):
            assert (await other.get(f"/new-project?{asked}")).status == 200
    assert api.registries.asked == []


async def test_without_javascript_a_rule_is_tried_by_a_button(browser: Browser) -> None:
    answer = await browser.post("/new-project", {**FORM, "try": "1", "name": "other"})
    assert answer.status == 200
    assert "3 of 4 tags match." in words(answer)
    assert 'value="other"' in answer.body.decode()
    wrong = await browser.post("/new-project", {**FORM, "try": "1", "tag_pattern": "v["})
    assert wrong.status == 422
    assert 'id="e-tag_pattern"' in wrong.body.decode()


async def test_a_project_is_made_and_deployed(api: Api, browser: Browser) -> None:
    form = {
        **FORM,
        "port": "8080",
        "healthcheck": "/up",
        "env": '# no\r\n A = x=y \nB="1\\n2"\nC=',
        "tag": "v1.10.0",
    }
    done = await browser.post("/new-project", form)
    assert re.fullmatch(r"/deploys/[0-9a-f]{24}", done.headers["location"])
    assert "new is made; v1.10.0 is queued." in words(await browser.follow(done))
    (project,) = (await api.caller.get("/api/projects")).json["items"]
    assert (project["name"], project["port"], project["healthcheck"]) == ("new", 8080, "/up")
    assert project["env"] == {"A": "x=y", "B": "1\n2", "C": ""}
    (stage,) = (await api.caller.get(f"/api/projects/{project['id']}/stages")).json["items"]
    assert (stage["name"], stage["tag_pattern"], stage["auto_deploy"]) == ("dev", "v*", True)


async def test_a_project_without_first_deploy_leaves_port_to_its_image(
    api: Api, browser: Browser
) -> None:
    form = {key: value for key, value in FORM.items() if key != "auto_deploy"}
    done = await browser.post("/new-project", form)
    assert done.headers["location"] == "/projects/new"
    (project,) = (await api.caller.get("/api/projects")).json["items"]
    assert (project["port_set"], project["healthcheck_set"]) == (False, False)
    (stage,) = (await api.caller.get(f"/api/projects/{project['id']}/stages")).json["items"]
    assert stage["auto_deploy"] is False


async def test_a_project_named_new_has_its_pages(api: Api, browser: Browser) -> None:
    names = ("quick", "images", "look")
    stages = [{"name": name, "tag_pattern": f"{name}*"} for name in names]
    body = {"name": "new", "image": IMAGE, "stages": stages}
    assert (await api.caller.post("/api/projects", body)).status == 201
    assert IMAGE in words(await browser.get("/projects/new"))
    for stage in names:
        page = await browser.get(f"/projects/new/{stage}")
        assert (page.status, f"{stage}*" in words(page)) == (200, True)
        held = await browser.post(f"/projects/new/{stage}/hold")
        assert held.headers["location"] == f"/projects/new/{stage}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Not A Name"),
        ("stage", "-"),
        ("tag_pattern", "regex:("),
        ("port", "70000"),
        ("port", "x"),
        ("healthcheck", "up"),
        ("env", "NONSENSE"),
        ("env", "A=1\nA=2"),
        ("env", "A=" + "x" * 32_769),
        ("env", "\n".join(f"A{number}=" for number in range(201))),
        ("env", "A" * 256 + "=1"),
        ("tag", "not a tag"),
    ],
)
async def test_a_wrong_field_comes_back_with_its_error(
    api: Api, browser: Browser, field: str, value: str
) -> None:
    answer = await browser.post("/new-project", {**FORM, "name": "kept", field: value})
    page = answer.body.decode()
    assert answer.status == 422
    assert f'id="e-{field}"' in page
    assert value in page
    assert field == "name" or 'value="kept"' in page
    assert (await api.caller.get("/api/projects")).json["items"] == []


async def test_an_image_has_one_project(api: Api, browser: Browser) -> None:
    await fill(api.store)
    shown = words(await browser.get("/new-project?image=git.example.com/acme/shop"))
    assert "The project shop deploys this image already." in shown
    taken = await browser.post("/new-project", {**FORM, "name": "shop"})
    assert taken.status == 409
    assert "There is a project named shop already" in words(taken)
    assert 'role="alert"' in taken.body.decode()


async def test_a_name_that_is_no_image(browser: Browser) -> None:
    answer = await browser.get("/new-project?image=Git.example.com/ACME:v1")
    assert answer.status == 422
    assert 'id="e-image"' in answer.body.decode()


async def test_a_quick_deploy_makes_the_project(api: Api, browser: Browser) -> None:
    done = await browser.post("/new-project/quick", {"quick": f"{IMAGE}:v1.10.0"})
    seen = words(await browser.follow(done))
    assert "The project new is made. v1.10.0 is queued in new dev." in seen
    (project,) = (await api.caller.get("/api/projects")).json["items"]
    assert project["port"] == 3000
    log = (await api.caller.get("/api/audit")).json["items"]
    assert {"project.create", "stage.create", "deploy.create"} <= {one["action"] for one in log}


async def test_a_quick_deploy_of_a_known_image_goes_where_it_matches(
    api: Api, browser: Browser
) -> None:
    await fill(api.store)
    deployer = await signed_in(api, Role.DEPLOYER, "dora")
    done = await deployer.post("/new-project/quick", {"quick": "git.example.com/acme/shop:v2.0.0"})
    assert "v2.0.0 is queued in shop prod." in words(await deployer.follow(done))
    refused = await deployer.post("/new-project/quick", {"quick": f"{IMAGE}:v1.10.0"})
    assert refused.status == 403
    assert "This needs the role admin" in words(refused)
    assert f'value="{IMAGE}:v1.10.0"' in refused.body.decode()
    assert browser.csrf


@pytest.mark.parametrize("text", ["", "a b", f"{IMAGE}@sha256:12", f"{IMAGE}:v0.0.9"])
async def test_a_quick_deploy_of_what_is_not_there(api: Api, browser: Browser, text: str) -> None:
    answer = await browser.post("/new-project/quick", {"quick": text})
    assert answer.status == 422
    assert 'id="e-quick"' in answer.body.decode()
    assert (await api.caller.get("/api/projects")).json["items"] == []


async def test_others_are_told_what_they_may_not(api: Api) -> None:
    viewer = await signed_in(api, Role.VIEWER, "vera")
    assert "You are a viewer: ask an admin" in words(await viewer.get("/new-project"))
    assert (await viewer.post("/new-project/quick", {"quick": IMAGE})).status == 403
    assert (await viewer.get(f"/new-project/look?image={IMAGE}")).status == 403
    deployer = await signed_in(api, Role.DEPLOYER, "dora")
    assert "only an admin makes projects" in words(await deployer.get("/new-project"))
    assert (await deployer.post("/new-project", FORM)).status == 403
    nobody = await Browser(api).get("/new-project")
    assert nobody.headers["location"] == "/sign-in?next=/new-project"
