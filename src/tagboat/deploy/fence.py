"""Fences: a server that slept, or was cut off, must not act on what another has taken over.

A claim or lease lasts for some seconds, by the database's clock. This server's own deadline is
earlier, by a clock that goes on while the process or the machine sleeps. Before it the server may
act; after it, the database is asked first, and says so only if nobody has come after us.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from tagboat.core.errors import StoreUnavailableError
from tagboat.core.generics import T
from tagboat.core.ports import Store
from tagboat.core.run import EngineKind
from tagboat.core.runtime import Runtime
from tagboat.core.values import replace
from tagboat.deploy.services import DeployServices
from tagboat.deploy.traffic import Traffic

CLAIM_S = 15.0
"""Seconds for which a claim or a lease lasts unless it is renewed."""
MARGIN_S = 3.0
"""Seconds by which our own deadline is earlier, so that a call has ended before others begin."""
RECONCILE_LEASE = "reconcile"
_CONFIRMED_WITHIN_S = 2.0
"""Less than the margin: a call under way has then been ended before others begin."""
_CLOCK_LOOK_S = 1.0
"""Timers do not count the sleep of a machine."""

# All others change something, and so would a call that is added one day.
READS = frozenset(
    {
        *("on", "is_cluster", "probe", "version", "identity", "trouble", "platform"),
        *("own_network", "root_dir"),
        *("disk_usage", "inspect_image", "log_in", "inspect_container", "status", "logs"),
        *("follow_logs", "run_healthcheck", "last_exit_code", "list_workloads", "watch_exits"),
        *("list_networks", "list_volumes"),
    }
)
"""The calls of a runtime that change nothing."""
_TRAFFIC_CHANGES = frozenset({"apply_routes", "apply_changes", "apply_stage_routes"})


class ClaimLostError(Exception):
    """Another server has claimed it, or it was withdrawn: this one leaves it alone."""


def awake_s() -> float:
    """Return seconds of a clock that nobody sets, and that counts sleep of the machine too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """The claim of this server on one deploy.

    `claim` is its number, None until it is read from the record. `until` is our own deadline by
    `awake_s`; without end where nobody else can claim it.
    """

    def __init__(
        self, store: Store, deploy_id: str, claim: int | None = None, until: float = float("inf")
    ) -> None:
        self._store = store
        self._id = deploy_id
        self.claim = claim
        self.until = until

    async def check(self) -> None:
        """Return if this server may act for the deploy.

        Else raises ClaimLostError, or StoreUnavailableError.
        """
        began, claim = awake_s(), self.claim
        if began < self.until or claim is None:
            return
        # A write: a claim that has run out could be taken right after a read.
        if not await self._store.write(lambda tx: tx.renew_claims({self._id: claim}, CLAIM_S)):
            raise ClaimLostError
        self.until = began + CLAIM_S - MARGIN_S


class Lease:
    """The turn of one server among those that share a database, to do what one at a time may do.

    `holder` names this server. Where no other server writes to the database, it is always held;
    `until` is as in a fence.
    """

    def __init__(self, store: Store, name: str, holder: str) -> None:
        self._store = store
        self._name = name
        self._holder = holder
        self.until = float("inf") if store.exclusive else 0.0

    async def acquire(self) -> bool:
        """Take or renew it; return False where another server has it."""
        if self._store.exclusive:
            return True
        began = awake_s()
        held = await self._store.write(
            lambda tx: tx.acquire_lease(self._name, self._holder, CLAIM_S)
        )
        self.until = began + CLAIM_S - MARGIN_S if held else 0.0
        return held

    async def check(self) -> None:
        """Return if this server may act, which renews the lease in time. Raises as a fence."""
        if awake_s() >= self.until and not await self.acquire():
            raise ClaimLostError


async def within(claim: Fence | Lease, work: Awaitable[T]) -> T:
    """Return what `work` does while the claim lasts: a call may try again for long.

    It is cancelled before others may act, unless the claim can be renewed in time. Raises what
    `claim.check` raises.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            left_s = min(claim.until - awake_s(), _CLOCK_LOOK_S)
            if left_s > 0:
                await asyncio.wait({task}, timeout=left_s)
                continue
            try:
                async with asyncio.timeout(_CONFIRMED_WITHIN_S):
                    await claim.check()
            except TimeoutError:
                raise StoreUnavailableError(
                    "the database did not confirm in time that this server may go on"
                ) from None
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Fenced:
    """Another object, of which all calls but those that `is_free` accepts need the claim."""

    def __init__(self, inner: object, claim: Fence | Lease, is_free: Callable[[str], bool]) -> None:
        self._inner = inner
        self._claim = claim
        self._is_free = is_free

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the other one has
        found = getattr(self._inner, name)
        if name == "on":
            # Another runtime, for which the same holds.
            async def on(engine: EngineKind | None) -> _Fenced:
                return _Fenced(await found(engine), self._claim, self._is_free)

            return on
        if self._is_free(name):
            return found

        async def call(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes
            await self._claim.check()
            if name == "launch":
                # Between the two calls of the engine that it makes as well.
                named["before_start"] = self._claim.check
            return await within(self._claim, found(*args, **named))

        return call


def fenced(services: DeployServices, claim: Fence | Lease) -> DeployServices:
    """Return the services with a runtime and a traffic that change nothing without the claim.

    Their changing calls raise what its `check` raises, also while they are under way.
    """
    traffic = _Fenced(services.traffic, claim, lambda name: name not in _TRAFFIC_CHANGES)
    return replace(
        services,
        runtime=cast("Runtime", _Fenced(services.runtime, claim, READS.__contains__)),
        traffic=cast("Traffic", traffic),
    )
