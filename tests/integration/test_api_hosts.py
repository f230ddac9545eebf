"""Where stages and instances answer: addresses shown, hosts claimed once, and what Caddy is told
about domains.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tagboat.core.deploy import InstanceState
from tagboat.core.values import replace
from tagboat.deploy.routes import routes
from tagboat.ingress.memory import MemoryIngress
from tagboat.operations import hosts as hosts_module
from tests.support.api import BASE_DOMAIN, Api, running_api
from tests.support.asgi import Answer, Caller
from tests.support.hosts import allow_shared_hosts
from tests.support.records import put_instance

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path, MemoryIngress(base_domain=BASE_DOMAIN, port=7080)) as api:
        yield api


async def project(api: Api, name: str) -> str:
    made = await api.caller.post(
        "/api/projects", {"name": name, "image": f"git.example.com/acme/{name}"}
    )
    project_id: str = made.json["id"]
    return project_id


async def save(api: Api, project_id: str, name: str, **more: object) -> Answer:
    return await api.caller.post(
        f"/api/projects/{project_id}/stages", {"name": name, "tag_pattern": f"{name}*", **more}
    )


# Addresses.


@pytest.mark.parametrize(
    ("most", "state", "address"),
    [
        (3, InstanceState.LIVE, f"http://app-pr-v1.{BASE_DOMAIN}:7080"),
        (3, InstanceState.STOPPED, None),
        (1, InstanceState.LIVE, None),
    ],
)
async def test_one_of_several_has_an_address_of_its_own(
    api: Api, most: int, state: InstanceState, address: str | None
) -> None:
    project_id = await project(api, "app")
    stage = (await save(api, project_id, "pr", max_instances=most)).json
    await put_instance(api, project_id, stage["id"], state)

    assert stage["address"] == f"http://app-pr.{BASE_DOMAIN}:7080"
    assert (await api.caller.get("/api/instances")).json["items"][0]["address"] == address


async def test_without_an_ingress_nothing_has_an_address(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        project_id = await project(api, "app")
        stage = (await save(api, project_id, "pr", max_instances=3)).json
        await put_instance(api, project_id, stage["id"], InstanceState.LIVE)

        assert stage["address"] is None
        assert (await api.caller.get("/api/instances")).json["items"][0]["address"] is None


# Claims.


async def test_two_stages_cannot_have_one_address(api: Api) -> None:
    await save(api, await project(api, "a"), "b-c")
    other = await project(api, "a-b")

    refused = await save(api, other, "c")
    free = (await save(api, other, "d")).json
    renamed = await api.caller.patch(f"/api/stages/{free['id']}", {"name": "c"})

    host = f"a-b-c.{BASE_DOMAIN}"
    assert (refused.status, renamed.status) == (409, 409)
    assert refused.json["detail"] == (
        f"the stage b-c of a answers at {host} already, which is where the stage c of "
        f"a-b would answer; choose another name"
    )
    assert [
        stage["name"]
        for stage in (await api.caller.get(f"/api/projects/{other}/stages")).json["items"]
    ] == ["d"]


async def test_names_that_come_to_one_address_are_refused(api: Api) -> None:
    await save(api, await project(api, "my_app"), "dev")
    other = await project(api, "my-app")
    fine = await save(api, other, "x")

    refused = await save(api, other, "dev")
    renamed = await api.caller.patch(f"/api/stages/{fine.json['id']}", {"name": "dev"})

    assert (fine.status, refused.status, renamed.status) == (201, 409, 409)
    assert (
        f"the stage dev of my_app answers at my-app-dev.{BASE_DOMAIN} already"
        in refused.json["detail"]
    )


async def test_a_project_cannot_be_renamed_onto_anothers_address(api: Api) -> None:
    await save(api, await project(api, "a"), "b-c")
    other = await project(api, "x")
    await save(api, other, "c")

    refused = await api.caller.patch(f"/api/projects/{other}", {"name": "a-b"})
    fine = await api.caller.patch(f"/api/projects/{other}", {"name": "a-c"})

    assert (refused.status, fine.status) == (409, 200)


async def test_a_domain_cannot_be_another_stages_address_nor_the_other_way_round(api: Api) -> None:
    app = await project(api, "app")
    await save(api, app, "dev")
    other = await project(api, "other")
    own = await save(
        api, other, "dev", domains=[f"other-dev.{BASE_DOMAIN}", f"app-prod.{BASE_DOMAIN}"]
    )

    taken = await save(api, other, "x", domains=[f"app-dev.{BASE_DOMAIN}"])
    claimed = await save(api, app, "prod")

    assert own.status == 201
    assert (taken.status, claimed.status) == (409, 409)
    assert taken.json["detail"] == f"the stage dev of app answers at app-dev.{BASE_DOMAIN} already"
    assert claimed.json["detail"].startswith(
        f"the stage dev of other has the domain app-prod.{BASE_DOMAIN} already, which is"
    )


async def test_a_domain_cannot_be_the_address_of_another_stages_instance(api: Api) -> None:
    app = await project(api, "app")
    stage = (await save(api, app, "pr", max_instances=3)).json
    await put_instance(api, app, stage["id"], InstanceState.LIVE)
    other = await project(api, "app-pr")

    refused = [
        await save(api, other, "x", domains=[f"app-pr-v1.{BASE_DOMAIN}"]),
        await save(api, other, "v1"),
    ]

    assert [answer.status for answer in refused] == [409, 409]
    assert (await save(api, other, "v2")).status == 201


async def test_what_two_stages_have_already_keeps_neither_from_being_changed(api: Api) -> None:
    """Records from before the rule, or of projects made by themselves, must not stand in the way
    of everything else.
    """
    allow_shared_hosts(api.store)
    first = (await save(api, await project(api, "a"), "b-c")).json
    second = (await save(api, await project(api, "x"), "c")).json
    owner = await api.store.read(lambda reader: reader.stage(second["id"]).project_id)

    def rename(tx: Any) -> None:  # noqa: ANN401 - a transaction
        tx.put_project(replace(tx.project(owner), name="a-b"))

    await api.store.write(rename)

    changed = [
        await api.caller.patch(f"/api/stages/{stage['id']}", {"position": 3})
        for stage in (first, second)
    ]

    assert [answer.status for answer in changed] == [200, 200]


# What Caddy asks.


def caller_from(api: Api, host: str | None) -> Caller:
    """Somebody without a token at that address; None: whoever serves does not say."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["client"] = (host, 50000) if host else None
        await api.app(scope, receive, send)

    return Caller(app)


