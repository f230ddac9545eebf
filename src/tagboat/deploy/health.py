"""Asking instances how they are: the gate before they take traffic, and the watch after."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from tagboat.core.deploy import Instance
from tagboat.core.elsewhere import elsewhere
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import DeployFailedError, EngineError
from tagboat.core.health import Manner
from tagboat.core.masking import mask_values
from tagboat.core.naming import stage_host
from tagboat.core.protocol import AppProtocol
from tagboat.core.run import RunConfig
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.context import DeployContext
from tagboat.deploy.following import foreign
from tagboat.deploy.health_gate import (
    HealthReport,
    HealthState,
    Signs,
    evaluate_health,
    gate_limit_s,
    why_late,
)
from tagboat.deploy.selftest import SelfTest
from tagboat.deploy.services import DeployServices

_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0
_WATCH_PAUSE_S = 0.5
_SHORTEST_ASK_S = 1.0
_ANSWERED = "answered HTTP "
_SILENCES = 3
"""So many probes in a row must fail before a watched instance is called unhealthy: one may meet a hiccup."""


class Health:
    """Looks at one instance of a stage, through the engine and at its port. `seen` is what the engine last said of it."""

    def __init__(
        self,
        services: DeployServices,
        context: DeployContext,
        instance: Instance,
        config: RunConfig,
    ) -> None:
        self._runtime = services.runtime
        self._probe = services.runtime.probe
        self._instance = instance
        self._image = f"{instance.image or context.project.image}@{instance.digest}"
        self._config = config
        self._names = context.project.name, context.stage.name
        self._manner = manner(services, context)
        self._timeout_s = context.stage.health_timeout_s
        self._said: str | None = None
        self.seen: WorkloadStatus | None = None

    async def until_healthy(self) -> str:
        """Return how it is known to be healthy; raise DeployFailedError once it cannot become so, or has had its time."""
        limit_s = await self._limit_s()
        clock = asyncio.get_running_loop().time
        began, pause = clock(), _FIRST_PAUSE_S
        async with aclosing(self._selftest(presumed=False, failures_needed=1)) as test:
            while True:
                report = await self._look(clock() - began, test, limit_s - (clock() - began))
                if report.state is HealthState.HEALTHY:
                    return report.reason
                if report.state is HealthState.FAILED:
                    raise DeployFailedError(report.reason + await self._foreign())
                if clock() - began > limit_s:
                    port, (project, stage) = self._config.port, self._names
                    raise DeployFailedError(
                        why_late(
                            report.reason, limit_s, port, project, stage, await self._elsewhere()
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
                report = await self._look(float("inf"), test, self._manner.limit_s)
                silences = silences + 1 if report.state is HealthState.WAIT else 0
                if report.state is HealthState.FAILED or silences >= _SILENCES:
                    raise DeployFailedError(f"it was healthy and live, and then: {report.reason}")
                if not silences and clock() - began >= watch_s:
                    return f"it stayed healthy for {watch_s:g} s"
                if not silences and await enough():
                    return f"it stayed healthy for {clock() - began:.0f} s; a newer deploy waits"
                await asyncio.sleep(_WATCH_PAUSE_S)

    def _selftest(self, *, presumed: bool, failures_needed: int) -> SelfTest:
        return SelfTest(
            self._runtime, self._instance.handle, presumed=presumed, failures_needed=failures_needed
        )

    async def _limit_s(self) -> float:
        info = (
            await self._runtime.inspect_image(self._image)
            if self._config.healthcheck == "image"
            else None
        )
        return gate_limit_s(self._timeout_s, self._config.healthcheck, info)

    async def _elsewhere(self) -> str:
        """What is wrong with where Tagboat runs, as far as that can be found out now."""
        try:
            return elsewhere(await self._runtime.own_network())
        except EngineError:
            return ""

    async def _foreign(self) -> str:
        """What is to be said of an image that is built for another machine, as far as that can be found out now."""
        try:
            info, platform = (
                await self._runtime.inspect_image(self._image),
                await self._runtime.platform(),
            )
        except EngineError:
            return ""
        words = foreign(info.platform, platform) if info else ""
        return f"; {words}" if words else ""

    async def _look(self, running_s: float, test: SelfTest, left_s: float) -> HealthReport:
        """Look once; a request that is under way when the time is over is not waited for."""
        endpoint, healthcheck = self._instance.endpoint, self._config.healthcheck
        self.seen = status = await self._runtime.status(self._instance.handle)
        signs = Signs(status=status, running_s=running_s)
        if status is not None and status.running and status.restarts:
            signs = replace(signs, exit_code=await self._exit_code())
        elif (
            status is not None
            and status.running
            and not status.paused
            and not _settled(status, healthcheck)
        ):
            signs = replace(signs, probed=await self._ask(endpoint, max(left_s, _SHORTEST_ASK_S)))
            # Within the watch also where the engine says healthy: by its own timetable it may find out much later.
            wanted = status.health == "starting" or test.presumed
            if healthcheck == "image" and wanted and signs.probed is None:
                signs = replace(signs, tested=await test.look())
        report = evaluate_health(signs, healthcheck, listens=endpoint is not None)
        return replace(report, reason=mask_values(report.reason, self._config.secret_values))

    async def _exit_code(self) -> int | None:
        try:
            return await self._runtime.last_exit_code(self._instance.handle)
        except EngineError:
            return None

    async def _ask(self, endpoint: Endpoint | None, left_s: float) -> str | None:
        healthcheck = self._config.healthcheck
        if healthcheck.startswith("/"):
            if endpoint is None:
                raise DeployFailedError(
                    "the healthcheck is a path, but the project has no port to ask it at; set the port"
                )
            return await self._ask_path(endpoint, left_s)
        return await self._ask_port(endpoint) if endpoint else None

    async def _ask_port(self, endpoint: Endpoint) -> str | None:
        """Ask the port alone: who answers in the project's protocol, whatever the status, is there."""
        protocol = self._config.protocol
        if protocol is AppProtocol.HTTP:
            return await self._probe.tcp(endpoint)
        said = await self._probe.ask(
            protocol, endpoint, "/", self._manner.host, self._manner.limit_s
        )
        return None if said is not None and said.startswith(_ANSWERED) else said

    async def _ask_path(self, endpoint: Endpoint, left_s: float) -> str | None:
        """Ask the path; that the last request was cut short by the end of the gate is not what is wrong with the app."""
        whole_s = self._manner.limit_s
        said = await self._request(endpoint, replace(self._manner, limit_s=min(whole_s, left_s)))
        if said is not None and left_s < whole_s and said.startswith("no answer within"):
            return self._said or said
        self._said = said
        return said

    async def _request(self, endpoint: Endpoint, manner: Manner) -> str | None:
        protocol, path = self._config.protocol, self._config.healthcheck
        if protocol is AppProtocol.HTTP:
            return await self._probe.http(endpoint, path, manner)
        return await self._probe.ask(protocol, endpoint, path, manner.host, manner.limit_s)


def _settled(status: WorkloadStatus, healthcheck: str) -> bool:
    """Whether its HEALTHCHECK decides, and has: then its port need not be asked."""
    return healthcheck == "image" and status.health not in {"starting", "healthy"}


def manner(services: DeployServices, context: DeployContext) -> Manner:
    """How the stage's instances are asked: as those ask who come by its first domain, else by its own address."""
    stage = context.stage
    own = stage_host(context.project.name, stage.name, services.base_domain)
    return Manner(
        host=stage.healthcheck_host or next(iter(stage.domains), own),
        proto=services.front_proto,
        limit_s=stage.healthcheck_request_timeout_s,
    )
