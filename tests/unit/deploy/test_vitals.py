"""Live instances are looked after for as long as they live; trouble is told once."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.health import Trouble, Vitals
from tagboat.core.image import ImageInfo
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.wellbeing import CRASHES, PEACE, observed
from tagboat.runtime.memory import MemoryImage
from tagboat.store.instances import InstanceWrites
from tests.support.endpoints import at
from tests.unit.deploy.deploy_harness import World
from tests.unit.deploy.interceptor import START
from tests.unit.deploy.test_health_gate import RUNNING

pytestmark = pytest.mark.anyio
WITH_CHECK = MemoryImage(info=ImageInfo(has_healthcheck=True))
INSTANCE = Instance(
    id="i",
    deploy_id="d",
    project_id="p",
    stage_id="s",
    tag="v1",
    digest=None,  # type: ignore[arg-type]
    state=InstanceState.LIVE,
    container="app-dev-1",
    endpoints=(at(40000),),
    fingerprint="",
    started_at=START,
)


def course(*seen: tuple[float, WorkloadStatus | None]) -> Vitals:
    """Return what is known after these looks, each so many seconds after the start."""
    known: Vitals | None = None
    for seconds, status in seen:
        known = observed(known, INSTANCE, status, START + timedelta(seconds=seconds))
    assert known is not None
    return known


def restarted(times: int) -> WorkloadStatus:
    return replace(RUNNING, restarts=times)


@pytest.mark.parametrize(
    ("seen", "trouble"),
    [
        ([(0, RUNNING)], Trouble.NONE),
        ([(0, RUNNING), (9, restarted(1))], Trouble.NONE),
        (
            [(0, RUNNING), (9, restarted(1)), (18, restarted(2)), (40, restarted(CRASHES))],
            Trouble.CRASH_LOOP,
        ),
        ([(0, RUNNING), (60, restarted(CRASHES))], Trouble.CRASH_LOOP),
        ([(0, restarted(8))], Trouble.CRASH_LOOP),
        (
            [(0, restarted(8).with_tasks(running=False, restarting=True, exit_code=7))],
            Trouble.CRASH_LOOP,
        ),
        # Once a day is no loop, and one that has long ended is none any more.
        (
            [
                (0, RUNNING),
                (90_000, restarted(1)),
                (180_000, restarted(2)),
                (270_000, restarted(3)),
            ],
            Trouble.NONE,
        ),
        ([(0, restarted(8)), (PEACE.total_seconds() + 1, restarted(8))], Trouble.NONE),
        ([(0, restarted(8)), (PEACE.total_seconds() - 1, restarted(8))], Trouble.CRASH_LOOP),
        # Started by hand, it counts anew.
        ([(0, restarted(2)), (60, RUNNING), (120, restarted(1))], Trouble.CRASH_LOOP),
        ([(0, replace(RUNNING, paused=True))], Trouble.PAUSED),
        ([(0, RUNNING.with_tasks(health="unhealthy"))], Trouble.UNHEALTHY),
        ([(0, RUNNING.with_tasks(health="starting"))], Trouble.NONE),
        ([(0, RUNNING.with_tasks(running=False))], Trouble.DOWN),
        ([(0, None)], Trouble.DOWN),
        ([(0, None), (1, RUNNING)], Trouble.NONE),
    ],
)
def test_what_needs_a_person(
    seen: list[tuple[float, WorkloadStatus | None]], trouble: Trouble
) -> None:
    known = course(*seen)
    assert known.trouble is trouble
    assert bool(known.detail) is (trouble is not Trouble.NONE)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "its container does not run; it is started again once a minute"),
        (
            RUNNING.with_tasks(node="n2", node_lost=True),
            "none of its tasks runs (n2 does not answer); the swarm starts them again",
        ),
        (
            replace(RUNNING, tasks=(), waits_for="no suitable node"),
            "none of its tasks runs (no suitable node); the swarm starts them again",
        ),
        (
            replace(RUNNING, tasks=(), wanted=0, waits_for="n2: the task is shutdown"),
            "its container does not run; it is started again once a minute",
        ),
    ],
)
def test_who_starts_it_again_is_said(status: WorkloadStatus | None, words: str) -> None:
    known = course((0, status))
    assert (known.trouble, known.detail) == (Trouble.DOWN, words)


def test_what_has_not_changed_is_the_same_value_and_trouble_keeps_its_beginning() -> None:
    unwell = replace(RUNNING.with_tasks(health="unhealthy"), health_said="no such table")
    assert course((0, RUNNING), (60, RUNNING)) == course((0, RUNNING))
    assert course((0, RUNNING), (60, unwell), (120, unwell)) == course((0, RUNNING), (60, unwell))
    assert course((0, RUNNING), (60, unwell), (120, unwell)).changed_at == START + timedelta(
        seconds=60
    )
    assert course((0, unwell)).detail == "the image's HEALTHCHECK says unhealthy: no such table"


def test_the_last_end_of_a_crash_loop_is_told_where_it_is_known() -> None:
    waiting = restarted(9).with_tasks(running=False, restarting=True, exit_code=7)
    assert "last with exit code 7" in course((0, waiting)).detail
    assert "want of memory" in course((0, waiting.with_tasks(oom_killed=True))).detail


async def known_of(world: World, instance: Instance) -> Vitals:
    return (await world.store.read(lambda reader: reader.vitals([instance.id])))[instance.id]


async def test_the_writer_looks_at_no_instance_that_has_not_changed(
    led: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await led.ship("v1")
    led.runtime.set_health(live.container, "unhealthy")
    # A scan over all that is live would hold up every webhook call.
    monkeypatch.setattr(InstanceWrites, "instances", None, raising=False)
    await reconcile(led.services)
    assert (await known_of(led, live)).health == "unhealthy"


async def test_the_deploy_itself_leaves_the_first_word(led: World) -> None:
    live = await led.ship("v1")
    known = await known_of(led, live)
    assert (known.running, known.restarts, known.health, known.paused, known.trouble) == (
        True,
        0,
        None,
        False,
        Trouble.NONE,
    )


async def test_a_crash_loop_after_the_watch_is_found_by_the_sweep_and_told_once(led: World) -> None:
    live = await led.ship("v1")
    with capture_logs() as logs:
        for _ in range(CRASHES + 2):
            led.runtime.exit(live.container, 7)
            await reconcile(led.services)
            await led.runtime.start(live.container)
        await reconcile(led.services)

    known = await known_of(led, live)
    assert (known.trouble, known.restarts) == (Trouble.CRASH_LOOP, CRASHES + 2)
    told = [entry for entry in logs if entry.get("action") == "look_after"]
    assert [(entry["log_level"], entry["container"]) for entry in told] == [
        ("warning", live.container)
    ]
    assert (await led.instances(InstanceState.LIVE)) == [live]


async def test_unhealthy_and_paused_are_found_told_and_taken_back(led: World) -> None:
    live = await led.ship("v1", WITH_CHECK)
    with capture_logs() as logs:
        led.runtime.set_health(live.container, "unhealthy", "curl: not found")
        await reconcile(led.services)
        assert (
            await known_of(led, live)
        ).detail == "the image's HEALTHCHECK says unhealthy: curl: not found"
        led.runtime.set_health(live.container, "healthy")
        led.runtime.pause(live.container)
        await reconcile(led.services)
        assert "docker unpause" in (await known_of(led, live)).detail
        led.runtime.pause(live.container, paused=False)
        await reconcile(led.services)
    assert (await known_of(led, live)).trouble is Trouble.NONE
    assert [entry["log_level"] for entry in logs if entry.get("action") == "look_after"] == [
        "warning",
        "warning",
        "info",
    ]


async def test_nothing_is_written_where_nothing_has_changed(led: World) -> None:
    live = await led.ship("v1")
    await reconcile(led.services)
    quiet = await writes_of_a_sweep(led)
    led.runtime.pause(live.container)
    assert await writes_of_a_sweep(led) == quiet + 1
    assert await writes_of_a_sweep(led) == quiet


async def writes_of_a_sweep(world: World) -> int:
    before = world.calls.calls.count("write")
    await reconcile(world.services)
    return world.calls.calls.count("write") - before


async def test_what_a_healthcheck_says_of_a_secret_is_masked_and_still_the_same(led: World) -> None:
    await led.change_project(run=RunOptions(secrets={"TOKEN": "s3cret-token"}))
    live = await led.ship("v1", WITH_CHECK)
    led.runtime.set_health(live.container, "unhealthy", "refused: s3cret-token")
    await reconcile(led.services)
    with capture_logs() as logs:
        await reconcile(led.services)
    assert (
        await known_of(led, live)
    ).detail == "the image's HEALTHCHECK says unhealthy: refused: ***"
    assert logs == []


async def test_what_the_sweep_starts_again_is_known_to_run(led: World) -> None:
    live = await led.ship("v1")
    await led.runtime.stop(live.container)
    await reconcile(led.services)
    assert ((await known_of(led, live)).running, (await known_of(led, live)).trouble) == (
        True,
        Trouble.NONE,
    )


async def test_one_that_was_made_again_is_well_at_once(led: World) -> None:
    live = await led.ship("v1")
    await led.runtime.remove(live.container)
    await reconcile(led.services)
    found = await led.store.read(lambda reader: reader.vitals([live.id]))
    assert (found[live.id].running, found[live.id].trouble) == (True, Trouble.NONE)


def test_a_swarm_that_remembers_two_ends_has_crash_loops_too() -> None:
    """It keeps so few tasks that their number is soon the same at each look."""

    def ended(at: float) -> WorkloadStatus:
        when = START + timedelta(seconds=at)
        said = "perhaps its HEALTHCHECK failed"
        waits = RUNNING.with_tasks(running=False, restarting=True, said=said)
        return replace(waits, self_healing=True, restarts=min(2, int(at) // 20), ended_at=when)

    looks = [(at + 1.0, ended(at)) for at in (20, 40, 60, 80)]
    known = course((0, RUNNING), *looks, (100, ended(80)))
    assert (known.restarts, known.crashes, known.trouble) == (4, 4, Trouble.CRASH_LOOP)
    assert "exit code 0 (perhaps its HEALTHCHECK failed)" in known.detail
    later = PEACE.total_seconds() + 90
    calm = course((0, RUNNING), *looks, (later, ended(80)), (later + 60, ended(80)))
    assert (calm.restarts, calm.crashes) == (4, 0)
    assert calm.trouble is Trouble.NONE
