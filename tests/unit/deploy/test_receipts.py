"""The receipt of a deploy, with an ingress whose requests the test begins and ends."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

import pytest

from tagboat.core.catalog import Strategy
from tagboat.core.deploy import Deploy, DeployStatus, InstanceState, StepName
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import ConflictError, IngressUnavailableError, StoreUnavailableError
from tagboat.core.events import Event, EventTopic
from tagboat.core.ports import Tx
from tagboat.core.receipt import (
    MOVED,
    NOT_ASKED,
    NOT_ASKED_LAST,
    OTHER_SERVERS,
    PROCESS_ENDED,
    DeployReceipt,
    ReceiptLedger,
    SideCounts,
)
from tagboat.core.request_counts import EndedBy
from tagboat.core.values import replace
from tagboat.deploy import receipts
from tagboat.deploy.fence import ClaimLostError
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.receipts import RequestCount
from tagboat.deploy.record import DeployRecord
from tagboat.ingress.memory import MemoryIngress
from tests.unit.deploy.deploy_harness import HOST, World
from tests.unit.deploy.interceptor import Died

pytestmark = pytest.mark.anyio

AWAY = IngressUnavailableError("HAProxy does not answer")
Do = Callable[[], Awaitable[None]]


def ingress_of(world: World) -> MemoryIngress:
    assert world.ingress is not None
    return world.ingress


def requests(world: World, *statuses: int) -> Do:
    """Return what sends requests that are answered at once with these; 0: the client leaves."""

    async def send() -> None:
        for status in statuses:
            port = await ingress_of(world).begin(HOST)
            assert port is not None
            if status:
                ingress_of(world).end(port, status)
            else:
                ingress_of(world).end(port, by=EndedBy.CLIENT)

    return send


async def ledger_of(world: World, deploy: Deploy) -> ReceiptLedger | None:
    found = await world.store.read(lambda reader: reader.receipt_ledgers([deploy.id]))
    return found.get(deploy.id)


async def receipt_of(world: World, deploy: Deploy) -> DeployReceipt:
    ledger = await ledger_of(world, deploy)
    assert ledger is not None
    assert ledger.receipt is not None
    return ledger.receipt


async def second(world: World) -> Deploy:
    await world.ship("v1")
    world.publish("v2")
    return await world.queue("v2")


def at_step(world: World, step: StepName, do: Do) -> None:
    """Do it once when the record says that this step has begun."""

    async def look() -> None:
        at_work = [one for one in await world.deploys() if not one.status.final]
        if any(one.step(step).started_at for one in at_work):
            await do()
        else:
            world.calls.after("write", look)

    world.calls.after("write", look)


async def test_requests_before_and_after_the_switch_are_those_of_old_and_new(led: World) -> None:
    deploy = await second(led)
    await requests(led, 200, 200, 500)()  # before it: not counted
    led.calls.before("create", requests(led, 200, 200, 404, 500, 0))
    at_step(led, StepName.WATCH, requests(led, 200, 503, 200, 0))
    ended = await led.carry_out(deploy)
    receipt = await receipt_of(led, ended)
    assert receipt.old == SideCounts(answered=3, failed_5xx=1, aborted=1, left_by_client=1)
    assert receipt.new == SideCounts(answered=2, failed_5xx=1, aborted=1, left_by_client=1)
    assert (receipt.requests, receipt.failed) == (9, 4)
    assert (receipt.downtime_s, receipt.turned_away, receipt.longest_drain_s) == (0, 0, 0)
    assert (receipt.complete, receipt.reason) == (True, None)
    assert receipt.until == ended.finished_at
    assert ended.step(StepName.WATCH).detail == ("it stayed healthy for 10 s; 4 requests, 2 failed")


async def test_there_is_none_without_an_ingress(world: World) -> None:
    ended = await world.carry_out(await second(world))
    assert ended.status is DeployStatus.SUCCEEDED
    assert await ledger_of(world, ended) is None


async def test_there_is_none_before_the_switch(led: World) -> None:
    deploy = await second(led)
    led.calls.before("create", requests(led, 200))
    led.calls.after("create", partial(cancel, led, deploy))
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.CANCELLED
    ledger = await ledger_of(led, ended)
    assert ledger is not None
    assert ledger.receipt is None


async def cancel(world: World, deploy: Deploy) -> None:
    await world.change_deploy(await world.deploy(deploy.id), cancelling=True)


async def test_a_first_one_has_no_old_side(led: World) -> None:
    led.publish("v1")
    ended = await led.carry_out(await led.queue("v1"))
    receipt = await receipt_of(led, ended)
    assert (receipt.old, receipt.longest_drain_s) == (SideCounts(), None)
    # Nothing was live before: that is not this deploy's doing.
    assert (receipt.turned_away, receipt.downtime_s) == (0, 0)


async def test_the_watch_says_each_second_how_it_goes(led: World) -> None:
    details = await details_of(led, await second(led), StepName.WATCH)
    assert "healthy for 6 s of 10 s, 3 requests, 1 failed" in details
    # Less often than the watch looks.
    assert 5 <= len(details) <= 12


async def details_of(world: World, deploy: Deploy, step: StepName) -> list[str]:
    at_step(world, StepName.WATCH, requests(world, 200, 500, 200))
    await world.carry_out(deploy)
    return [
        str(event.state["detail"])
        for event in await events_of(world, EventTopic.STEP, deploy)
        if event.state["name"] == step and event.state["status"] == "running"
    ]


async def events_of(world: World, topic: EventTopic, deploy: Deploy) -> list[Event]:
    found = await world.store.read(lambda reader: reader.events(0, 10_000))
    return [one for one in found if one.topic is topic and one.deploy_id == deploy.id]


async def test_events_bring_the_receipt_as_it_grows_and_before_the_end(led: World) -> None:
    deploy = await second(led)
    at_step(led, StepName.WATCH, requests(led, 200, 500, 200))
    await led.carry_out(deploy)
    states = [one.state for one in await events_of(led, EventTopic.DEPLOY, deploy)]
    told = [state["receipt"] for state in states if "receipt" in state]
    assert [one["requests"] for one in told if isinstance(one, dict)][:1] == [0]
    last = told[-1]
    assert isinstance(last, dict)
    assert (last["requests"], last["failed"], last["complete"]) == (3, 1, True)
    assert last["new"]["failed_5xx"] == 1
    assert last["until"] is not None
    assert states[-1]["status"] == DeployStatus.SUCCEEDED


async def test_a_request_on_the_old_one_is_drained_and_counted_there(led: World) -> None:
    deploy = await second(led)
    open_request: list[int] = []

    async def begin() -> None:
        port = await ingress_of(led).begin(HOST)
        assert port is not None
        open_request.append(port)

    async def end() -> None:
        ingress_of(led).end(open_request.pop())

    led.calls.before("create", begin)
    for _ in range(60):
        led.calls.before("in_flight", nothing)
    led.calls.before("in_flight", end)
    ended = await led.carry_out(deploy)
    receipt = await receipt_of(led, ended)
    assert receipt.old == SideCounts(answered=1)
    # The ten seconds of the watch, and some of the drain.
    assert receipt.longest_drain_s is not None
    assert 10 < receipt.longest_drain_s < 14
    details = [str(one.state["detail"]) for one in await events_of(led, EventTopic.STEP, deploy)]
    assert "1 request on v1" in details


async def nothing() -> None:
    """Do nothing."""


async def test_a_request_that_the_stop_cuts_off_is_aborted(led: World) -> None:
    deploy = await second(led)
    ports: list[int] = []

    async def begin() -> None:
        port = await ingress_of(led).begin(HOST)
        assert port is not None
        ports.append(port)

    async def cut() -> None:
        ingress_of(led).end(ports.pop(), by=EndedBy.APP)

    led.calls.before("create", begin)
    led.calls.after("remove", cut)
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert receipt.old == SideCounts(aborted=1)
    assert receipt.longest_drain_s is not None
    assert receipt.longest_drain_s > led.stage.drain_timeout_s


async def test_one_that_is_taken_back_has_a_receipt_too(led: World) -> None:
    deploy = await second(led)

    async def answer_and_sicken() -> None:
        await requests(led, 200, 500)()
        await sicken(led, deploy)

    at_step(led, StepName.WATCH, answer_and_sicken)
    led.calls.before("remove", requests(led, 200, 200, 200))
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.FAILED
    receipt = await receipt_of(led, ended)
    assert receipt.new == SideCounts(answered=1, failed_5xx=1)
    assert receipt.old.answered == 3


async def sicken(world: World, deploy: Deploy) -> None:
    world.runtime.exit((await world.instance_of(deploy)).container, 7)


async def leave_open(world: World) -> None:
    assert await ingress_of(world).begin(HOST) is not None


async def test_what_is_in_flight_once_the_old_one_serves_again_is_no_drain(led: World) -> None:
    deploy = await second(led)

    async def sicken_later() -> None:
        await later(led, 64)
        await sicken(led, deploy)

    at_step(led, StepName.WATCH, sicken_later)
    led.calls.before("remove", partial(leave_open, led))
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert receipt.old.in_flight == 1
    assert receipt.longest_drain_s is not None
    assert receipt.longest_drain_s < 1


async def test_a_death_while_the_old_one_comes_back_keeps_the_downtime(led: World) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    deploy = await second(led)

    async def die() -> None:
        raise Died

    async def sicken_and_die() -> None:
        await sicken(led, deploy)
        led.calls.before("start", die)

    at_step(led, StepName.WATCH, sicken_and_die)
    with pytest.raises(Died):
        await led.carry_out(deploy)
    await later(led, 500)
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert 500 < receipt.downtime_s < 600


async def test_a_busy_database_does_not_keep_the_old_one_from_coming_back(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    deploy = await second(led)
    at_step(led, StepName.WATCH, partial(sicken, led, deploy))
    write, failed = DeployRecord.write, list[str]()

    async def fail_once(record: DeployRecord, work: Callable[[Tx, Deploy], None]) -> None:
        if (await led.deploy(deploy.id)).failed_step is not None and not failed:
            failed.append("the database is locked")
            raise StoreUnavailableError(failed[0])
        await write(record, work)

    monkeypatch.setattr(DeployRecord, "write", fail_once)
    ended = await led.carry_out(deploy)
    assert (ended.status, len(failed)) == (DeployStatus.FAILED, 1)
    (live,) = await led.instances(InstanceState.LIVE)
    assert (live.tag, await led.is_running(live.container)) == ("v1", True)


async def test_a_server_that_lost_its_claim_writes_no_downtime_over_the_others(led: World) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    deploy = await second(led)

    async def lose() -> None:
        await led.change_deploy(await led.deploy(deploy.id), claim=1)

    async def sicken_and_lose() -> None:
        await sicken(led, deploy)
        # The routes are applied before the downtime is put on record.
        led.calls.before("apply_routes", lose)

    at_step(led, StepName.WATCH, sicken_and_lose)
    with pytest.raises(ClaimLostError):
        await led.carry_out(deploy)
    ledger = await ledger_of(led, deploy)
    assert ledger is not None
    assert ledger.dark_at is None


async def test_an_instance_that_comes_up_at_another_port_is_said(led: World) -> None:
    old = await led.ship("v1")
    led.publish("v2")
    deploy = await led.queue("v2")

    def move(tx: Tx) -> None:
        tx.put_instance(replace(tx.instance(old.id), endpoints=(Endpoint("127.0.0.1", 1),)))

    at_step(led, StepName.DRAIN, partial(led.store.write, move))
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert (receipt.complete, receipt.reason) == (False, MOVED)


async def test_a_count_whose_transaction_was_rolled_back_is_written_by_the_next(led: World) -> None:
    deploy = await second(led)
    counting = RequestCount(led.store, led.services.traffic, led.clock.now, deploy.id)
    await counting.begin(await DeployRecord(led.store, led.clock.now, deploy.id).context())

    def spoil(tx: Tx) -> None:
        counting.save(tx)
        raise ConflictError("another piece of the batch fails")

    with pytest.raises(ConflictError):
        await led.store.write(spoil)
    assert await ledger_of(led, deploy) is None
    await led.store.write(counting.save)
    assert await ledger_of(led, deploy) is not None


@pytest.fixture
def spoil_reports(led: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[StepName]]:
    """Return what makes the reports of a step raise an error; it returns those that did."""

    def spoil(step: StepName, error: Exception) -> list[StepName]:
        note, spoiled = DeployRecord.note, list[StepName]()

        async def fail(
            record: DeployRecord, name: StepName, detail: str, also: Callable[[Tx], None]
        ) -> None:
            if name is step:
                spoiled.append(name)
                raise error
            await note(record, name, detail, also)

        monkeypatch.setattr(DeployRecord, "note", fail)
        ports: list[int | None] = []

        async def begin() -> None:
            ports.append(await ingress_of(led).begin(HOST))

        async def end() -> None:
            port = ports.pop()
            assert port is not None
            ingress_of(led).end(port)

        led.calls.before("create", begin)
        for _ in range(60):
            led.calls.before("in_flight", nothing)
        led.calls.before("in_flight", end)
        return spoiled

    return spoil


@pytest.mark.parametrize("step", [StepName.WATCH, StepName.DRAIN])
async def test_a_report_that_cannot_be_written_breaks_nothing_off(
    led: World, step: StepName, spoil_reports: Callable[..., list[StepName]]
) -> None:
    deploy = await second(led)
    spoiled = spoil_reports(step, StoreUnavailableError("the database is locked"))
    ended = await led.carry_out(deploy)
    assert (ended.status, set(spoiled)) == (DeployStatus.SUCCEEDED, {step})
    assert (await receipt_of(led, ended)).old.answered == 1


@pytest.mark.parametrize("step", [StepName.WATCH, StepName.DRAIN])
async def test_one_whose_claim_is_lost_does(
    led: World, step: StepName, spoil_reports: Callable[..., list[StepName]]
) -> None:
    deploy = await second(led)
    spoil_reports(step, ClaimLostError())
    with pytest.raises(ClaimLostError):
        await led.carry_out(deploy)


@pytest.mark.parametrize("step", [StepName.WATCH, StepName.DRAIN, StepName.RETIRE])
async def test_a_death_loses_no_count(led: World, step: StepName) -> None:
    deploy = await second(led)
    led.calls.before("create", requests(led, 200))

    async def die() -> None:
        await requests(led, 200, 500)()
        raise Died

    at_step(led, step, die)
    with pytest.raises(Died):
        await led.carry_out(deploy)
    await requests(led, 200, 0)()  # while there is no server
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert receipt.old == SideCounts(answered=1)
    assert receipt.new == SideCounts(answered=2, failed_5xx=1, aborted=1, left_by_client=1)
    assert receipt.complete


async def test_a_death_before_the_switch_begins_the_count_again(led: World) -> None:
    deploy = await second(led)

    async def die() -> None:
        await requests(led, 200)()
        raise Died

    led.calls.before("create", die)
    with pytest.raises(Died):
        await led.carry_out(deploy)
    led.calls.before("create", requests(led, 200, 200))
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert (receipt.old.answered, receipt.complete) == (2, True)


async def test_a_restart_of_the_ingress_is_said(led: World) -> None:
    deploy = await second(led)

    async def restart() -> None:
        await requests(led, 200, 200)()
        ingress_of(led).restart(led.clock.now())
        await requests(led, 200)()

    at_step(led, StepName.DRAIN, restart)
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert receipt.new.answered == 1
    assert (receipt.complete, receipt.reason) == (False, PROCESS_ENDED)


async def test_an_ingress_that_does_not_answer_fails_nothing(led: World) -> None:
    deploy = await second(led)
    for _ in range(2):
        ingress_of(led).fail("count_requests", AWAY)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert (await receipt_of(led, ended)).reason == NOT_ASKED


async def test_an_ingress_that_hangs_is_not_waited_for(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy = await second(led)

    async def hang(*_: object) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(receipts, "_LOOK_LIMIT_S", 0.05)
    monkeypatch.setattr(ingress_of(led), "count_requests", hang)
    async with asyncio.timeout(60):
        ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert (await receipt_of(led, ended)).reason == NOT_ASKED


async def test_nor_one_that_is_silent_at_the_end(led: World) -> None:
    deploy = await second(led)

    async def fall_silent() -> None:
        ingress_of(led).fail("count_requests", AWAY)

    led.calls.after("remove", fall_silent)
    ended = await led.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert (await receipt_of(led, ended)).reason == NOT_ASKED_LAST


async def test_a_cancelled_pipeline_leaves_the_count_to_the_next(led: World) -> None:
    deploy = await second(led)
    work = asyncio.create_task(Pipeline(led.services, deploy.id).carry_out())

    async def stop() -> None:
        work.cancel()

    at_step(led, StepName.WATCH, stop)
    with pytest.raises(asyncio.CancelledError):
        await work
    await requests(led, 200)()
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert (receipt.new.answered, receipt.complete) == (1, True)


async def test_an_app_that_cannot_run_twice_keeps_requests_waiting(led: World) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    deploy = await second(led)
    deploy = await led.change_deploy(deploy, status=DeployStatus.RUNNING)
    led.calls.before("create", partial(later, led, 7))
    at_step(led, StepName.WATCH, requests(led, 200))
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert 7 <= receipt.downtime_s < 9
    assert (receipt.new.answered, receipt.failed) == (1, 0)


async def later(world: World, seconds: float) -> None:
    world.clock.move(seconds)


async def test_a_server_that_stops_meanwhile_is_no_downtime(led: World) -> None:
    await led.change_stage(strategy=Strategy.RECREATE)
    deploy = await second(led)
    deploy = await led.change_deploy(deploy, status=DeployStatus.RUNNING)
    work = asyncio.create_task(Pipeline(led.services, deploy.id).carry_out())

    async def stop() -> None:
        work.cancel()

    led.calls.before("create", stop)
    with pytest.raises(asyncio.CancelledError):
        await work
    await Pipeline(led.services, deploy.id).park()
    await requests(led, 200)()  # the old one serves again
    await later(led, 1000)
    deploy = await led.change_deploy(await led.deploy(deploy.id), status=DeployStatus.RUNNING)
    await leave_open(led)  # until it is stopped
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert 0 < receipt.downtime_s < 60
    assert receipt.old.answered == 1
    assert receipt.longest_drain_s is not None
    assert 30 < receipt.longest_drain_s < 100


async def test_among_several_servers_it_is_never_complete(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy = await second(led)
    monkeypatch.setattr(type(led.store), "exclusive", False)
    at_step(led, StepName.WATCH, requests(led, 200))
    receipt = await receipt_of(led, await led.carry_out(deploy))
    assert receipt.new.answered == 1
    assert (receipt.complete, receipt.reason) == (False, OTHER_SERVERS)
