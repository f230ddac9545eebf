"""The health of the server and of what it stands on: the one place that finds out what is wrong."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Literal

import structlog
from msgspec import Struct

from tagboat.core.elsewhere import elsewhere
from tagboat.core.errors import EngineError, IngressUnavailableError, TagboatError
from tagboat.core.polling import RegistryBackoff
from tagboat.core.ports import Tx
from tagboat.operations.services import OperationServices
from tagboat.shared_calls import SharedCalls

TIMEOUT_S = 2.0
_WRITE_EVERY_S = 10.0
DATABASE = "database"
HealthStatus = Literal["ok", "degraded", "unavailable"]
# `none` is a choice, not a fault: there is to be no ingress.
WELL = frozenset({"ok", "none"})
_SILENT = {
    DATABASE: "is its disk full, or PostgreSQL down?",
    "engine": "does 'docker version' answer on the server's machine?",
    "ingress": "does HAProxy hang? 'tagboat ingress status' shows its process",
}
# One outage may hit many hosts at once: the sentence stays readable.
_REGISTRIES_SHOWN = 5

log = structlog.get_logger("tagboat.health")


class SystemHealth(Struct, frozen=True):
    """Findings by check: `ok`, `none` (there is to be no ingress), or the reason in words."""

    checks: Mapping[str, str]

    @property
    def status(self) -> HealthStatus:
        """Return `unavailable` without the database, `degraded` where anything else is out."""
        if self.checks.get(DATABASE, "ok") != "ok":
            return "unavailable"
        return "ok" if all(state in WELL for state in self.checks.values()) else "degraded"


class HealthChecks:
    """Checks that anybody may ask for, as often as they like: callers during a check share it."""

    def __init__(self, services: OperationServices) -> None:
        self._services = services
        self._checks: SharedCalls[dict[str, str]] = SharedCalls()
        self._reads: SharedCalls[list[RegistryBackoff]] = SharedCalls()
        self._writes: SharedCalls[object] = SharedCalls()
        self._written_at = float("-inf")
        self._failed_writes = 0

    async def check(self) -> SystemHealth:
        """Check everything, or join the check that is under way."""
        return SystemHealth(await self._checks.call(None, self._check_all))

    async def check_database(self) -> SystemHealth:
        """Check whether the database can be read and written."""
        return SystemHealth({DATABASE: await _finding(DATABASE, self._use_database())})

    async def _check_all(self) -> dict[str, str]:
        async def ask_engine() -> None:
            engine = self._services.engine
            await engine.version()
            if words := await engine.trouble():
                raise EngineError(words)
            # An engine that answers is of no use to a server in a container without its network.
            if words := elsewhere(await engine.own_network()):
                raise EngineError(words)

        async def ask_ingress() -> None:
            trouble = self._services.ingress_trouble
            if trouble and (said := await trouble()):
                raise IngressUnavailableError(said)

        database, engine, ingress, registries = await asyncio.gather(
            _finding(DATABASE, self._use_database()),
            _finding("engine", ask_engine()),
            _finding("ingress", ask_ingress()),
            self.check_registries(),
        )
        return {
            DATABASE: database,
            "engine": engine,
            "ingress": ingress if self._services.ingress_trouble else "none",
            "registries": registries,
        }

    async def check_registries(self) -> str:
        """Return which registries failed at their last poll; `ok` where the database is silent."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                failing = await self._failing_registries()
        except (TimeoutError, TagboatError):
            # The check of the database says so; it is not the registries that failed.
            return "ok"
        shown = [f"{one.host}: {one.error}" for one in failing[:_REGISTRIES_SHOWN]]
        more = [f"and {len(failing) - len(shown)} more"] if len(failing) > len(shown) else []
        return "; ".join(shown + more) or "ok"

    async def _use_database(self) -> None:
        store = self._services.store

        # A file that can be locked can be written while its disk has space, and a write costs a
        # flush: it is tried now and then, and again until one succeeds after a failure.
        now, failed = time.monotonic(), store.failed_writes
        writes = (
            not store.exclusive
            or failed != self._failed_writes
            or now - self._written_at >= _WRITE_EVERY_S
        )

        def write(tx: Tx) -> None:
            if writes:
                tx.acquire_lease(DATABASE, DATABASE, TIMEOUT_S)

        await self._failing_registries()
        await self._writes.call(writes, lambda: store.write(write))
        if writes:
            self._written_at, self._failed_writes = now, failed

    async def _failing_registries(self) -> Sequence[RegistryBackoff]:
        # A read that the database has yet to answer is waited for, and no other is begun: a silent
        # database would keep one thread for each caller.
        store = self._services.store
        return await self._reads.call(
            None, lambda: store.read(lambda reader: reader.failing_registries())
        )


async def _finding(name: str, work: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await work
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:.0f} s; {_SILENT[name]}"
    except TagboatError as error:
        log.warning("not well", action="check", check=name, reason=str(error))
        return str(error)
    return "ok"
