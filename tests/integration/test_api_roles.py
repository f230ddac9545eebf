"""One table of all routes: the least role of each, and each caller tried on each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tagboat.api.app import route_roles
from tagboat.api.openapi import OPEN_PATHS
from tagboat.core.deploy import InstanceState
from tagboat.core.principal import Role
from tests.support.api import Api, running_api
from tests.support.asgi import Caller
from tests.support.records import put_instance

pytestmark = pytest.mark.anyio

METRICS, VIEWER, DEPLOYER, ADMIN = Role
OPEN = None
"""Needs no token."""
ROUTES: dict[str, Role | None] = {
    "GET /api/health": OPEN,
    "GET /api/health/live": OPEN,
    "GET /api/health/ready": OPEN,
    "GET /api/ingress/ask": OPEN,
    "GET /metrics": METRICS,
    "GET /api/openapi.json": VIEWER,
    "GET /api/docs": VIEWER,
    "GET /api/events": VIEWER,
    "GET /api/disk": VIEWER,
    "GET /api/explain": VIEWER,
    "GET /api/me": VIEWER,
    "POST /api/me/password": VIEWER,
    "GET /api/overview": VIEWER,
    "GET /api/heard": VIEWER,
    "GET /api/audit": ADMIN,
    "GET /api/audit/export": ADMIN,
    "POST /api/poll": DEPLOYER,
    "GET /api/projects/{project_id}/pattern": VIEWER,
    "GET /api/stages/{stage_id}/history": VIEWER,
    "GET /api/stages/{stage_id}/pending": VIEWER,
    "GET /api/stages/{stage_id}/promotion": VIEWER,
    "GET /api/deploys/{deploy_id}/changes": VIEWER,
    "GET /api/projects": VIEWER,
    "POST /api/projects": ADMIN,
    "GET /api/projects/{project_id}": VIEWER,
    "PATCH /api/projects/{project_id}": ADMIN,
    "DELETE /api/projects/{project_id}": ADMIN,
    "GET /api/projects/{project_id}/tags": VIEWER,
    "POST /api/projects/{project_id}/poll": DEPLOYER,
    "GET /api/projects/{project_id}/stages": VIEWER,
    "POST /api/projects/{project_id}/stages": ADMIN,
    "GET /api/projects/{project_id}/webhooks": VIEWER,
    "POST /api/projects/{project_id}/webhooks": ADMIN,
    "GET /api/stages": VIEWER,
    "GET /api/stages/{stage_id}": VIEWER,
    "PATCH /api/stages/{stage_id}": ADMIN,
    "DELETE /api/stages/{stage_id}": ADMIN,
    "GET /api/stages/{stage_id}/logs": VIEWER,
    "POST /api/stages/{stage_id}/deploys": DEPLOYER,
    "GET /api/stages/{stage_id}/rollback": VIEWER,
    "POST /api/stages/{stage_id}/rollback": DEPLOYER,
    "POST /api/stages/{stage_id}/promote": DEPLOYER,
    "POST /api/stages/{stage_id}/cancel": DEPLOYER,
    "POST /api/stages/{stage_id}/hold": DEPLOYER,
    "POST /api/stages/{stage_id}/release": DEPLOYER,
    "POST /api/stages/{stage_id}/restart": DEPLOYER,
    "POST /api/stages/{stage_id}/stop": DEPLOYER,
    "POST /api/stages/{stage_id}/start": DEPLOYER,
    "POST /api/stages/{stage_id}/runs": ADMIN,
    "GET /api/deploys": VIEWER,
    "GET /api/deploys/{deploy_id}": VIEWER,
    "POST /api/deploys/{deploy_id}/cancel": DEPLOYER,
    "GET /api/instances": VIEWER,
    "GET /api/instances/{instance_id}/logs": VIEWER,
    "GET /api/registries": VIEWER,
    "POST /api/registries": ADMIN,
    "GET /api/registries/{registry_id}": VIEWER,
    "PATCH /api/registries/{registry_id}": ADMIN,
    "DELETE /api/registries/{registry_id}": ADMIN,
    "POST /api/registries/{registry_id}/test": ADMIN,
    "GET /api/registries/{registry_id}/images": VIEWER,
    "GET /api/images/tags": VIEWER,
    "GET /api/webhooks/{hook_id}": VIEWER,
    "PATCH /api/webhooks/{hook_id}": ADMIN,
    "DELETE /api/webhooks/{hook_id}": ADMIN,
    "POST /api/webhooks/{hook_id}/rotate": ADMIN,
    "GET /api/deliveries": VIEWER,
    "GET /api/deliveries/{delivery_id}": VIEWER,
    "POST /api/deliveries/{delivery_id}/redeliver": ADMIN,
    "POST /api/adopt": ADMIN,
    "GET /api/config": ADMIN,
    "GET /api/config/schema": ADMIN,
    "POST /api/config/plan": ADMIN,
    "POST /api/config/apply": ADMIN,
    "GET /api/settings": VIEWER,
    "PATCH /api/settings": ADMIN,
    "GET /api/settings/webhook": ADMIN,
    "POST /api/settings/webhook/regenerate": ADMIN,
    "GET /api/settings/webhook/signature": VIEWER,
    "PUT /api/settings/webhook/signature": ADMIN,
    "DELETE /api/settings/webhook/signature": ADMIN,
    "GET /api/users": ADMIN,
    "POST /api/users": ADMIN,
    "POST /api/users/setup-link": ADMIN,
    "GET /api/users/{account_id}": ADMIN,
    "PATCH /api/users/{account_id}": ADMIN,
    "DELETE /api/users/{account_id}": ADMIN,
    "POST /api/users/{account_id}/sign-out": ADMIN,
    "POST /api/users/{account_id}/sign-in-link": ADMIN,
    "GET /api/tokens": ADMIN,
    "POST /api/tokens": ADMIN,
    "GET /api/tokens/{token_id}": ADMIN,
    "DELETE /api/tokens/{token_id}": ADMIN,
}
# A call with a role that may do it goes to nothing that exists: the table is tried, not the rule.
NOTHING = "0" * 24
ENDLESS = {"GET /api/events"}
"""Answered without end, so that a parameter that does not exist is given: it is refused later."""
BODIES: dict[str, dict[str, object]] = {
    "POST /api/stages/{stage_id}/deploys": {"tag": "v1"},
    "POST /api/stages/{stage_id}/promote": {"from": "{stage_id}"},
    "POST /api/stages/{stage_id}/runs": {"command": ["true"]},
}


@dataclass
class House:
    """A project of its own and another's, and a caller for each role."""

    api: Api
    callers: dict[Role, Caller]
    limited: Caller
    own: dict[str, str] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)


