"""The traffic: applying the routes that are on record, and waiting until requests have ended."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial

import structlog

from tagboat.core.deploy import Instance
from tagboat.core.errors import IngressUnavailableError
from tagboat.core.ingress import Ingress
from tagboat.core.ports import Store, Topic
from tagboat.core.request_counts import CodeClasses, ProcessCounts
from tagboat.core.route import Target
from tagboat.deploy.answers import AnswersByStage
from tagboat.deploy.routes import routes_by_stage, routes_of_stage
from tagboat.loops import PeriodicTask

APPLY_EVERY_S = 60.0
FOLLOW_S = 1.0
"""Seconds after which a replica applies to its own ingress what others have recorded."""
APPLY_RETRY_S = 1.0
_LONG_S = 0.1
_REST = 4
_LONGEST_REST_S = 5.0
_DRAIN_PAUSE_S = 0.05
_QUIET_LOOKS = 2
"""Looks in a row that must find no request in flight.

One request may fall between the choice of its instance and its count.
"""

log = structlog.get_logger("tagboat.traffic")


class Traffic:
    """Routes traffic through `ingress` by the records; two calls never overtake each other."""

    def __init__(self, store: Store, ingress: Ingress, base_domain: str) -> None:
        self._store = store
        self._ingress = ingress
        self._base_domain = base_domain
        self._turn = asyncio.Lock()
        # The stage that owns each host, None while it is not known which routes are in force.
        self._owners: dict[str, str] | None = None
        # None before the first routes.
        self._answers: AnswersByStage | None = None

    @property
    def active(self) -> bool:
        """False without an ingress: then there is nothing to route, to count or to wait for."""
        return self._ingress.routes_traffic

    async def apply_routes(self) -> None:
        """Return once all traffic follows the records.

        Raises IngressUnavailableError and StoreUnavailableError.
        """
        if self.active:
            async with self._turn:
                await self._apply_all()

    async def apply_stage_routes(self, stage_id: str) -> None:
        """Return once one stage's traffic follows the records, without a look at any other.

        Raises as `apply_routes`.
        """
        if not self.active:
            return
        async with self._turn:
            owners = self._owners
            if owners is None:
                await self._apply_all()
                return
            found = await self._store.read(
                lambda reader: routes_of_stage(reader, stage_id, self._base_domain)
            )
            hosts = {route.host for route in found}
            gone = {host for host, owner in owners.items() if owner == stage_id} - hosts
            left = {host: owner for host, owner in owners.items() if host not in gone}
            owners = left | dict.fromkeys(hosts, stage_id)
            await self._count_before(owners)
            self._owners = None  # if the next call fails, nobody knows what is in force
            await self._ingress.change_routes(found, gone)
            self._own(owners)

    async def _apply_all(self) -> None:
        # Until it has succeeded: a call that fails may have applied a part.
        self._owners = None
        found = await self._store.read(lambda reader: routes_by_stage(reader, self._base_domain))
        owners = {route.host: stage_id for stage_id, some in found.items() for route in some}
        await self._count_before(owners)
        await self._ingress.apply_routes([route for some in found.values() for route in some])
        self._own(owners)

    async def _count_before(self, owners: Mapping[str, str]) -> None:
        """Count what hosts that go to another stage have answered for the one that loses them."""
        if self._answers is not None and self._answers.is_moved_by(owners):
            with contextlib.suppress(IngressUnavailableError):
                await self.code_classes()

    def _own(self, owners: dict[str, str]) -> None:
        self._owners = owners
        self._answers = self._answers or AnswersByStage()
        self._answers.own(owners)

    async def hosts(self, stage_id: str) -> tuple[str, ...]:
        """Return the hosts of a stage that are routed, in order."""
        found = await self._store.read(
            lambda reader: routes_of_stage(reader, stage_id, self._base_domain)
        )
        return tuple(sorted(route.host for route in found))

    async def count_requests(
        self, targets: Sequence[Target], hosts: Collection[str]
    ) -> Sequence[ProcessCounts]:
        """Return what the ingress has counted. Raises IngressUnavailableError."""
        return await self._ingress.count_requests(targets, hosts)

    async def code_classes(self) -> Mapping[str, CodeClasses]:
        """Return the answers of every stage that was asked, by its id, deleted ones included.

        They never become fewer: a host that leaves a stage leaves its answers there. Raises
        IngressUnavailableError.
        """
        if self._answers is None:
            raise IngressUnavailableError("no routes were applied yet")
        return self._answers.update(await self._ingress.code_classes())

    async def drained(
        self,
        instances: Sequence[Instance],
        limit_s: float,
        tell: Callable[[int], Awaitable[None]] | None = None,
    ) -> str:
        """Wait at most `limit_s` seconds until these answer no request; return the outcome.

        `tell` is called with the number of requests as long as there are some.
        """
        if not self.active:
            return ""
        if not self._store.exclusive:
            # Until the ingress of every other replica has followed.
            await asyncio.sleep(2 * FOLLOW_S)
        clock = asyncio.get_running_loop().time
        began, quiet, left = clock(), 0, "it is not known how many requests were"
        while clock() - began < limit_s:
            try:
                count = 0
                for instance in instances:
                    if instance.endpoints:
                        target = Target(instance.id, instance.endpoints)
                        count += await self._ingress.in_flight(target)
            except IngressUnavailableError as error:
                # Requests that were not counted may have been there.
                quiet = 0
                log.warning("requests not counted", action="drain", reason=str(error))
            else:
                quiet = quiet + 1 if count == 0 else 0
                left = f"{count} request{'s were' if count != 1 else ' was'}"
                if tell is not None and count:
                    await tell(count)
                if quiet >= _QUIET_LOOKS:
                    return f"no request was in flight any more after {clock() - began:.1f} s"
            await asyncio.sleep(_DRAIN_PAUSE_S)
        return f"{left} still in flight after {limit_s:g} s"

    async def run(self) -> None:
        """Apply routes at once, on each change of them, and every minute; until cancelled.

        Where other servers write too, every second.
        """

        async def apply() -> float:
            await self.apply_routes()
            return APPLY_EVERY_S if self._store.exclusive else FOLLOW_S

        def rest_s(took_s: float) -> float:
            # With thousands of stages, changes must not have all of them read without a pause.
            return min(took_s * _REST, _LONGEST_REST_S) if took_s > _LONG_S else 0.0

        warn = partial(log.warning, "routing update failed", action="apply routes")
        task = PeriodicTask(apply, retry_s=APPLY_RETRY_S, warn=warn, rest_s=rest_s)
        self._store.listen(Topic.ROUTES, task.wake)
        await task.run()
