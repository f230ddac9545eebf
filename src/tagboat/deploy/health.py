"""Asking instances how they are: the gate before they take traffic, and the watch after."""

import asyncio
from collections.abc import Awaitable, Callable

from tagboat.core.deploy import Instance
from tagboat.core.errors import DeployFailedError
from tagboat.core.ports import Engine, Probe
from tagboat.core.protocol import AppProtocol
from tagboat.core.run import RunConfig
from tagboat.deploy.gate import Judgement, Verdict, judge

_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0
_WATCH_PAUSE_S = 0.5
_SILENCES = 3
"""So many probes in a row must fail before a watched instance is called unhealthy: one may meet a hiccup."""


class Health:
    """Looks at one instance, through the engine and at its port."""

    def __init__(self, engine: Engine, probe: Probe, instance: Instance, config: RunConfig) -> None:
        self._engine = engine
        self._probe = probe
        self._instance = instance
        self._config = config

    async def until_healthy(self, limit_s: float) -> str:
        """Return how it is known to be healthy; raise DeployFailedError once it cannot become so, or `limit_s` is over."""
        clock = asyncio.get_running_loop().time
        began, pause = clock(), _FIRST_PAUSE_S
        while True:
            judgement = await self._look(clock() - began)
            if judgement.verdict is Verdict.HEALTHY:
                return judgement.reason
            if judgement.verdict is Verdict.FAILED:
                raise DeployFailedError(judgement.reason)
            if clock() - began > limit_s:
                raise DeployFailedError(f"not healthy within {limit_s:g} s: {judgement.reason}{self._port_meant()}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    async def watch(self, watch_s: float, enough: Callable[[], Awaitable[bool]]) -> str:
        """Look again and again for `watch_s` seconds, or until `enough` says so; raise DeployFailedError if it sickens."""
        clock = asyncio.get_running_loop().time
        began, silences = clock(), 0
        while True:
            # As long as it could be asked for at the gate, it has been running long enough.
            judgement = await self._look(float("inf"))
            silences = silences + 1 if judgement.verdict is Verdict.WAIT else 0
            if judgement.verdict is Verdict.FAILED or silences >= _SILENCES:
                raise DeployFailedError(f"it was healthy and live, and then: {judgement.reason}")
            if not silences and clock() - began >= watch_s:
                return f"it stayed healthy for {watch_s:g} s"
            if not silences and await enough():
                return f"it stayed healthy for {clock() - began:.0f} s; a newer deploy waits"
            await asyncio.sleep(_WATCH_PAUSE_S)

    def _port_meant(self) -> str:
        return f" (the project's port is {self._config.port})" if self._config.port else ""

    async def _look(self, running_s: float) -> Judgement:
        port = self._instance.host_port
        status, probed = await asyncio.gather(self._engine.status(self._instance.handle), self._ask(port))
        return judge(status, self._config.healthcheck, port, probed, running_s)

    async def _ask(self, port: int) -> str | None:
        healthcheck = self._config.healthcheck
        if healthcheck.startswith("/"):
            if not port:
                raise DeployFailedError("the healthcheck is a path, but the project has no port to ask it at; set the port")
            if self._config.protocol is not AppProtocol.HTTP:
                return await self._probe.ask(self._config.protocol, port, healthcheck)
            return await self._probe.http(port, healthcheck)
        return await self._probe.tcp(port) if port and healthcheck != "image" else None