async def ask(caller: Caller, domain: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await caller.call("GET", f"/api/ingress/ask?domain={domain}", headers=named)


@pytest.fixture
async def served(api: Api) -> Api:
    app = await project(api, "app")
    await save(api, app, "dev", domains=["shop.example.com"])
    stage = (await save(api, app, "pr", max_instances=3)).json
    await put_instance(api, app, stage["id"], InstanceState.LIVE)
    return api


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "domain",
    [
        "shop.example.com",
        "SHOP.example.com",
        "shop.example.com.",
        *(f"{own}.{BASE_DOMAIN}" for own in ("app-dev", "app-pr-v1")),
    ],
)
async def test_domains_of_stages_are_ours(served: Api, client: str, domain: str) -> None:
    answer = await ask(caller_from(served, client), domain)

    assert (answer.status, answer.json) == (200, {"domain": domain.lower().removesuffix(".")})


@pytest.mark.parametrize(
    "domain", ["", "example.com", "x.shop.example.com", BASE_DOMAIN, "%00", "%ff", "a" * 300]
)
async def test_no_other_domain_is(served: Api, domain: str) -> None:
    assert same(await ask(caller_from(served, "127.0.0.1"), domain), await nowhere(served))


async def test_a_question_without_a_domain(served: Api) -> None:
    answer = await caller_from(served, "127.0.0.1").get("/api/ingress/ask")

    assert same(answer, await nowhere(served))


@pytest.mark.parametrize(
    "client", ["192.0.2.1", "10.0.0.1", "::ffff:192.0.2.1", "2001:db8::1", "localhost", None]
)
async def test_strangers_learn_nothing(served: Api, client: str | None) -> None:
    assert same(await ask(caller_from(served, client), "shop.example.com"), await nowhere(served))


@pytest.mark.parametrize(
    "header",
    ["X_Forwarded_For", "x_forwarded_host", "x_forwarded_proto", "forwarded", "x_real_ip", "via"],
)
async def test_what_a_front_on_this_machine_passes_on_comes_from_a_stranger(
    served: Api, header: str
) -> None:
    answer = await ask(
        caller_from(served, "127.0.0.1"), "shop.example.com", **{header.lower(): "127.0.0.1"}
    )

    assert same(answer, await nowhere(served))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7070", "10.0.0.1", "", "[", "127.0.0.1.evil.example"]
)
async def test_a_page_that_has_led_a_browser_here_by_its_own_name_learns_nothing(
    served: Api, host: str
) -> None:
    assert same(
        await ask(caller_from(served, "127.0.0.1"), "shop.example.com", host=host),
        await nowhere(served),
    )


@pytest.mark.parametrize(
    "host", ["localhost:7070", "127.0.0.1", "[::1]:7070", "tagboat.example.com"]
)
async def test_who_calls_this_server_by_its_own_name_is_told(served: Api, host: str) -> None:
    assert (
        await ask(caller_from(served, "127.0.0.1"), "shop.example.com", host=host)
    ).status == 200


async def test_names_without_end_do_not_have_everything_read_each_time(
    served: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0

    def count(*arguments: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
        nonlocal reads
        reads += 1
        return routes(*arguments)

    monkeypatch.setattr(hosts_module, "routes", count)
    caller = caller_from(served, "127.0.0.1")
    for number in range(20):
        assert (await ask(caller, f"no-{number}.{BASE_DOMAIN}")).status == 404
    assert (await ask(caller, "shop.example.com")).status == 200
    assert reads == 1


async def test_only_get_is_open(served: Api) -> None:
    assert (await caller_from(served, "127.0.0.1").post("/api/ingress/ask")).status == 405
    assert (await caller_from(served, "127.0.0.1").get("/api/ingress/ask/")).status == 404
    assert (await caller_from(served, "127.0.0.1").get("/api/ingress")).status == 404


async def nowhere(api: Api) -> Answer:
    """What an address that does not exist answers."""
    return await api.anonymous.get("/api/nothing")


def same(answer: Answer, other: Answer) -> bool:
    return (answer.status, list(answer.headers.items()), answer.body) == (
        other.status,
        list(other.headers.items()),
        other.body,
    )
