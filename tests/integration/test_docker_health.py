"""HEALTHCHECKs run by hand on a real engine: what a contract of all engines does not ask."""

import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tagboat.core.health import TestRun
from tagboat.core.image import parse_image_name
from tagboat.core.workload import WorkloadSpec
from tagboat.runtime.docker.engine import DockerRuntime
from tests.support.docker_registry import DockerRegistry
from tests.support.dockerd import call, remove_images_of, remove_labelled
from tests.support.images import push_image

pytestmark = pytest.mark.anyio
Started = Callable[..., Awaitable[str]]


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[DockerRuntime]:
    made = DockerRuntime(engine_url)
    yield made
    await made.close()


@pytest.fixture
async def started(
    engine: DockerRuntime, engine_url: str, docker_registry: DockerRegistry
) -> AsyncIterator[Started]:
    """Runs an app whose HEALTHCHECK is that line, and which the engine itself runs in five
    minutes; returns its name.
    """
    run = f"run-{secrets.token_hex(4)}"

    async def start(healthcheck: str, *, user: str = "") -> str:
        host = docker_registry.host
        digest = push_image(
            host, "acme/app", "v1", body=run, healthcheck=healthcheck, interval_s=300
        )
        image = parse_image_name(f"{host}/acme/app")
        await engine.pull(image, digest, None, lambda _: None)
        spec = WorkloadSpec(
            name=f"{run}-web", image=f"{image}@{digest}", labels={"tagboat.test": run}, user=user
        )
        await engine.create(spec)
        await engine.start(spec.name)
        return spec.name

    yield start
    remove_labelled(engine_url, f"tagboat.test={run}")
    remove_images_of(engine_url, docker_registry.host)


def sleepers(engine_url: str, container: str) -> int:
    processes = json.loads(call(engine_url, "GET", f"/containers/{container}/top"))["Processes"]
    return sum("sleep 997" in " ".join(process) for process in processes)


async def test_one_that_hangs_is_told_after_its_time_and_is_not_heaped_up(
    engine: DockerRuntime, engine_url: str, started: Started
) -> None:
    container = await started("sleep 997")
    took_s: list[float] = []
    for _ in range(6):
        began = time.monotonic()
        assert await engine.run_healthcheck(container) == TestRun(
            passed=False, said="its command did not end within 2 s"
        )
        took_s.append(time.monotonic() - began)
    assert took_s[0] >= 2
    assert min(took_s[1:]) < 2  # it is known that the first still runs
    assert sleepers(engine_url, container) == 1


async def test_once_it_has_ended_it_is_run_again(engine: DockerRuntime, started: Started) -> None:
    container = await started("[ -e /tmp/been ] || { : > /tmp/been; sleep 6; }")
    assert not (await engine.run_healthcheck(container) or TestRun(passed=True)).passed
    end = time.monotonic() + 120
    while not (await engine.run_healthcheck(container) or TestRun(passed=False)).passed:
        assert time.monotonic() < end


async def test_it_runs_as_the_apps_user_with_its_variables(
    engine: DockerRuntime, started: Started
) -> None:
    line = (
        'if { echo > /www/mine; } 2>/dev/null; then echo root; else echo "port $PORT, not root"; fi'
    )
    assert await engine.run_healthcheck(await started(line, user="1000:1000")) == TestRun(
        passed=True, said="port 8080, not root"
    )


async def test_a_flood_of_words_is_cut(engine: DockerRuntime, started: Started) -> None:
    container = await started(
        "yes no no no | head -c 300000; yes x | head -c 5000 | tr -d '\\n'; exit 1"
    )
    run = await engine.run_healthcheck(container)
    assert run is not None
    assert not run.passed
    assert len(run.said) <= 161