async def new_token(api: Api, name: str, role: Role, projects: list[str] | None = None) -> Caller:
    body = {"name": name, "role": role, "projects": projects}
    return Caller(api.app, (await api.caller.post("/api/tokens", body)).json["token"])


async def new_project(api: Api, name: str) -> dict[str, str]:
    """Make a project with a stage, a live instance and its deploy; return their ids."""
    body = {
        "name": name,
        "image": f"git.example.com/acme/{name}",
        "stages": [{"name": "dev", "tag_pattern": "*"}],
    }
    made = (await api.caller.post("/api/projects", body)).json
    stage = made["stages"][0]["id"]
    await put_instance(api, made["id"], stage, InstanceState.LIVE)
    url = f"/api/instances?stage={stage}"
    instance = (await api.caller.get(url)).json["items"][0]
    return {
        "project_id": made["id"],
        "stage_id": stage,
        "deploy_id": instance["deploy"],
        "instance_id": instance["id"],
    }


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("roles")) as api:
        yield api


@pytest.fixture(scope="module")
async def house(api: Api) -> House:
    own, other = await new_project(api, "own"), await new_project(api, "other")
    callers = {role: await new_token(api, role, role) for role in Role}
    limited = await new_token(api, "limited", DEPLOYER, [own["project_id"]])
    return House(api, callers, limited, own, other)


def published() -> set[str]:
    found = set()
    for pattern, of_path in route_roles().items():
        path = re.sub(r"\(\?P<(\w+)>[^)]+\)", r"{\1}", pattern.pattern.strip("^$"))
        plain = path.replace("\\", "")
        found |= {f"{method} {plain}" for method in of_path}
    return found


