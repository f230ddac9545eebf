"""What only the engine in memory can do.

What it shares with the real one is shown in tests/contract/test_runtime.py.
"""

import asyncio

import pytest

from tagboat.core.errors import EngineError, EngineUnavailableError
from tagboat.core.image import Digest, parse_image_name
from tagboat.core.workload import WorkloadSpec
from tagboat.runtime.memory import MemoryRuntime

pytestmark = pytest.mark.anyio

APP = parse_image_name("git.example.com/acme/app")
DIGEST = Digest("sha256:" + "1" * 64)
SPEC = WorkloadSpec(
    name="web",
    image=f"{APP}@{DIGEST}",
    labels={},
    files={"/run/secrets/key": "hush"},
    memory=64 << 20,
)


@pytest.fixture
async def engine() -> MemoryRuntime:
    engine = MemoryRuntime()
    engine.publish(APP, DIGEST)
    await engine.pull(APP, DIGEST, None, lambda _: None)
    await engine.create(SPEC)
    await engine.start("web")
    return engine


async def test_what_a_container_was_created_with_can_be_looked_at(engine: MemoryRuntime) -> None:
    assert engine.spec("web") == SPEC


async def test_it_goes_away_for_all_who_listen(engine: MemoryRuntime) -> None:
    listeners = [asyncio.ensure_future(anext(engine.watch_exits({}))) for _ in range(2)]
    while len(engine._listeners) != 2:  # noqa: ASYNC110 - they are as good as there
        await asyncio.sleep(0)
    engine.go_away()
    for listener in listeners:
        with pytest.raises(EngineUnavailableError, match="went away"):
            await listener
    assert engine._listeners == []


async def test_one_exit_is_told_once_and_a_stop_of_what_is_stopped_not_at_all(
    engine: MemoryRuntime,
) -> None:
    names = engine.watch_exits({})
    first = asyncio.ensure_future(anext(names))
    await asyncio.sleep(0)
    engine.exit("web", 1)
    await engine.stop("web")
    await engine.stop("web")
    engine.go_away()
    assert await first == "web"
    assert await anext(names) == "web"
    with pytest.raises(EngineUnavailableError):
        await anext(names)


async def test_listening_can_fail_as_told(engine: MemoryRuntime) -> None:
    engine.fail("watch_exits", EngineError("no events today"))
    with pytest.raises(EngineError, match="no events today"):
        await anext(engine.watch_exits({}))
