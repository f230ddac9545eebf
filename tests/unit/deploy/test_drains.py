"""What drains holds up nobody.

It drains beside the sweep, once, and a deploy that wants it back has it back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tagboat.core.deploy import Instance, InstanceState, Step, StepName, StepStatus
from tagboat.core.errors import EngineError
from tagboat.core.values import replace
from tagboat.deploy.drains import Drains
from tagboat.deploy.reconcile import run_reconciler
from tagboat.deploy.traffic import Traffic
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio


class Requests:
    """Under way for as long as nobody ends them, in whatever drains.

    `drained` are the containers that were waited for.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.end = asyncio.Event()
        self.drained: list[str] = []
        requests = self

        async def drained(_: Traffic, instances: Sequence[Instance], limit_s: float) -> str:
            requests.drained.extend(instance.container for instance in instances)
            await requests.end.wait()
            return f"after less than {limit_s} s"

        monkeypatch.setattr(Traffic, "drained", drained)


@pytest.fixture
async def requests(monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> Requests:  # noqa: ARG001 - it runs this
    return Requests(monkeypatch)


async def draining(world: World, tag: str) -> Instance:
    """Return an instance that no deploy looks after any more."""
    return await put(world, await world.ship(tag), InstanceState.DRAINING)


async def put(world: World, instance: Instance, state: InstanceState) -> Instance:
    changed = replace(instance, state=state)
    await world.store.write(lambda tx: tx.put_instance(changed))
    return changed


async def state_of(world: World, instance: Instance) -> InstanceState:
    return (await world.store.read(lambda reader: reader.instance(instance.id))).state


async def eventually(world: World, holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again while the clock goes on."""
    for _ in range(1000):
        if await holds():
            return
        world.clock.move(0.05)
        await world.instances()
    raise AssertionError("it never came to that")


async def test_what_stopped_comes_back_while_something_else_drains(
    led: World, requests: Requests
) -> None:
    old = await draining(led, "v1")
    other = await led.another_stage("other")
    led.publish("w1")
    live = await led.instance_of(await led.carry_out(await led.queue("w1", stage=other)))
    sweeping = asyncio.create_task(run_reconciler(led.services, "here"))

    async def waited_for() -> bool:
        return (await state_of(led, old)) is InstanceState.DRAINING and requests.drained == [
            old.container
        ]

    await eventually(led, waited_for)
    await led.runtime.stop(live.container)
    await eventually(led, lambda: led.is_running(live.container))

    assert await waited_for(), "and it is drained once, however many sweeps see it"
    assert await led.is_running(old.container)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    assert await led.is_running(old.container), "the end of the server ends no request"


async def test_what_has_drained_is_retired(led: World, requests: Requests) -> None:
    old, drains = await draining(led, "v1"), Drains(led.services)
    drains.begin(old, 3600)
    drains.begin(old, 3600)
    requests.end.set()
    await drains.finished()
    assert requests.drained == [old.container]
    assert await state_of(led, old) is InstanceState.STOPPED
    assert await led.containers() == []


async def test_one_that_serves_again_by_then_is_left_alone(led: World, requests: Requests) -> None:
    old, drains = await draining(led, "v1"), Drains(led.services)
    drains.begin(old, 3600)
    await put(led, old, InstanceState.LIVE)
    requests.end.set()
    await drains.finished()
    assert await led.is_running(old.container)
    assert await state_of(led, old) is InstanceState.LIVE


async def test_one_that_a_deploy_may_want_back_is_left_to_it(
    led: World, requests: Requests
) -> None:
    old, drains = await draining(led, "v1"), Drains(led.services)
    drains.begin(old, 3600)
    led.publish("v2")
    deploy = await led.queue("v2")
    begun = deploy.with_step(Step(StepName.RESOLVE, StepStatus.RUNNING))
    await led.change_deploy(deploy, steps=begun.steps)
    requests.end.set()
    await drains.finished()
    assert await led.is_running(old.container)
    assert await state_of(led, old) is InstanceState.DRAINING


async def test_one_that_waits_wants_nothing_of_it(led: World, requests: Requests) -> None:
    old, drains = await draining(led, "v1"), Drains(led.services)
    await led.queue("v2")
    drains.begin(old, 3600)
    requests.end.set()
    await drains.finished()
    assert await state_of(led, old) is InstanceState.STOPPED


async def test_one_that_serves_again_at_the_last_moment_is_not_made_to_seem_stopped(
    led: World, requests: Requests
) -> None:
    old, drains = await draining(led, "v1"), Drains(led.services)

    async def serve_again() -> None:
        await put(led, old, InstanceState.LIVE)

    led.calls.before("stop", serve_again)
    requests.end.set()
    drains.begin(old, 3600)
    await drains.finished()
    assert await state_of(led, old) is InstanceState.LIVE


async def test_one_that_cannot_be_stopped_is_tried_again_by_the_next_sweep(
    led: World, requests: Requests
) -> None:
    old, drains = await draining(led, "v1"), Drains(led.services)
    requests.end.set()
    led.runtime.fail("stop", EngineError("it cannot be killed"))
    drains.begin(old, 1)
    with pytest.raises(EngineError):
        await drains.finished()
    assert await state_of(led, old) is InstanceState.DRAINING
    drains.begin(old, 1)
    await drains.finished()
    assert await state_of(led, old) is InstanceState.STOPPED
