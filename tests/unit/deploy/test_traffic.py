"""Where traffic goes by what is on record, making it go there, and waiting until it has gone."""

import asyncio
import re
from datetime import timedelta
from itertools import pairwise

import pytest

from tagboat.core.catalog import Project, Stage, Strategy
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, Trigger
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import IngressUnavailableError, StoreUnavailableError
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.ports import Reader
from tagboat.core.route import Route, RouteState
from tagboat.core.values import replace
from tagboat.deploy.routes import routes, routes_by_stage
from tagboat.deploy.traffic import APPLY_EVERY_S, APPLY_RETRY_S, Traffic
from tagboat.ingress.routing import routing_map
from tagboat.store.reader import SqlReader
from tests.support.endpoints import at, port_of
from tests.support.hosts import allow_shared_hosts
from tests.unit.deploy.deploy_harness import BASE_DOMAIN, HOST, World, a_stage
from tests.unit.deploy.interceptor import START

pytestmark = pytest.mark.anyio

AWAY = IngressUnavailableError("HAProxy does not answer")


async def an_instance(
    world: World,
    tag: str,
    port: int,
    *,
    stage: Stage | None = None,
    state: InstanceState = InstanceState.LIVE,
    status: DeployStatus = DeployStatus.SUCCEEDED,
) -> Instance:
    """Return an instance on record, newer than those before, with the deploy that made it."""
    where = stage or world.stage
    deploy = Deploy(
        id=new_id(),
        project_id=where.project_id,
        stage_id=where.id,
        tag=tag,
        digest=Digest("sha256:" + "a" * 64),
        trigger=Trigger.MANUAL,
        status=status,
        created_at=START,
    )
    instance = Instance(
        id=new_id(),
        deploy_id=deploy.id,
        project_id=deploy.project_id,
        stage_id=deploy.stage_id,
        tag=tag,
        digest=Digest("sha256:" + "a" * 64),
        state=state,
        container=f"app-{deploy.id}",
        endpoints=(at(port),) if port else (),
        fingerprint="0",
        started_at=START,
    )
    await world.store.write(lambda tx: tx.add_deploy(deploy))
    await world.store.write(lambda tx: tx.add_instance(instance))
    return instance


async def another_project(
    world: World, name: str, stage: str, *, age_h: int, **fields: object
) -> Stage:
    """A stage of another project, so many hours older than the scene's (or younger, below 0)."""
    project = Project(
        id=new_id(),
        name=name,
        image=ImageName("git.example.com", f"acme/{new_id()}"),
        port=80,
        created_at=START,
    )
    made = replace(a_stage(project, stage), created_at=START - timedelta(hours=age_h), **fields)  # type: ignore[arg-type]
    await world.store.write(lambda tx: tx.add_project(project))
    await world.store.write(lambda tx: tx.add_stage(made))
    return made


def only(route: Route) -> Endpoint | None:
    return route.target.endpoints[0] if route.target else None


async def found(world: World) -> dict[str, tuple[RouteState, Endpoint | None]]:
    listed = await world.store.read(lambda reader: routes(reader, BASE_DOMAIN))
    by_host = {route.host: (route.state, only(route)) for route in listed}
    assert len(by_host) == len(listed)  # no host twice
    return by_host


# One stage.


async def test_a_stage_leads_to_what_is_live(world: World) -> None:
    await an_instance(world, "v1", 40001)
    assert await found(world) == {HOST: (RouteState.OPEN, at(40001))}


async def test_a_stage_with_nothing_says_so(world: World) -> None:
    assert await found(world) == {HOST: (RouteState.NONE, None)}


@pytest.mark.parametrize(
    "state", [state for state in InstanceState if state is not InstanceState.LIVE]
)
async def test_only_what_is_live_is_led_to(world: World, state: InstanceState) -> None:
    await an_instance(world, "v1", 40001, state=state)
    assert await found(world) == {HOST: (RouteState.NONE, None)}


async def test_what_has_no_port_cannot_be_led_to(world: World) -> None:
    await an_instance(world, "v1", 0)
    assert await found(world) == {HOST: (RouteState.PORTLESS, None)}


