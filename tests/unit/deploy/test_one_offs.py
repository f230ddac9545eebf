"""One-off commands: their output to the last line, their end, and nothing that stays."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tagboat.core.errors import EngineError, EngineNotFoundError
from tagboat.core.image import Digest, ImageName
from tagboat.core.one_off import KEPT_FOR, OneOff
from tagboat.core.workload import LogLine, WorkloadSpec
from tagboat.deploy import one_offs
from tagboat.deploy.one_offs import OneOffRun, lines_after
from tagboat.deploy.ownership import RUN, own_labels
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.removal import Removal
from tagboat.runtime.memory import MemoryImage, MemoryRuntime
from tagboat.store import SqlStore, open_store
from tests.unit.deploy.deploy_harness import INSTALLATION, World

pytestmark = pytest.mark.anyio
IMAGE, DIGEST = ImageName("git.example.com", "acme/app"), Digest("sha256:" + "a" * 64)
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def one_off(now: datetime, key: str = "run-1") -> OneOff:
    return OneOff(id=key, stage_id="s1", container=f"app-dev-{key}", kept_until=now + KEPT_FOR)


def spec_of(command: OneOff) -> WorkloadSpec:
    return WorkloadSpec(
        name=command.container,
        image=f"{IMAGE}@{DIGEST}",
        labels={**own_labels(INSTALLATION), RUN: command.id},
        restarts=False,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(None, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
async def engine(monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> MemoryRuntime:  # noqa: ARG001 - it runs this
    monkeypatch.setattr(one_offs, "_SILENCE_S", 0.01)
    return await engine_with(MemoryImage())


async def engine_with(content: MemoryImage) -> MemoryRuntime:
    runtime = MemoryRuntime()
    runtime.publish(IMAGE, DIGEST, content)
    await runtime.pull(IMAGE, DIGEST, None, lambda _: None)
    return runtime


async def started(store: SqlStore, engine: MemoryRuntime, limit_s: float = 60) -> OneOffRun:
    command = one_off(datetime.now(UTC))
    await store.write(lambda tx: tx.put_one_off(command))
    run = OneOffRun(store, engine, lambda: datetime.now(UTC), command, limit_s)
    await run.start(spec_of(command))
    return run


async def on_record(store: SqlStore) -> list[OneOff]:
    return await store.read(lambda reader: reader.one_offs())


async def test_the_output_comes_as_it_is_written_and_ends_with_the_command(
    store: SqlStore, engine: MemoryRuntime
) -> None:
    run = await started(store, engine)
    assert [one.container_id for one in await on_record(store)] == [run.one_off.container_id]
    lines = run.lines()
    engine.say(run.one_off.container, "first")
    assert (await anext(lines)).text == "first"
    engine.say(run.one_off.container, "second")
    assert (await anext(lines)).text == "second"
    engine.say(run.one_off.container, "last")
    engine.exit(run.one_off.container, 3)
    assert [line.text async for line in lines] == ["last"]
    assert (run.exit_code, run.timed_out) == (3, False)
    await run.remove()
    assert (await engine.list_workloads({}), await on_record(store)) == ([], [])


async def test_lines_that_nobody_had_taken_at_the_end_come_once(
    store: SqlStore, engine: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await started(store, engine)

    async def follow_some(container: str, tail: int, _since: object = None) -> object:
        for line in await engine.logs(container, tail):
            yield line
            if line.text == "2":
                await asyncio.Event().wait()

    monkeypatch.setattr(engine, "follow_logs", follow_some)
    for text in ("1", "2", "3", "3"):
        engine.say(run.one_off.container, text)
    engine.exit(run.one_off.container, 0)
    assert [line.text async for line in run.lines()] == ["1", "2", "3", "3"]


async def test_a_slow_reader_gets_every_line(
    store: SqlStore, engine: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_offs, "_LEFT_LINES", 3)
    monkeypatch.setattr(one_offs, "_KNOWN_AGAIN", 2)
    run = await started(store, engine)
    lines = run.lines()
    texts = [str(number) for number in range(9)]
    engine.say(run.one_off.container, "0")
    got = [(await anext(lines)).text]
    for text in texts[1:]:
        engine.say(run.one_off.container, text)
    engine.exit(run.one_off.container, 0)
    # Longer than the silence after which its output counts as over.
    await asyncio.sleep(0.3)
    got += [line.text async for line in lines]
    assert got == texts


async def test_one_that_takes_too_long_is_ended(store: SqlStore, engine: MemoryRuntime) -> None:
    run = await started(store, engine, limit_s=0.05)
    assert [line async for line in run.lines()] == []
    assert run.timed_out
    assert f"stop {run.one_off.container}" in engine.journal


async def test_one_that_somebody_removes_is_an_error(
    store: SqlStore, engine: MemoryRuntime
) -> None:
    run = await started(store, engine)
    await engine.remove(run.one_off.container)
    with pytest.raises(EngineNotFoundError):
        assert [line async for line in run.lines()] == []
    assert run.exit_code is None


async def test_its_record_is_renewed_as_long_as_somebody_takes_its_lines(
    store: SqlStore, engine: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_offs, "KEEP_EVERY_S", 0.01)
    run = await started(store, engine)
    (before,) = await on_record(store)
    lines = run.lines()
    engine.say(run.one_off.container, "one")
    await anext(lines)
    async with asyncio.timeout(60):
        while (await on_record(store))[0].kept_until <= before.kept_until:
            pass
    await lines.aclose()
    await run.remove()
    await asyncio.sleep(0.05)
    assert await on_record(store) == []


async def test_one_that_cannot_start_leaves_nothing(store: SqlStore) -> None:
    engine = await engine_with(MemoryImage(start_error="exec: no such file"))
    command = one_off(NOON)
    await store.write(lambda tx: tx.put_one_off(command))
    run = OneOffRun(store, engine, lambda: NOON, command, 60)
    with pytest.raises(EngineError, match="no such file"):
        await run.start(spec_of(command))
    await run.remove()
    assert (await engine.list_workloads({}), await on_record(store)) == ([], [])


async def test_a_name_that_another_has_is_left_to_it(
    store: SqlStore, engine: MemoryRuntime
) -> None:
    command = one_off(NOON)
    await engine.create(
        WorkloadSpec(name=command.container, image=f"{IMAGE}@{DIGEST}", labels={RUN: "another"})
    )
    await store.write(lambda tx: tx.put_one_off(command))
    run = OneOffRun(store, engine, lambda: NOON, command, 60)
    with pytest.raises(EngineError):
        await run.start(spec_of(command))
    await run.remove()
    assert [one.name for one in await engine.list_workloads({})] == [command.container]


async def test_what_cannot_be_removed_stays_on_record(
    store: SqlStore, engine: MemoryRuntime
) -> None:
    run = await started(store, engine)
    engine.fail("remove", EngineError("busy"))
    await run.remove()
    assert [one.id for one in await on_record(store)] == [run.one_off.id]


@pytest.mark.parametrize(
    ("whole", "last", "rest"),
    [
        ("abc", "", "abc"),
        ("abc", "b", "c"),
        ("abc", "abc", ""),
        ("aab", "a", "b"),
        ("abab", "ab", ""),
        ("", "", ""),
        ("xyz", "a", "xyz"),
    ],
)
def test_the_lines_after_those_taken(whole: str, last: str, rest: str) -> None:
    def lines(texts: str) -> list[LogLine]:
        return [LogLine(text, NOON) for text in texts]

    assert [line.text for line in lines_after(lines(whole), lines(last))] == list(rest)


# After the server has died.


async def left_behind(world: World, command: OneOff, *, known: bool) -> None:
    """Run a command whose server died; its id is on record if `known`."""
    await world.ship("v1")
    (image,) = [one.digest for one in await world.instances()]
    spec = WorkloadSpec(
        name=command.container,
        image=f"{world.project.image}@{image}",
        labels={**own_labels(INSTALLATION), RUN: command.id},
        restarts=False,
    )
    container = await world.runtime.create(spec)
    await world.runtime.start(container)
    on_record = OneOff(
        id=command.id,
        stage_id=world.stage.id,
        container=command.container,
        container_id=container if known else "",
        kept_until=command.kept_until,
    )
    await world.store.write(lambda tx: tx.put_one_off(on_record))


@pytest.mark.parametrize("known", [False, True])
async def test_it_is_removed_once_nobody_looks_after_it(world: World, *, known: bool) -> None:
    command = one_off(world.clock.now())
    await left_behind(world, command, known=known)
    await reconcile(world.services)
    assert command.container in await world.containers()
    world.clock.move(KEPT_FOR.total_seconds() + 1)
    await reconcile(world.services)
    assert command.container not in await world.containers()
    assert len(await world.containers()) == 1
    assert await on_record(world.store) == []


async def test_it_ends_with_its_project(world: World) -> None:
    await left_behind(world, one_off(world.clock.now()), known=False)

    async def abandon(_stages: object) -> None:
        """No worker is at work."""

    removal = Removal(world.store, world.runtime, abandon, world.clock.now)
    await removal.remove_project(world.project.id)
    assert (await world.containers(), await on_record(world.store)) == ([], [])


async def test_another_container_of_its_name_or_label_is_left_alone(world: World) -> None:
    command = one_off(world.clock.now() - timedelta(days=1))
    await world.store.write(lambda tx: tx.put_one_off(command))
    await world.foreign_container(command.container, **own_labels(INSTALLATION))
    await world.foreign_container("copied", **own_labels(INSTALLATION), **{RUN: command.id})
    await reconcile(world.services)
    assert await world.containers() == ["app-dev-run-1", "copied"]
    assert await on_record(world.store) == []


async def test_a_command_that_a_swarm_could_not_start_is_an_error_with_its_words(
    store: SqlStore, engine: MemoryRuntime
) -> None:
    """As where the engine says so at once."""
    run = await started(store, engine)
    engine.exit(run.one_off.container, 127, 'exec: "/nonexistent": stat', began=False)
    with pytest.raises(EngineError, match=r'could not be started: exec: "/nonexistent"'):
        _ = [line async for line in run.lines()]
    await run.remove()
    assert await on_record(store) == []