def test_the_table_has_each_route_and_no_other() -> None:
    assert published() == set(ROUTES)


def test_the_routes_that_need_no_token_are_those_of_the_table() -> None:
    assert {route.partition(" ")[2] for route, role in ROUTES.items() if role is OPEN} == OPEN_PATHS


async def status_of(
    caller: Caller, route: str, ids: dict[str, str], body: object | None = None
) -> tuple[int, str]:
    """Call a route with these ids, others being nothing; return status and body."""
    method, _, path = route.partition(" ")
    filled = "/".join(
        ids.get(part[1:-1], NOTHING) if part.startswith("{") else part for part in path.split("/")
    )
    if route in ENDLESS:
        filled += "?nothing=1"
    answer = await (
        caller.call(method, filled) if body is None else caller.call(method, filled, body)
    )
    return answer.status, answer.body.decode()


@pytest.mark.parametrize(("route", "needed"), ROUTES.items())
async def test_a_stranger_is_refused_before_the_body_is_read(
    house: House, route: str, needed: Role | None
) -> None:
    for caller in (house.api.anonymous, Caller(house.api.app, "tagboat_" + "x" * 43)):
        # Not even JSON: nobody looks at it.
        status, _ = await status_of(caller, route, house.own, b"{")
        assert (status == 401) is (needed is not OPEN)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("route", "needed"), ROUTES.items())
async def test_each_role_on_each_route(
    house: House, route: str, needed: Role | None, role: Role
) -> None:
    allowed = needed is OPEN or role.includes(needed)
    # What exists only for those who may not: for others, something could come of it.
    status, said = await status_of(
        house.callers[role], route, {} if allowed else house.own, None if allowed else b"{"
    )
    if allowed:
        assert status not in {401, 403} or route == "POST /api/me/password", said
    else:
        assert status == 403
        assert f"this needs the role {needed}, and {role} has the role {role}" in said


# A poll of all projects names none: it polls those that the caller may act on, see below.
DEPLOYERS = [route for route, needed in ROUTES.items() if needed is DEPLOYER and "{" in route]


@pytest.mark.parametrize("route", DEPLOYERS)
async def test_a_limited_deployer_gives_orders_to_its_own_projects_only(
    house: House, route: str
) -> None:
    body = BODIES.get(route)
    if body and "from" in body:
        body = {"from": house.other["stage_id"]}
    status, said = await status_of(house.limited, route, house.other, body)
    assert (status, "may not act on this project" in said) == (403, True), said
    status, said = await status_of(house.limited, route, house.own, body)
    assert status not in {401, 403}, said
    status, said = await status_of(house.limited, route, {}, body)
    assert status == 404, said


async def test_a_limited_deployer_polls_its_own_projects_only(house: House) -> None:
    asked = house.api.polls.asked
    asked.clear()
    status, said = await status_of(house.limited, "POST /api/poll", {})
    assert (status, asked) == (200, [house.own["project_id"]]), said


@pytest.mark.parametrize(
    "route", [route for route, needed in ROUTES.items() if needed in {VIEWER, METRICS}]
)
async def test_a_limit_to_projects_does_not_limit_what_can_be_read(
    house: House, route: str
) -> None:
    if route.startswith("GET"):
        status, said = await status_of(house.limited, route, house.other)
        assert status not in {401, 403}, said


async def test_each_role_is_published(house: House) -> None:
    document = (await house.api.caller.get("/api/openapi.json")).json
    found = {
        f"{method.upper()} {path}": operation.get("x-role")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    del found["POST /api/webhook/{secret}"]
    hidden = {"GET /api/openapi.json", "GET /api/docs"}
    assert found == {route: role for route, role in ROUTES.items() if route not in hidden}


async def test_no_answer_to_a_viewer_has_the_webhooks_secret(house: House) -> None:
    url = (await house.api.caller.get("/api/settings/webhook")).json["url"]
    secret = urlsplit(url).path.rpartition("/")[2]
    for route, needed in ROUTES.items():
        if route.startswith("GET") and needed is not ADMIN:
            _, said = await status_of(house.callers[VIEWER], route, house.own)
            assert secret not in said, route
