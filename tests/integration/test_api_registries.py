"""Registries, over HTTP."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.catalog import Registry
from tagboat.core.ports import Reader
from tagboat.core.values import replace
from tagboat.registry.endpoint import endpoint_for
from tagboat.registry.login_pin import pin_login_service
from tests.support.api import Api, running_api
from tests.support.private_ca import PrivateCa

pytestmark = pytest.mark.anyio
SECRET = "not-to-be-seen"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def make(
    api: Api, name: str = "Ours", url: str = "https://git.example.com", **more: object
) -> Any:  # noqa: ANN401 - JSON
    answer = await api.caller.post("/api/registries", {"name": name, "url": url, **more})
    assert answer.status == 201, answer.body
    return answer.json


async def stored_password(api: Api, registry_id: str) -> str | None:
    return (await api.store.read(lambda reader: reader.registry(registry_id))).password


async def test_the_password_goes_in_and_never_comes_out(api: Api) -> None:
    made = await make(api, kind="gitea", username="ci", password=SECRET)

    answers = [
        await api.caller.get("/api/registries"),
        await api.caller.get(f"/api/registries/{made['id']}"),
        await api.caller.patch(f"/api/registries/{made['id']}", {"name": "Renamed"}),
        await api.caller.patch(
            f"/api/registries/{made['id']}", {"password": SECRET, "kind": SECRET}
        ),
        await api.caller.post(f"/api/registries/{made['id']}/test"),
    ]

    assert made == {
        "id": made["id"],
        "name": "Ours",
        "url": "https://git.example.com",
        "kind": "gitea",
        "username": "ci",
        "has_password": True,
        "password_command": None,
        "ca_cert": "",
        "login_service": None,
    }
    assert all(SECRET not in answer.body.decode() for answer in answers)
    assert await stored_password(api, made["id"]) == SECRET


async def test_null_clears_the_password_and_nothing_else_does(api: Api) -> None:
    made = await make(api, password=SECRET)

    renamed = (await api.caller.patch(f"/api/registries/{made['id']}", {"username": "ci"})).json
    cleared = (await api.caller.patch(f"/api/registries/{made['id']}", {"password": None})).json

    assert (renamed["has_password"], cleared["has_password"]) == (True, False)
    assert await stored_password(api, made["id"]) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://Git.Example.com/", "https://git.example.com"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://registry:5000", "http://registry:5000"),
        ("https://[::1]:5000/", "https://[::1]:5000"),
        ("https://Git.example.com/v2/", "https://git.example.com"),
        ("https://git.example.com:443", "https://git.example.com"),
        ("HTTPS://Git.example.com/", "https://git.example.com"),
        ("Http://git.example.com:5000", "http://git.example.com:5000"),
        ("http://git.example.com:443", "http://git.example.com:443"),
        ("https://hub.docker.com", "https://docker.io"),
        ("https://hub.docker.com/u/acme", "https://docker.io"),
        ("https://index.docker.io/v1/", "https://docker.io"),
        ("https://Registry-1.docker.io:443/v2/", "https://docker.io"),
        ("https://registry.hub.docker.com", "https://docker.io"),
        ("http://docker.io", "https://docker.io"),
        ("docker.io", "https://docker.io"),
    ],
)
async def test_urls_are_kept_in_one_form(api: Api, given: str, kept: str) -> None:
    assert (await make(api, url=given))["url"] == kept


async def test_images_named_with_the_port_of_tls_are_of_the_same_registry(api: Api) -> None:
    tls, plain = await make(api), await make(api, "Plain", "http://plain.example.com")

    def found(host: str) -> Callable[[Reader], str | None]:
        return lambda reader: registry.id if (registry := reader.registry_for_host(host)) else None

    assert await api.store.read(found("git.example.com:443")) == tls["id"]
    assert await api.store.read(found("git.example.com:5000")) is None
    assert await api.store.read(found("plain.example.com")) == plain["id"]
    assert await api.store.read(found("plain.example.com:443")) is None


async def test_another_url_has_another_login_service(api: Api) -> None:
    made = await make(api)
    site = endpoint_for("", await api.store.read(lambda reader: reader.registry(made["id"])))
    await pin_login_service(api.store, site, "https://auth.example.com")
    await pin_login_service(
        api.store, replace(site, id="0" * 24), "https://auth.example.com"
    )  # deleted meanwhile

    shown = (await api.caller.get(f"/api/registries/{made['id']}")).json
    renamed = (
        await api.caller.patch(
            f"/api/registries/{made['id']}", {"name": "Theirs", "password": SECRET}
        )
    ).json
    moved = (
        await api.caller.patch(
            f"/api/registries/{made['id']}", {"url": "https://git.example.net", "password": SECRET}
        )
    ).json

    await pin_login_service(api.store, site, "https://auth.example.com")  # whose login began before
    still = (await api.caller.get(f"/api/registries/{made['id']}")).json

    assert [one["login_service"] for one in (shown, renamed, moved, still)] == [
        "https://auth.example.com"
    ] * 2 + [None] * 2


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.net",
        "https://git.example.com:8443",
        "https://git.example.com.example.net",
        "http://git.example.com",
        "docker.io",
    ],
)
async def test_a_saved_password_does_not_follow_the_url_to_another_server(
    api: Api, url: str
) -> None:
    made = await make(api, username="ci", password=SECRET)
    path = f"/api/registries/{made['id']}"

    for change in ({"url": url}, {"url": url, "username": "ci", "kind": "gitea"}):
        refused = await api.caller.patch(path, change)
        assert (refused.status, refused.json["errors"][0]["field"]) == (422, "password")
    assert "https://git.example.com" in refused.json["detail"]
    assert (await stored(api, made["id"])).url == "https://git.example.com"

    moved = await api.caller.patch(path, {"url": url, "password": "another"})
    assert (moved.status, await stored_password(api, made["id"])) == (200, "another")
    back = await api.caller.patch(path, {"url": "https://back.example.com", "password": None})
    assert (back.status, back.json["has_password"]) == (200, False)
    free = await api.caller.patch(path, {"url": "https://free.example.com"})
    assert free.status == 200


@pytest.mark.parametrize("more", [{"password_command": "print it"}, {"docker_config": ""}])
async def test_another_login_may_come_with_another_url(api: Api, more: dict[str, str]) -> None:
    made = await make(api, password=SECRET)
    if "docker_config" in more:
        more = {"docker_config": docker_config(**{"git.example.net": "bot:from-docker"})}
    moved = await api.caller.patch(
        f"/api/registries/{made['id']}", {"url": "https://git.example.net", **more}
    )
    assert moved.status == 200, moved.body
    assert await stored_password(api, made["id"]) != SECRET


async def test_a_password_stays_for_the_same_server(api: Api) -> None:
    made = await make(api, url="http://git.example.com", kind="gitea", password=SECRET)
    for url in (
        "https://git.example.com",
        "https://Git.example.com/",
        "https://git.example.com/git",
    ):
        moved = await api.caller.patch(f"/api/registries/{made['id']}", {"url": url})
        assert moved.status == 200, moved.body
    assert await stored_password(api, made["id"]) == SECRET


async def test_only_a_gitea_may_be_below_a_path(api: Api) -> None:
    made = await make(api, url="https://Example.com/Git/", kind="gitea")
    assert made["url"] == "https://example.com/Git"

    refused = await api.caller.patch(f"/api/registries/{made['id']}", {"kind": "oci"})
    assert (refused.status, [error["field"] for error in refused.json["errors"]]) == (422, ["url"])

    again = await api.caller.post(
        "/api/registries", {"name": "Same host", "url": "https://example.com", "kind": "oci"}
    )
    assert again.status == 409


async def test_what_is_tested_is_an_image_that_somebody_deploys(api: Api) -> None:
    ours = await make(api)
    other = await make(api, "Other", "https://other.example.com")
    await api.caller.post("/api/projects", {"name": "app", "image": "git.example.com/acme/app"})
    named = {"name": "named", "image": "pulls.example.com/acme/named", "registry": other["id"]}
    assert (await api.caller.post("/api/projects", named)).status == 201

    for registry in (ours, other, await make(api, "Unused", "https://unused.example.com")):
        assert (await api.caller.post(f"/api/registries/{registry['id']}/test")).status == 200

    images = ["git.example.com/acme/app", "pulls.example.com/acme/named", "None"]
    assert [str(image) for image in api.registries.examined] == images


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "git.example.com"),
        ("url", "ftp://git.example.com"),
        ("url", "https://user:pass@git.example.com"),
        ("url", "https://git.example.com/path"),
        ("url", "https://git.example.com?x=1"),
        ("url", "https://git.example.com#x"),
        ("url", "https://git.example.com//"),
        ("url", "https://git.example.com:0"),
        ("url", "https://git.example.com:65536"),
        ("url", "https://[1:2]"),
        ("url", "https://a b"),
        ("url", "https://git.example.com\n"),
        ("url", "https://"),
        ("url", None),
        ("kind", "harbor"),
        ("kind", 1),
        ("kind", None),
        ("name", ""),
        ("name", " x"),
        ("name", "a\nb"),
        ("name", "x" * 101),
        ("username", "a:b"),
        ("username", "a\u0000"),
        ("username", None),
        ("password", "a\u0000"),
        ("password", 1),
        ("has_password", True),
        ("ca_cert", "not PEM"),
        ("ca_cert", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("ca_cert", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("ca_cert", None),
        ("password_command", "aws 'open"),
        ("password_command", "a\nb"),
        ("password_command", "x" * 5000),
        ("password_command", 5),
        ("docker_config", ""),
        ("docker_config", "not JSON"),
        ("docker_config", None),
        ("docker_config", "{}"),
    ],
)
async def test_unusable_values_are_refused(api: Api, field: str, value: object) -> None:
    made = await make(api)

    created = await api.caller.post(
        "/api/registries", {"name": "new", "url": "https://new.example.com", field: value}
    )
    changed = await api.caller.patch(f"/api/registries/{made['id']}", {field: value})

    for answer in (created, changed):
        assert answer.status == 422
        assert answer.json["errors"][0]["field"] == field
    assert (await api.caller.get(f"/api/registries/{made['id']}")).json == made


async def stored(api: Api, registry_id: str) -> Registry:
    return await api.store.read(lambda reader: reader.registry(registry_id))


def docker_config(**logins: str) -> str:
    """The text of a config.json; names of hosts with _ for dots, each with its
    `username:password`.
    """
    encoded = {host: base64.b64encode(login.encode()).decode() for host, login in logins.items()}
    return json.dumps(
        {"auths": {host.replace("_", "."): {"auth": auth} for host, auth in encoded.items()}}
    )


async def test_a_private_authority_is_kept_shown_and_taken_away(api: Api, tmp_path: Path) -> None:
    ours, other = PrivateCa(tmp_path), PrivateCa(tmp_path)
    made = await make(api, ca_cert=ours.pem)
    path = f"/api/registries/{made['id']}"

    renamed = (await api.caller.patch(path, {"name": "Renamed"})).json
    both = (await api.caller.patch(path, {"ca_cert": f"# ours\n{ours.pem}\n{other.pem}"})).json
    assert (await stored(api, made["id"])).ca_cert == both["ca_cert"]
    none = (await api.caller.patch(path, {"ca_cert": ""})).json

    assert made["ca_cert"] == renamed["ca_cert"] == ours.pem
    assert (other.pem in both["ca_cert"], none["ca_cert"]) == (True, "")


async def test_a_private_key_is_not_taken_for_a_certificate(api: Api, tmp_path: Path) -> None:
    issued = PrivateCa(tmp_path).issue("registry")
    text = issued.chain.read_text() + issued.key.read_text()

    answer = await api.caller.post(
        "/api/registries", {"name": "x", "url": "https://x.example.com", "ca_cert": text}
    )

    assert answer.status == 422
    assert "leave the key out" in answer.json["detail"]


async def test_a_docker_config_brings_the_login_of_the_urls_host(api: Api) -> None:
    config = docker_config(git_example_com=f"ci:{SECRET}", hub_example_com="other:word")
    made = await make(api, docker_config=config)
    path = f"/api/registries/{made['id']}"

    assert (made["username"], made["has_password"]) == ("ci", True)
    assert (await stored(api, made["id"])).password == SECRET
    moved = await api.caller.patch(
        path, {"url": "https://hub.example.com", "docker_config": config}
    )
    assert (moved.json["username"], (await stored(api, made["id"])).password) == ("other", "word")
    assert SECRET not in moved.body.decode()


async def test_a_docker_config_without_that_host_is_refused_with_those_it_has(api: Api) -> None:
    made = await make(api, username="before")
    config = docker_config(hub_example_com=f"ci:{SECRET}")

    created = await api.caller.post(
        "/api/registries", {"name": "x", "url": "https://x.example.com", "docker_config": config}
    )
    changed = await api.caller.patch(f"/api/registries/{made['id']}", {"docker_config": config})
    twice = await api.caller.patch(
        f"/api/registries/{made['id']}", {"docker_config": config, "username": "me"}
    )

    assert created.json["errors"] == [
        {
            "field": "docker_config",
            "message": (
                "the Docker config has no login for x.example.com; it has logins for "
                "hub.example.com"
            ),
        }
    ]
    assert (changed.status, twice.status, twice.json["errors"][0]["field"]) == (
        422,
        422,
        "docker_config",
    )
    assert (await stored(api, made["id"])).username == "before"
    assert SECRET not in created.body.decode() + changed.body.decode() + twice.body.decode()


async def test_a_password_command_takes_the_place_of_a_password_and_the_other_way_round(
    api: Api,
) -> None:
    made = await make(api, username="AWS", password=SECRET)
    path, command = f"/api/registries/{made['id']}", "aws ecr get-login-password"
    assert (made["has_password"], made["password_command"]) == (True, None)

    by_command = (await api.caller.patch(path, {"password_command": f" {command} "})).json
    assert (by_command["has_password"], by_command["password_command"]) == (False, command)
    assert (await stored(api, made["id"])).password is None
    untouched = (await api.caller.patch(path, {"username": "other"})).json
    assert (untouched["username"], untouched["password_command"]) == ("other", command)
    stored_again = (await api.caller.patch(path, {"password": SECRET})).json
    assert (stored_again["has_password"], stored_again["password_command"]) == (True, None)
    await api.caller.patch(path, {"password_command": command})
    cleared = (await api.caller.patch(path, {"password_command": None})).json
    assert (cleared["has_password"], cleared["password_command"]) == (False, None)

    both = {"password": SECRET, "password_command": command}
    refused = await api.caller.patch(path, both)
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "password_command")
    assert SECRET not in refused.body.decode()
    audit = (await api.caller.get("/api/audit?limit=200")).body.decode()
    assert command in audit
    assert SECRET not in audit


async def test_a_credential_helper_in_a_docker_config_becomes_the_command(api: Api) -> None:
    config = json.dumps({"credHelpers": {"git.example.com": "ecr-login"}})
    made = await make(api, docker_config=config)
    assert made["password_command"] == "docker-credential-ecr-login get"
    assert made["has_password"] is False
    twice = {"docker_config": config, "password_command": "other"}
    refused = await api.caller.patch(f"/api/registries/{made['id']}", twice)
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "docker_config")


@pytest.mark.parametrize(
    "name", ["\u202e", "a\u202eb", "\u200b", " a", "a\nb", "\u00a0", "", "\u3164"]
)
async def test_a_name_can_be_seen(api: Api, name: str) -> None:
    project = {"name": "app", "image": "git.example.com/acme/app"}
    made = (await api.caller.post("/api/projects", project)).json
    registry = {"name": name, "url": "https://new.example.com"}
    hooks = f"projects/{made['id']}/webhooks"
    for path, body in (("registries", registry), (hooks, {"name": name})):
        answer = await api.caller.post(f"/api/{path}", body)
        assert answer.status == 422, path
        assert [one["field"] for one in answer.json["errors"]] == ["name"]


async def test_names_and_hosts_are_unique(api: Api) -> None:
    await make(api)
    other = await make(api, "Hub", "https://registry-1.docker.io")

    same_name = await api.caller.post(
        "/api/registries", {"name": "Ours", "url": "https://x.example.com"}
    )
    same_host = await api.caller.post(
        "/api/registries", {"name": "New", "url": "http://GIT.example.com/"}
    )
    same_hub = await api.caller.post("/api/registries", {"name": "New", "url": "https://docker.io"})
    renamed = await api.caller.patch(f"/api/registries/{other['id']}", {"name": "Ours"})

    assert [answer.status for answer in (same_name, same_host, same_hub, renamed)] == [409] * 4
    assert same_host.json["detail"] == "the registry Ours has the host git.example.com already"


async def test_a_registry_that_is_named_cannot_be_deleted(api: Api) -> None:
    made = await make(api)
    project = (
        await api.caller.post(
            "/api/projects", {"name": "app", "image": "git.example.com/a", "registry": made["id"]}
        )
    ).json

    refused = await api.caller.delete(f"/api/registries/{made['id']}")
    await api.caller.patch(f"/api/projects/{project['id']}", {"registry": None})
    deleted = await api.caller.delete(f"/api/registries/{made['id']}")

    assert (refused.status, deleted.status) == (409, 204)
    assert refused.json["detail"] == "the registry Ours is named by these projects: app"
    assert (await api.caller.get(f"/api/registries/{made['id']}")).status == 404


async def test_a_test_answers_with_what_was_looked_at(api: Api) -> None:
    made = await make(api)

    answer = await api.caller.post(f"/api/registries/{made['id']}/test")

    assert answer.status == 200
    assert answer.json == {
        "ok": False,
        "checks": [
            {"name": "url", "ok": True, "detail": "fine"},
            {"name": "login", "ok": False, "detail": "the password was refused"},
        ],
    }
    del api.checks[1]
    assert (await api.caller.post(f"/api/registries/{made['id']}/test")).json["ok"] is True
    assert (await api.caller.post(f"/api/registries/{'0' * 24}/test")).status == 404


async def test_registries_are_listed_by_name_in_pages(api: Api) -> None:
    for name in ("b", "ä", "a"):
        await make(api, name, f"https://{name if name.isascii() else 'x'}.example.com")

    first = (await api.caller.get("/api/registries?limit=2")).json
    second = (await api.caller.get(f"/api/registries?limit=2&cursor={first['next']}")).json

    assert [item["name"] for item in first["items"] + second["items"]] == ["a", "b", "ä"]
    assert second["next"] is None