@pytest.mark.parametrize("port", [None, 0, 40001])
async def test_a_stopped_stage_says_so_until_something_is_live(
    world: World, port: int | None
) -> None:
    await world.change_stage(stopped_at=START)
    if port is not None:
        await an_instance(world, "v1", port, state=InstanceState.DRAINING)
    assert await found(world) == {HOST: (RouteState.STOPPED, None)}
    await an_instance(world, "v2", 40002)
    assert await found(world) == {HOST: (RouteState.OPEN, at(40002))}


async def test_of_several_the_newest_serves_the_stage(world: World) -> None:
    await an_instance(world, "v1", 40001)
    await an_instance(world, "v2", 40002)
    assert await found(world) == {HOST: (RouteState.OPEN, at(40002))}


async def test_the_newest_without_a_port_leaves_the_stage_to_the_one_before(world: World) -> None:
    await an_instance(world, "v1", 40001)
    await an_instance(world, "v2", 0)
    assert await found(world) == {HOST: (RouteState.OPEN, at(40001))}


@pytest.mark.parametrize(
    ("made_way", "status", "way"),
    [
        (True, DeployStatus.RUNNING, RouteState.HELD),
        (True, DeployStatus.QUEUED, RouteState.NONE),
        (True, DeployStatus.FAILED, RouteState.NONE),
        (False, DeployStatus.RUNNING, RouteState.NONE),
    ],
)
async def test_requests_are_held_while_an_app_that_cannot_run_twice_restarts(
    world: World, *, made_way: bool, status: DeployStatus, way: RouteState
) -> None:
    await world.change_stage(domains=("app.example.com",))
    await an_instance(world, "v1", 40001, state=InstanceState.DRAINING)
    new = await an_instance(world, "v2", 40002, state=InstanceState.STARTING, status=status)
    await world.change_deploy(await world.deploy(new.deploy_id), made_way=made_way)
    assert await found(world) == {HOST: (way, None), "app.example.com": (way, None)}


async def test_a_first_instance_that_failed_is_not_waited_for(world: World) -> None:
    """Nor one that a deploy has yet to pull.

    Requests are held for as long as a restart takes, no longer.
    """
    await world.change_stage(strategy=Strategy.RECREATE)
    await an_instance(world, "v1", 40001, state=InstanceState.FAILED, status=DeployStatus.RUNNING)
    assert await found(world) == {HOST: (RouteState.NONE, None)}


async def test_the_deploy_of_another_stage_holds_nothing_here(world: World) -> None:
    await world.change_stage(strategy=Strategy.RECREATE)
    other = await world.another_stage("prod")
    await an_instance(
        world, "v1", 40001, stage=other, state=InstanceState.STARTING, status=DeployStatus.RUNNING
    )
    assert (await found(world))[HOST] == (RouteState.NONE, None)


async def test_domains_lead_where_the_stage_does(world: World) -> None:
    await world.change_stage(domains=("app.example.com", "www.example.com"))
    await an_instance(world, "v1", 40001)
    assert await found(world) == dict.fromkeys(
        (HOST, "app.example.com", "www.example.com"), (RouteState.OPEN, at(40001))
    )


# Side by side.


async def test_previews_have_an_address_each(world: World) -> None:
    await world.change_stage(max_instances=3)
    await an_instance(world, "PR-1", 40001)
    await an_instance(world, "pr_2", 40002)
    await an_instance(world, "pr-3", 40003, state=InstanceState.DRAINING)
    assert await found(world) == {
        HOST: (RouteState.OPEN, at(40002)),
        f"app-dev-pr-1.{BASE_DOMAIN}": (RouteState.OPEN, at(40001)),
        f"app-dev-pr-2.{BASE_DOMAIN}": (RouteState.OPEN, at(40002)),
    }


async def test_of_two_previews_that_would_share_an_address_the_newer_has_it(world: World) -> None:
    await world.change_stage(max_instances=2)
    await an_instance(world, "pr.1", 40001)
    await an_instance(world, "pr-1", 40002)
    assert (await found(world))[f"app-dev-pr-1.{BASE_DOMAIN}"] == (RouteState.OPEN, at(40002))


