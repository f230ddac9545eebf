"""Asking instances how they are: the gate before they take traffic, and the watch after."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from tagboat.core.deploy import ContainerStatus, Instance
from tagboat.core.elsewhere import elsewhere
from tagboat.core.errors import DeployFailedError, EngineError
from tagboat.core.health import Manner
from tagboat.core.masking import mask_values
from tagboat.core.naming import stage_host
from tagboat.core.protocol import AppProtocol
from tagboat.core.run import RunConfig
from tagboat.deploy.containers import Parts
from tagboat.deploy.following import foreign
from tagboat.deploy.gate import Judgement, Signs, Verdict, gate_limit_s, judge, why_late
from tagboat.deploy.scene import Scene
from tagboat.deploy.selftest import SelfTest

_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0
_WATCH_PAUSE_S = 0.5
_SHORTEST_ASK_S = 1.0
_ANSWERED = "answered HTTP "
_SILENCES = 3
"""So many probes in a row must fail before a watched instance is called unhealthy: one may meet a hiccup."""


class Health:
    """Looks at one instance of a stage, through the engine and at its port. `seen` is what the engine last said of it."""

    def __init__(self, parts: Parts, scene: Scene, instance: Instance, config: RunConfig) -> None:
        self._engine = parts.engine
        self._probe = parts.probe
        self._instance = instance
        self._image = f"{instance.image or scene.project.image}@{instance.digest}"
        self._config = config
        self._names = scene.project.name, scene.stage.name
        self._manner = manner(parts, scene)
        self._timeout_s = scene.stage.health_timeout_s
        self._said: str | None = None
        self.seen: ContainerStatus | None = None

    async def until_healthy(self) -> str:
        """Return how it is known to be healthy; raise DeployFailedError once it cannot become so, or has had its time."""
        limit_s = await self._limit_s()
        clock = asyncio.get_running_loop().time
        began, pause = clock(), _FIRST_PAUSE_S
        async with aclosing(self._selftest(presumed=False, failures_needed=1)) as test:
            while True:
                judgement = await self._look(clock() - began, test, limit_s - (clock() - began))
                if judgement.verdict is Verdict.HEALTHY:
                    return judgement.reason
                if judgement.verdict is Verdict.FAILED:
                    raise DeployFailedError(judgement.reason + await self._foreign())
                if clock() - began > limit_s:
                    port, (project, stage) = self._config.port, self._names
                    raise DeployFailedError(
                        why_late(
                            judgement.reason, limit_s, port, project, stage, await self._elsewhere()
                        )
                    )
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    async def watch(self, watch_s: float, enough: Callable[[], Awaitable[bool]]) -> str:
        """Look again and again for `watch_s` seconds, or until `enough` says so; raise DeployFailedError if it sickens."""
        clock = asyncio.get_running_loop().time
        began, silences = clock(), 0
        async with aclosing(self._selftest(presumed=True, failures_needed=_SILENCES)) as test:
            while True:
                # As long as it could be asked for at the gate, it has been running long enough.
                judgement = await self._look(float("inf"), test, self._manner.limit_s)
                silences = silences + 1 if judgement.verdict is Verdict.WAIT else 0
                if judgement.verdict is Verdict.FAILED or silences >= _SILENCES:
                    raise DeployFailedError(
                        f"it was healthy and live, and then: {judgement.reason}"
                    )
                if not silences and clock() - began >= watch_s:
                    return f"it stayed healthy for {watch_s:g} s"
                if not silences and await enough():
                    return f"it stayed healthy for {clock() - began:.0f} s; a newer deploy waits"
                await asyncio.sleep(_WATCH_PAUSE_S)

    def _selftest(self, *, presumed: bool, failures_needed: int) -> SelfTest:
        return SelfTest(
            self._engine, self._instance.handle, presumed=presumed, failures_needed=failures_needed
        )

    async def _limit_s(self) -> float:
        info = (
            await self._engine.inspect_image(self._image)
            if self._config.healthcheck == "image"
            else None
        )
        return gate_limit_s(self._timeout_s, self._config.healthcheck, info)

    async def _elsewhere(self) -> str:
        """What is wrong with where Tagboat runs, as far as that can be found out now."""
        try:
            return elsewhere(await self._engine.own_network())
        except EngineError:
            return ""

    async def _foreign(self) -> str:
        """What is to be said of an image that is built for another machine, as far as that can be found out now."""
        try:
            info, platform = (
                await self._engine.inspect_image(self._image),
                await self._engine.platform(),
            )
        except EngineError:
            return ""
        words = foreign(info.platform, platform) if info else ""
        return f"; {words}" if words else ""

    async def _look(self, running_s: float, test: SelfTest, left_s: float) -> Judgement:
        """Look once; a request that is under way when the time is over is not waited for."""
        port, healthcheck = self._instance.host_port, self._config.healthcheck
        self.seen = status = await self._engine.status(self._instance.handle)
        signs = Signs(status=status, running_s=running_s)
        if status is not None and status.running and status.restarts:
            signs = replace(signs, exit_code=await self._exit_code())
        elif (
            status is not None
            and status.running
            and not status.paused
            and not _settled(status, healthcheck)
        ):
            signs = replace(signs, probed=await self._ask(port, max(left_s, _SHORTEST_ASK_S)))
            # Within the watch also where the engine says healthy: by its own timetable it may find out much later.
            wanted = status.health == "starting" or test.presumed
            if healthcheck == "image" and wanted and signs.probed is None:
                signs = replace(signs, tested=await test.look())
        judgement = judge(signs, healthcheck, port)
        return replace(judgement, reason=mask_values(judgement.reason, self._config.secret_values))

    async def _exit_code(self) -> int | None:
        try:
            return await self._engine.last_exit_code(self._instance.handle)
        except EngineError:
            return None

    async def _ask(self, port: int, left_s: float) -> str | None:
        healthcheck = self._config.healthcheck
        if healthcheck.startswith("/"):
            if not port:
                raise DeployFailedError(
                    "the healthcheck is a path, but the project has no port to ask it at; set the port"
                )
            return await self._ask_path(port, left_s)
        return await self._ask_port(port) if port else None

    async def _ask_port(self, port: int) -> str | None:
        """Ask the port alone: who answers in the project's protocol, whatever the status, is there."""
        protocol = self._config.protocol
        if protocol is AppProtocol.HTTP:
            return await self._probe.tcp(port)
        said = await self._probe.ask(protocol, port, "/", self._manner.host, self._manner.limit_s)
        return None if said is not None and said.startswith(_ANSWERED) else said

    async def _ask_path(self, port: int, left_s: float) -> str | None:
        """Ask the path; that the last request was cut short by the end of the gate is not what is wrong with the app."""
        whole_s = self._manner.limit_s
        said = await self._request(port, replace(self._manner, limit_s=min(whole_s, left_s)))
        if said is not None and left_s < whole_s and said.startswith("no answer within"):
            return self._said or said
        self._said = said
        return said

    async def _request(self, port: int, manner: Manner) -> str | None:
        protocol, path = self._config.protocol, self._config.healthcheck
        if protocol is AppProtocol.HTTP:
            return await self._probe.http(port, path, manner)
        return await self._probe.ask(protocol, port, path, manner.host, manner.limit_s)


def _settled(status: ContainerStatus, healthcheck: str) -> bool:
    """Whether its HEALTHCHECK decides, and has: then its port need not be asked."""
    return healthcheck == "image" and status.health not in {"starting", "healthy"}


def manner(parts: Parts, scene: Scene) -> Manner:
    """How the stage's instances are asked: as those ask who come by its first domain, else by its own address."""
    stage = scene.stage
    own = stage_host(scene.project.name, stage.name, parts.base_domain)
    return Manner(
        host=stage.healthcheck_host or next(iter(stage.domains), own),
        proto=parts.front_proto,
        limit_s=stage.healthcheck_request_timeout_s,
    )
