"""Runs of containers' HEALTHCHECKs on a Docker engine, next to the engine's own."""

import asyncio
from http import HTTPStatus
from typing import Any

from aiodocker import DockerError
from aiodocker.execs import Exec

from tagboat.core.health import TestRun
from tagboat.runtime.docker.connection import DockerConnection
from tagboat.runtime.docker.healthtest import HealthTest, health_test, outcome
from tagboat.runtime.docker.refusal import clean

_MARGIN_S = 20.0
# A test may write without end, and only its last line is shown.
_MOST_WRITTEN = 16 * 1024
_ENDED_LOOKS = 40
_ENDED_PAUSE_S = 0.05


class HealthTests:
    """Runs the tests of containers' images.

    The engine cannot end a command that was begun from outside, so one that hangs is waited for
    before the test of its container is run again.
    """

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection
        self._hanging: dict[str, Exec] = {}

    async def run(self, container: str) -> TestRun | None:
        """Run the test once, None where the container has none.

        Raises EngineNotFoundError when the container is gone.
        """
        doing = f"run the HEALTHCHECK of {container}"
        async with self._connection.use(doing, _MARGIN_S) as docker:
            test = health_test(
                (await docker.containers.container(container).show()).get("Config") or {}
            )
            if test is None:
                return None
            if (last := self._hanging.get(container)) is not None:
                try:
                    if (await last.inspect())["Running"]:
                        return _hung(test)
                except DockerError as error:
                    # A command that the engine has forgotten has ended.
                    if error.status != HTTPStatus.NOT_FOUND:
                        raise
                del self._hanging[container]
            begun = await docker.containers.container(container).exec(test.command)
        async with self._connection.use(doing, test.timeout_s + _MARGIN_S):
            return await self._ended(container, begun, test)

    def forget(self, container: str) -> None:
        """Take note that the container is gone, and whatever ran in it."""
        self._hanging.pop(container, None)

    async def _ended(self, container: str, begun: Exec, test: HealthTest) -> TestRun:
        # Until it is known to have ended, even where the caller is cancelled by then.
        self._hanging[container] = begun
        try:
            async with asyncio.timeout(test.timeout_s):
                written = bytearray()  # as much of the end of its output as is of use
                async with begun.start(detach=False) as stream:
                    while (message := await stream.read_out()) is not None:
                        written = (written + message.data)[-_MOST_WRITTEN:]
        except TimeoutError:
            return _hung(test)
        except DockerError as error:
            # What cannot be started: the engine's own run fails alike.
            del self._hanging[container]
            return TestRun(passed=False, said=clean(error.message))
        code: int | None = None
        # The engine knows the exit code a moment after the end of what the command wrote.
        for _ in range(_ENDED_LOOKS):
            said: dict[str, Any] = await begun.inspect()
            if not said["Running"]:
                code = None if said["ExitCode"] is None else int(said["ExitCode"])
                break
            await asyncio.sleep(_ENDED_PAUSE_S)
        self._hanging.pop(container, None)
        return outcome(code, written.decode(errors="replace"))


def _hung(test: HealthTest) -> TestRun:
    return TestRun(passed=False, said=f"its command did not end within {test.timeout_s:g} s")
