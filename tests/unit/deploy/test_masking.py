"""What is a secret of an app, or of its registry, is kept in no deploy."""

import msgspec
import pytest

from tagboat.core.deploy import DeployStatus
from tagboat.core.errors import EngineError
from tagboat.core.run import RunOptions
from tagboat.runtime.memory import MemoryImage
from tests.unit.deploy.deploy_harness import World

pytestmark = pytest.mark.anyio
SECRET = "S3CR3T-needle"
KEY = "-----BEGIN\nneedle-of-a-key\nEND-----"
OPTIONS = RunOptions(secrets={"PASSWORD": SECRET}, secret_files={"key": KEY})
TALKS = MemoryImage(
    log=(f"PASSWORD={SECRET}", "-----BEGIN", "needle-of-a-key", "END-----"), exit_code=3
)


async def test_an_app_that_fails_and_writes_its_environment(led: World) -> None:
    await led.change_stage(run=OPTIONS)
    led.publish("v1", TALKS)
    ended = await led.carry_out(await led.queue("v1"))
    assert ended.status is DeployStatus.FAILED
    assert ended.log.splitlines() == ["PASSWORD=***", "***", "***", "***"]


async def test_what_the_engine_says_of_a_secret(led: World) -> None:
    await led.change_stage(run=OPTIONS)
    led.publish("v1")
    led.runtime.fail("start", EngineError(f"cannot run {SECRET}"))
    ended = await led.carry_out(await led.queue("v1"))
    assert ended.reason == "cannot run ***"
    assert SECRET not in msgspec.json.encode(ended).decode()
