"""The health of one instance: the gate before it takes traffic, and the watch after."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

from tagboat.core.deploy import Instance
from tagboat.core.elsewhere import elsewhere
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import DeployFailedError, EngineError, StoreUnavailableError
from tagboat.core.health import Manner
from tagboat.core.masking import mask_values
from tagboat.core.naming import stage_host
from tagboat.core.run import RunConfig
from tagboat.core.values import replace
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
_PROMPT_S = 1.0
_MOST_LENT_S = 900.0
"""Seconds that a gate is longer at most because nodes pull the image, or the runtime is slow."""
_TELL_EVERY_S = 1.0
_SILENCES = 3
"""Failed probes in a row that make a watched instance unhealthy: one may be a hiccup."""


class Health:
    """Checks one instance of a stage, by its status and at each of its endpoints.

    `seen` is its last status, None before the first look. `endpoints` are those at the last look:
    they differ from those on record where the runtime moves tasks by itself.
    """

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
        self._waited_s = 0.0
        self.seen: WorkloadStatus | None = None
        self.endpoints = instance.endpoints

    async def until_healthy(self, tell: Callable[[str], Awaitable[None]] | None = None) -> str:
        """Return why it counts as healthy.

        `tell` is called about once a second with what it is waited for, and for how long. Raises
        DeployFailedError once it cannot become healthy, or has had its time.
        """
        by_image = self._config.healthcheck == "image"
        # Only a HEALTHCHECK of the image can need more time than the stage's default.
        info = await self._runtime.inspect_image(self._image) if by_image else None
        limit_s = gate_limit_s(self._timeout_s, self._config.healthcheck, info)
        clock = asyncio.get_running_loop().time
        began, pause, tell_at = clock(), _FIRST_PAUSE_S, _TELL_EVERY_S
        looked_at, to_lend_s = began, _MOST_LENT_S
        async with aclosing(self._selftest(presumed=False, failures_needed=1)) as test:
            while True:
                report = await self._look(clock() - began, test, limit_s - (clock() - began))
                # The time of the app is over, not that of a pull, or of a cluster without a leader.
                is_pulled = self.seen is not None and self.seen.preparing
                lost_s = clock() - looked_at if is_pulled else self._waited_s
                lent_s = min(lost_s, to_lend_s)
                began, to_lend_s, looked_at = began + lent_s, to_lend_s - lent_s, clock()
                if report.state is HealthState.HEALTHY:
                    return report.reason
                if self.seen is not None and self.seen.lost_track:
                    # It gets no requests yet.
                    await self._runtime.replace_tasks(self._instance.handle)
                if report.state is HealthState.FAILED:
                    words = ""
                    # An image of another platform than the engine's often is why it failed.
                    with suppress(EngineError):
                        found = await self._runtime.inspect_image(self._image)
                        platform = await self._runtime.platform()
                        words = foreign(found.platform, platform) if found else ""
                    raise DeployFailedError("; ".join(filter(None, (report.reason, words))))
                if clock() - began > limit_s:
                    outside = ""
                    with suppress(EngineError):
                        # From inside a container, no endpoint may be reachable at all.
                        outside = elsewhere(await self._runtime.own_network())
                    is_short = report.state is HealthState.SHORT
                    port, (project, stage) = 0 if is_short else self._config.port, self._names
                    raise DeployFailedError(
                        why_late(report.reason, limit_s, port, project, stage, outside)
                    )
                # Not in the first second: most apps need less, and each report is a write.
                if tell is not None and (waited_s := clock() - began) >= tell_at:
                    tell_at = waited_s + _TELL_EVERY_S
                    # The next report follows: a busy database must not fail the deploy.
                    with suppress(StoreUnavailableError):
                        await tell(f"{report.reason}, {waited_s:.0f} s of {limit_s:g} s")
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    async def watch(
        self, watch_s: float, enough: Callable[[], Awaitable[bool]], *, began_anew: bool = False
    ) -> str:
        """Look at it for `watch_s` seconds, or until `enough`; return how long it was healthy.

        One that may have `began_anew`, with its engine, has as long to come up as at its deploy.
        Raises DeployFailedError where it becomes unhealthy.
        """
        clock = asyncio.get_running_loop().time
        began, silences, whole_at, is_up = clock(), 0, clock(), not began_anew
        async with aclosing(self._selftest(presumed=True, failures_needed=_SILENCES)) as test:
            while True:
                # The gate has seen that it has been running for long enough.
                report = await self._look(float("inf"), test, self._manner.limit_s)
                waits = report.state is HealthState.WAIT
                if not is_up and report.state is HealthState.HEALTHY:
                    began, is_up = clock(), True
                silences = silences + 1 if waits and is_up else 0
                # A task that is lost with its machine says nothing about the app, and another is
                # started: it has as long for that as a new one.
                is_short = report.state is HealthState.SHORT or not is_up
                whole_at = whole_at if is_short else clock()
                is_late = clock() - whole_at > self._timeout_s
                if report.state is HealthState.FAILED or silences >= _SILENCES or is_late:
                    raise DeployFailedError(f"it was healthy and live, and then: {report.reason}")
                # Not while it is silent: the last look must have found it healthy.
                if not silences and not is_short and clock() - began >= watch_s:
                    return f"it stayed healthy for {watch_s:g} s"
                if not silences and not is_short and await enough():
                    return f"it stayed healthy for {clock() - began:.0f} s; a newer deploy waits"
                await asyncio.sleep(_WATCH_PAUSE_S)

    def _selftest(self, *, presumed: bool, failures_needed: int) -> SelfTest:
        return SelfTest(
            self._runtime, self._instance.handle, presumed=presumed, failures_needed=failures_needed
        )

    async def _look(self, running_s: float, test: SelfTest, left_s: float) -> HealthReport:
        """Look once; a request that is under way when the time is over is not waited for."""
        healthcheck = self._config.healthcheck
        asked_at = asyncio.get_running_loop().time()
        self.seen = status = await self._runtime.status(self._instance.handle)
        took_s = asyncio.get_running_loop().time() - asked_at
        self._waited_s = took_s if took_s > _PROMPT_S else 0.0
        if status is not None and status.self_healing:
            self.endpoints = status.endpoints or self.endpoints
        signs = Signs(status=status, running_s=running_s)
        if status is not None and status.running and status.restarts:
            with suppress(EngineError):
                # It runs again, so that its status has no exit code of before.
                code = await self._runtime.last_exit_code(self._instance.handle)
                signs = replace(signs, exit_code=code)
        elif (
            status is not None
            and not status.paused
            and sum(one.running for one in status.known_tasks) >= status.wanted
        ):
            # Where its HEALTHCHECK has decided that it is unhealthy, its endpoint is not asked.
            undecided = healthcheck != "image" or status.health in {"starting", "healthy"}
            if undecided:
                asked = await self._ask_all(max(left_s, _SHORTEST_ASK_S))
                signs = replace(signs, probed=asked)
                # Within the watch also where the engine says healthy: its next run may be far off.
                wanted = status.health == "starting" or test.presumed
                if healthcheck == "image" and wanted and signs.probed is None:
                    signs = replace(signs, tested=await test.look())
        report = evaluate_health(signs, healthcheck, listens=bool(self.endpoints))
        # What the app or its HEALTHCHECK says may repeat a secret.
        return replace(report, reason=mask_values(report.reason, self._config.secret_values))

    async def _ask_all(self, left_s: float) -> str | None:
        """Ask every endpoint; return None where all answer, else what is wrong with the first."""
        if len(self.endpoints) < 2:  # noqa: PLR2004 - then there is no need to say which
            return await self._ask(next(iter(self.endpoints), None), left_s)
        asked = [self._ask(one, left_s) for one in self.endpoints]
        answers = zip(self.endpoints, await asyncio.gather(*asked), strict=True)
        return next((f"{one}: {said}" for one, said in answers if said is not None), None)

    async def _ask(self, endpoint: Endpoint | None, left_s: float) -> str | None:
        """Ask the endpoint by the healthcheck; return None where it answers, else why not."""
        protocol, path, whole = self._config.protocol, self._config.healthcheck, self._manner
        if not path.startswith("/"):
            if endpoint is None:
                return None
            return await self._probe.ask(protocol, endpoint, None, whole)
        if endpoint is None:
            raise DeployFailedError(
                "the healthcheck is a path, but the project has no port to ask it at; set the port"
            )
        within = replace(whole, limit_s=min(whole.limit_s, left_s))
        said = await self._probe.ask(protocol, endpoint, path, within)
        if said is not None and left_s < whole.limit_s and said.startswith("no answer within"):
            # The end of the gate has cut this request short: the answer before it says more.
            return self._said or said
        self._said = said
        return said


def manner(services: DeployServices, context: DeployContext) -> Manner:
    """Return how the stage's instances are asked: as by its first domain, else its own address."""
    stage = context.stage
    own = stage_host(context.project.name, stage.name, services.base_domain)
    return Manner(
        host=stage.healthcheck_host or next(iter(stage.domains), own),
        proto=services.front_proto,
        limit_s=stage.healthcheck_request_timeout_s,
    )