async def test_a_preview_does_not_take_the_address_of_a_stage(world: World) -> None:
    await world.change_stage(max_instances=2)
    await an_instance(world, "eu", 40001)
    stage = await another_project(world, "app-dev", "eu", age_h=-1)
    await an_instance(world, "v1", 40002, stage=stage)
    assert await found(world) == {
        HOST: (RouteState.OPEN, at(40001)),
        f"app-dev-eu.{BASE_DOMAIN}": (RouteState.OPEN, at(40002)),
    }


# Of several that claim one host, the older stage has it.


@pytest.mark.parametrize(("age_h", "port"), [(1, 40002), (-1, 40001)])
async def test_a_domain_that_two_stages_claim_is_the_older_ones(
    world: World, age_h: int, port: int
) -> None:
    allow_shared_hosts(world.store)
    await world.change_stage(domains=("shop.example.com",))
    await an_instance(world, "v1", 40001)
    other = await another_project(world, "shop", "prod", age_h=age_h, domains=("shop.example.com",))
    await an_instance(world, "v1", 40002, stage=other)
    assert (await found(world))["shop.example.com"] == (RouteState.OPEN, at(port))


@pytest.mark.parametrize(("age_h", "port"), [(1, 40002), (-1, 40001)])
async def test_two_stages_whose_names_make_one_host(world: World, age_h: int, port: int) -> None:
    allow_shared_hosts(world.store)
    await world.change_project(name="app-eu")  # app-eu-dev, of app-eu and dev
    await an_instance(world, "v1", 40001)
    other = await another_project(world, "app", "eu-dev", age_h=age_h)
    await an_instance(world, "v1", 40002, stage=other)
    assert await found(world) == {f"app-eu-dev.{BASE_DOMAIN}": (RouteState.OPEN, at(port))}


async def test_an_older_stage_keeps_its_host_even_with_nothing_live(world: World) -> None:
    other = await another_project(world, "shop", "prod", age_h=-1, domains=(HOST,))
    await an_instance(world, "v1", 40002, stage=other)
    assert (await found(world))[HOST] == (RouteState.NONE, None)


# Hosts are made of slugs; what was an address before is one still.


async def test_a_name_with_underscores_and_dots_answers_at_its_slug_and_where_it_did_before(
    world: World,
) -> None:
    await world.change_project(name="my_app.x")
    await world.change_stage(max_instances=2)
    await an_instance(world, "v1", 40001)
    hosts = ("my-app-x-dev", "my_app.x-dev", "my-app-x-dev-v1", "my_app.x-dev-v1")
    assert await found(world) == {
        f"{host}.{BASE_DOMAIN}": (RouteState.OPEN, at(40001)) for host in hosts
    }


@pytest.mark.parametrize("age_h", [1, -1])
async def test_a_slug_takes_no_address_from_a_name_that_is_written_so(
    world: World, age_h: int
) -> None:
    allow_shared_hosts(world.store)
    await world.change_project(name="my_app")
    await an_instance(world, "v1", 40001)
    other = await another_project(world, "my-app", "dev", age_h=age_h)
    await an_instance(world, "v1", 40002, stage=other)
    assert await found(world) == {
        f"my_app-dev.{BASE_DOMAIN}": (RouteState.OPEN, at(40001)),
        f"my-app-dev.{BASE_DOMAIN}": (RouteState.OPEN, at(40002)),
    }


# Leading.


async def test_one_stage_is_led_as_all_would_be(led: World) -> None:
    allow_shared_hosts(led.store)
    traffic, ingress = led.services.traffic, led.ingress
    assert traffic is not None
    assert ingress is not None
    shop = "shop.example.com"
    older = await another_project(led, "older", "prod", age_h=2, domains=(shop,))
    previews = await another_project(led, "pre", "pr", age_h=1, max_instances=3)
    await traffic.apply_routes()
    leads = len(ingress.journal)

    async def assert_led(stage: Stage) -> None:
        await traffic.apply_stage_routes(stage.id)
        wanted = await led.store.read(lambda reader: routes(reader, BASE_DOMAIN))
        assert led.routes == routing_map(wanted)

    await an_instance(led, "v1", 40001)
    await assert_led(led.stage)
    await led.change_stage(domains=(shop, "mine.example.com"))
    await assert_led(led.stage)
    one = await an_instance(led, "v1", 40002, stage=previews)
    two = await an_instance(led, "v2", 40003, stage=previews)
    await assert_led(previews)
    await led.change_stage(
        domains=(shop, f"pre-pr-v1.{BASE_DOMAIN}")
    )  # what is a stage's goes before an instance's
    await assert_led(led.stage)
    await assert_led(previews)
    await led.store.write(lambda tx: tx.put_instance(replace(two, state=InstanceState.STOPPED)))
    await assert_led(previews)
    await an_instance(led, "v1", 40004, stage=older)
    await assert_led(older)
    await led.store.write(lambda tx: tx.put_instance(replace(one, state=InstanceState.STOPPED)))
    await led.store.write(lambda tx: tx.delete_stage(previews.id))
    await assert_led(previews)
    assert len(ingress.journal) == leads + 8


async def test_one_stage_is_led_without_reading_the_others(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = led.services.traffic
    assert traffic is not None
    await traffic.apply_stage_routes(led.stage.id)  # the first is all of them

    def refuse(*_arguments: object) -> None:
        raise AssertionError("all stages were read")

    monkeypatch.setattr(SqlReader, "projects", refuse)
    await an_instance(led, "v1", 40001)
    await traffic.apply_stage_routes(led.stage.id)
    assert led.routes == {HOST: "40001"}


async def test_after_a_stage_could_not_be_led_all_are(led: World) -> None:
    traffic, ingress = led.services.traffic, led.ingress
    assert traffic is not None
    assert ingress is not None
    await traffic.apply_routes()
    await an_instance(led, "v1", 40001)
    ingress.fail("change_routes", AWAY)
    with pytest.raises(IngressUnavailableError):
        await traffic.apply_stage_routes(led.stage.id)
    ingress.fail("change_routes", AWAY)
    await traffic.apply_stage_routes(led.stage.id)
    assert led.routes == {HOST: "40001"}


async def test_two_leads_never_overtake_each_other(led: World) -> None:
    """The second reads only once the first has been obeyed, so that what is older on record
    never comes last.
    """
    traffic = led.services.traffic
    assert traffic is not None
    assert led.ingress is not None
    led_to = led.ingress.apply_routes
    entered, let_go = asyncio.Event(), asyncio.Event()

    async def slowly(wanted: list[Route]) -> None:
        if not entered.is_set():
            entered.set()
            await let_go.wait()
        await led_to(wanted)

    led.ingress.apply_routes = slowly  # type: ignore[method-assign, assignment]
    first = asyncio.create_task(traffic.apply_routes())
    await entered.wait()
    second = asyncio.create_task(traffic.apply_routes())
    await an_instance(led, "v1", 40001)
    let_go.set()
    await asyncio.gather(first, second)
    assert led.ingress.journal == [{HOST: "none"}, {HOST: "40001"}]


async def leading(world: World, leads: int) -> list[float]:
    """Keep leading for so many times, with the clock going on.

    How long after the last one each began.
    """
    traffic = world.services.traffic
    assert traffic is not None
    began: list[float] = []

    async def note() -> None:
        began.append(asyncio.get_running_loop().time())
        world.calls.before("apply_routes", note)

    world.calls.before("apply_routes", note)
    running = asyncio.create_task(traffic.run())
    await asyncio.sleep(0)  # it reads before anybody else does
    while len(began) < leads and not running.done():
        world.clock.move(0.05)
        await world.instances()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return [later - earlier for earlier, later in pairwise(began)]


async def test_traffic_is_led_at_once_and_every_minute(led: World) -> None:
    for pause in await leading(led, 3):
        assert APPLY_EVERY_S <= pause < 2 * APPLY_EVERY_S


async def test_an_ingress_that_is_away_is_led_again_soon(led: World) -> None:
    assert led.ingress is not None
    led.ingress.fail("apply_routes", AWAY)
    after_failure, after_success = await leading(led, 3)
    assert APPLY_RETRY_S <= after_failure < APPLY_EVERY_S
    assert after_success >= APPLY_EVERY_S
    assert led.routes == {HOST: "none"}


async def test_a_database_that_is_away_is_no_end_of_it(led: World) -> None:
    async def fails() -> None:
        raise StoreUnavailableError("the database is locked")

    led.calls.before("read", fails)
    await leading(led, 1)
    assert led.routes == {HOST: "none"}


async def test_a_new_domain_is_led_at_once(led: World) -> None:
    traffic = led.services.traffic
    assert traffic is not None
    led_once = asyncio.Event()

    async def note() -> None:
        led_once.set()
        led.calls.after("apply_routes", note)

    led.calls.after("apply_routes", note)
    running = asyncio.create_task(traffic.run())
    await led_once.wait()
    led_once.clear()
    await led.change_stage(domains=("new.example.com",))
    async with asyncio.timeout(APPLY_EVERY_S / 2):
        await led_once.wait()
    running.cancel()
    assert led.routes == {HOST: "none", "new.example.com": "none"}


async def test_of_many_stages_the_changed_one_is_read(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = led.services.traffic
    await traffic.apply_changes()
    with monkeypatch.context() as patched:
        patched.delattr("tagboat.deploy.traffic.routes_by_stage")
        await traffic.apply_changes()
        new = await another_project(led, "other", "dev", age_h=1)
        await traffic.apply_changes()
        assert led.routes == {HOST: "none", f"other-dev.{BASE_DOMAIN}": "none"}
        await an_instance(led, "v1", 40001, stage=new)
        await traffic.apply_changes()
        assert led.routes == {HOST: "none", f"other-dev.{BASE_DOMAIN}": "40001"}
        applied = led.calls.calls.count("apply_routes")
        # Others' changes, and the same routes once more, are no news for the ingress.
        await led.store.write(lambda tx: tx.put_setting("auto_create", value=False))
        await led.store.write(lambda tx: tx.put_stage(tx.stage(new.id)))
        await traffic.apply_changes()
        assert led.calls.calls.count("apply_routes") == applied


async def test_a_new_name_of_a_project_is_led_to_for_each_stage(led: World) -> None:
    traffic = led.services.traffic
    await traffic.apply_changes()
    await led.store.write(lambda tx: tx.put_project(replace(tx.project(led.project.id), name="x")))
    await traffic.apply_changes()
    assert led.routes == {f"x-dev.{BASE_DOMAIN}": "none"}


async def test_a_stage_that_is_deleted_is_led_to_no_more(led: World) -> None:
    traffic = led.services.traffic
    gone = await another_project(led, "other", "dev", age_h=1)
    await traffic.apply_changes()
    assert len(led.routes) == 2
    await led.store.write(lambda tx: tx.delete_project(gone.project_id))
    await traffic.apply_changes()
    assert led.routes == {HOST: "none"}


async def test_after_a_failure_and_each_minute_all_routes_are_read(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert led.ingress is not None
    traffic = led.services.traffic
    await traffic.apply_changes()
    read: list[str] = []

    def all_of_them(reader: Reader, base_domain: str) -> dict[str, list[Route]]:
        read.append(base_domain)
        return routes_by_stage(reader, base_domain)

    monkeypatch.setattr("tagboat.deploy.traffic.routes_by_stage", all_of_them)
    await traffic.apply_changes()
    assert not read
    led.ingress.fail("change_routes", AWAY)
    await led.change_stage(domains=("shop.example.com",))
    with pytest.raises(IngressUnavailableError):
        await traffic.apply_changes()
    await traffic.apply_changes()
    assert (len(read), len(led.routes)) == (1, 2)
    led.clock.move(APPLY_EVERY_S)
    await traffic.apply_changes()
    assert len(read) == 2


# Draining.


def traffic_of(world: World) -> Traffic:
    traffic = world.services.traffic
    assert traffic is not None
    return traffic


async def requests_in_flight(world: World, instance: Instance, *ends_after: float) -> None:
    """Begin requests to it, each of which ends once the clock has gone on so many seconds from
    now.
    """
    assert world.ingress is not None
    await traffic_of(world).apply_routes()
    due = []
    for seconds in ends_after:
        assert await world.ingress.begin(HOST) == port_of(instance)
        due.append(world.clock.now() + timedelta(seconds=seconds))

    async def end_what_is_due() -> None:
        for moment in [moment for moment in due if moment <= world.clock.now()]:
            due.remove(moment)
            world.ingress.end(port_of(instance))  # type: ignore[union-attr] # seen above
        world.calls.before("in_flight", end_what_is_due)

    world.calls.before("in_flight", end_what_is_due)


def asked(world: World) -> int:
    return world.calls.calls.count("in_flight")


async def test_what_answers_nothing_has_drained_once_two_looks_agree(led: World) -> None:
    instance = await an_instance(led, "v1", 40001)
    said = await traffic_of(led).drained([instance], 30)
    assert said.startswith("no request was in flight any more after 0.")
    assert asked(led) == 2


async def test_a_request_between_two_looks_is_not_overlooked(led: World) -> None:
    instance = await an_instance(led, "v1", 40001)
    await traffic_of(led).apply_routes()

    async def begin() -> None:
        assert led.ingress is not None
        await led.ingress.begin(HOST)
        led.calls.before("in_flight", nothing)
        led.calls.before("in_flight", end)

    async def end() -> None:
        assert led.ingress is not None
        led.ingress.end(port_of(instance))

    led.calls.after("in_flight", begin)  # the first look has found nothing
    await traffic_of(led).drained([instance], 30)
    assert asked(led) == 4  # none, one, none, none


async def nothing() -> None:
    """Let it pass."""


async def test_requests_in_flight_are_waited_for(led: World) -> None:
    instance = await an_instance(led, "v1", 40001)
    await requests_in_flight(led, instance, 2, 5)
    began = led.clock.now()
    said = await traffic_of(led).drained([instance], 30)
    assert 5 <= (led.clock.now() - began).total_seconds() < 6
    found = re.fullmatch(r"no request was in flight any more after (\d+\.\d) s", said)
    assert found is not None
    assert float(found[1]) >= 5  # and what the test itself took


@pytest.mark.parametrize(
    ("ends_after", "said"),
    [
        ((100,), "1 request was still in flight after 10 s"),
        ((1, 100, 100), "2 requests were still in flight after 10 s"),
    ],
)
async def test_but_no_longer_than_is_allowed(
    led: World, ends_after: tuple[float, ...], said: str
) -> None:
    instance = await an_instance(led, "v1", 40001)
    await requests_in_flight(led, instance, *ends_after)
    began, began_s = led.clock.now(), led.clock.seconds()
    assert await traffic_of(led).drained([instance], 10) == said
    assert led.clock.seconds() - began_s >= 10
    assert (led.clock.now() - began).total_seconds() < 11


async def test_an_ingress_that_is_silent_for_a_while_is_asked_on(led: World) -> None:
    assert led.ingress is not None
    instance = await an_instance(led, "v1", 40001)
    for _ in range(3):
        led.ingress.fail("in_flight", AWAY)
    assert (await traffic_of(led).drained([instance], 30)).startswith(
        "no request was in flight any more"
    )
    assert asked(led) == 5


async def test_what_it_said_before_it_fell_silent_does_not_count(led: World) -> None:
    assert led.ingress is not None
    instance = await an_instance(led, "v1", 40001)

    async def fall_silent() -> None:
        assert led.ingress is not None
        led.ingress.fail("in_flight", AWAY)

    led.calls.after("in_flight", fall_silent)
    await traffic_of(led).drained([instance], 30)
    assert asked(led) == 4  # none, silence, none, none


async def test_an_ingress_that_stays_silent_is_waited_for_no_longer_than_for_requests(
    led: World,
) -> None:
    assert led.ingress is not None
    instance = await an_instance(led, "v1", 40001)
    for _ in range(1000):
        led.ingress.fail("in_flight", AWAY)
    # The limit counts the real time of the test too, which `now` leaves out.
    clock = asyncio.get_running_loop().time
    began, began_s = led.clock.now(), clock()
    said = await traffic_of(led).drained([instance], 10)
    assert said == "it is not known how many requests were still in flight after 10 s"
    assert clock() - began_s >= 10
    assert (led.clock.now() - began).total_seconds() < 11


async def test_what_has_no_port_has_nothing_to_drain(led: World) -> None:
    instance = await an_instance(led, "v1", 0)
    await traffic_of(led).drained([instance], 30)
    assert asked(led) == 0


async def test_all_of_several_are_waited_for(led: World) -> None:
    first, second = await an_instance(led, "v1", 40001), await an_instance(led, "v2", 40002)
    await requests_in_flight(led, second, 3)
    began = led.clock.now()
    await traffic_of(led).drained([first, second], 30)
    assert 3 <= (led.clock.now() - began).total_seconds() < 4


async def test_answers_are_of_the_stage_that_owns_the_host(led: World) -> None:
    assert led.ingress is not None
    traffic = Traffic(led.store, led.ingress, BASE_DOMAIN)
    with pytest.raises(IngressUnavailableError):
        await traffic.code_classes()
    await led.change_stage(domains=("shop.example.com",))
    port = port_of(await an_instance(led, "v1", 20000))
    await traffic.apply_routes()
    for host, status in ((HOST, 200), (HOST, 404), ("shop.example.com", 200)):
        assert await led.ingress.begin(host) == port
        led.ingress.end(port, status)
    assert await led.ingress.begin("unknown.localhost") is None
    found = await traffic.code_classes()
    assert {key: dict(classes) for key, classes in found.items()} == {
        led.stage.id: {"2xx": 2, "4xx": 1}
    }
    assert await traffic.hosts(led.stage.id) == (HOST, "shop.example.com")
    # Known from before, while it is not known which routes are in force.
    led.ingress.fail("apply_routes", AWAY)
    with pytest.raises(IngressUnavailableError):
        await traffic.apply_routes()
    assert (await traffic.code_classes()).keys() == {led.stage.id}


async def test_the_answers_of_a_stage_never_become_fewer(led: World) -> None:
    assert led.ingress is not None
    domain, traffic = "shop.example.com", Traffic(led.store, led.ingress, BASE_DOMAIN)
    await led.change_stage(domains=(domain,))
    port = port_of(await an_instance(led, "v1", 20000))
    await traffic.apply_routes()

    async def answer() -> None:
        assert led.ingress is not None
        assert await led.ingress.begin(domain) == port
        led.ingress.end(port)

    await answer()
    assert await traffic.code_classes() == {led.stage.id: {"2xx": 1}}
    await answer()
    await led.change_stage(domains=())
    await traffic.apply_stage_routes(led.stage.id)
    assert await traffic.code_classes() == {led.stage.id: {"2xx": 2}}

    await led.change_stage(domains=(domain,))
    await traffic.apply_routes()
    await answer()  # nobody looks before another stage has the domain
    await led.change_stage(domains=())
    other = await led.another_stage("other")
    await led.store.write(lambda tx: tx.put_stage(replace(other, domains=(domain,))))
    await traffic.apply_routes()
    assert await led.ingress.begin(domain) is None
    assert await traffic.code_classes() == {led.stage.id: {"2xx": 3}, other.id: {"5xx": 1}}


async def test_a_host_moves_although_the_ingress_cannot_say_what_it_has_counted(led: World) -> None:
    assert led.ingress is not None
    domain, traffic = "shop.example.com", Traffic(led.store, led.ingress, BASE_DOMAIN)
    other = await led.another_stage("other")
    await led.store.write(lambda tx: tx.put_stage(replace(other, domains=(domain,))))
    port = port_of(await an_instance(led, "v1", 20000))
    await traffic.apply_routes()
    assert await led.ingress.begin(domain) is None
    await led.store.write(lambda tx: tx.put_stage(replace(other, domains=())))
    await led.change_stage(domains=(domain,))
    led.ingress.fail("code_classes", AWAY)
    await traffic.apply_routes()
    assert await led.ingress.begin(domain) == port
