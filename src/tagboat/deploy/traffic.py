"""The traffic: applying the routes that are on record, and waiting until requests have ended."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import IngressUnavailableError
from tagboat.core.events import EventTopic
from tagboat.core.ingress import Ingress
from tagboat.core.ports import Reader, Store, Topic
from tagboat.core.request_counts import CodeClasses, ProcessCounts
from tagboat.core.route import Route, Target
from tagboat.deploy.answers import AnswersByStage
from tagboat.deploy.edges import Edges
from tagboat.deploy.left_instances import LeftInstances
from tagboat.deploy.routes import routes_by_stage, routes_of_stage
from tagboat.loops import PeriodicTask

APPLY_EVERY_S = 60.0
FOLLOW_S = 1.0
"""Seconds after which a replica applies to its own ingress what others have recorded."""
APPLY_RETRY_S = 1.0
_LONG_S = 0.1
_REST = 4
_MOST_EVENTS = 500
"""Events by which is found out whose routes have changed; after more, all are read again."""
_MOST_STAGES = 20
"""Stages whose routes are read one by one, as above."""
_LONGEST_REST_S = 5.0
_DRAIN_PAUSE_S = 0.05
_EDGES_PAUSE_S = 0.2
_QUIET_LOOKS = 2
"""Looks in a row that must find no request in flight.

One request may fall between the choice of its instance and its count.
"""

log = structlog.get_logger("tagboat.traffic")


class Traffic:
    """Routes traffic through `ingress` by the records; two calls never overtake each other.

    `edges` are the ingresses of other servers as well, None where there are none.
    """

    def __init__(
        self, store: Store, ingress: Ingress, base_domain: str, edges: Edges | None = None
    ) -> None:
        self._store = store
        self._edges = edges
        self._left = LeftInstances()
        # The versions of the routes that the ingress follows, and that were last asked for.
        self._led = self._asked = 0
        self._applied_at = -APPLY_EVERY_S
        self._ingress = ingress
        self._base_domain = base_domain
        self._turn = asyncio.Lock()
        # The stage that owns each host, None while it is not known which routes are in force.
        self._owners: dict[str, str] | None = None
        # The routes of each stage that the ingress follows, as far as they are known.
        self._in_force: dict[str, frozenset[Route]] = {}
        # None before the first routes.
        self._answers: AnswersByStage | None = None

    @property
    def active(self) -> bool:
        """False without an ingress of this server: then it has nothing to route or to count."""
        return self._ingress.routes_traffic

    def is_routed(self, reader: Reader) -> bool:
        """Return whether requests reach instances through an ingress, ours or one of others."""
        return self.active or (self._edges is not None and self._edges.are_seen(reader))

    async def routes_requests(self) -> bool:
        """Return what `is_routed` says now. Raises StoreUnavailableError."""
        if self.active or self._edges is None:
            return self.active
        return await self._store.read(self._edges.are_seen)

    async def apply_routes(self) -> None:
        """Return once all traffic follows the records, at the ingresses of other servers too.

        Raises IngressUnavailableError and StoreUnavailableError.
        """
        if self.active:
            async with self._turn:
                await self._apply_all()
            await self._until_followed(self._led)
        elif self._edges is not None:
            await self._until_followed(
                await self._store.read(lambda reader: reader.last_event_id())
            )

    async def apply_changes(self) -> None:
        """Do the same where the ingress mostly follows already: read only what has changed since.

        All is read once a minute, and after a failure.
        """
        if self.active:
            async with self._turn:
                await self._catch_up()
            await self._until_followed(self._led)

    async def apply_stage_routes(self, stage_id: str) -> None:
        """Return once one stage's traffic follows the records, without a look at any other.

        Raises as `apply_routes`.
        """
        if self.active:
            async with self._turn:
                version = await self._apply_one(stage_id)
            await self._until_followed(version)
        else:
            await self.apply_routes()

    async def _until_followed(self, version: int) -> None:
        self._asked = max(self._asked, version)
        if self._edges is not None:
            await self._edges.until_followed(version)

    async def _apply_one(self, stage_id: str) -> int:
        """Apply the routes of one stage, and return their version."""
        owners = self._owners
        if owners is None:
            await self._apply_all()
            return self._led
        found, version = await self._store.read(
            lambda reader: (
                routes_of_stage(reader, stage_id, self._base_domain),
                reader.last_event_id() if self._edges else 0,
            )
        )
        await self._change(stage_id, found, owners)
        return version

    async def _change(
        self, stage_id: str, found: Sequence[Route], owners: Mapping[str, str]
    ) -> None:
        """Have the ingress route a stage as `found`; `owners` is who owns the hosts until then."""
        hosts = {route.host for route in found}
        gone = {host for host, owner in owners.items() if owner == stage_id} - hosts
        left = {host: owner for host, owner in owners.items() if host not in gone}
        after = left | dict.fromkeys(hosts, stage_id)
        await self._count_before(after)
        self._owners = None  # if the next call fails, nobody knows what is in force
        await self._ingress.change_routes(found, gone)
        self._own(after)
        if gone:
            # They may be those of another stage from now on: all are read at the next look.
            self._applied_at = -APPLY_EVERY_S
        self._in_force[stage_id] = frozenset(found)
        self._left.route(stage_id, found)

    async def _catch_up(self) -> None:
        """Apply what was recorded since the last time, stage by stage unless all is due."""

        def work(reader: Reader) -> tuple[int, Mapping[str, Sequence[Route]] | None]:
            newest = reader.last_event_id()
            news = reader.events(self._led, _MOST_EVENTS) if newest != self._led else []
            stages = {one.stage_id for one in news if one.stage_id}
            # A new name of a project gives all its stages new hosts.
            projects = {one.project_id for one in news if one.topic is EventTopic.PROJECT}
            for project_id in projects if len(projects) <= _MOST_STAGES else ():
                stages |= {stage.id for stage in reader.stages(project_id or "")}
            too_many = len(news) == _MOST_EVENTS or max(len(stages), len(projects)) > _MOST_STAGES
            # A database that was restored has an older event as its newest.
            if too_many or newest < self._led:
                return newest, None
            return newest, {one: routes_of_stage(reader, one, self._base_domain) for one in stages}

        is_due = asyncio.get_running_loop().time() - self._applied_at >= APPLY_EVERY_S
        newest, changed = 0, None
        if self._owners is not None and not is_due:
            newest, changed = await self._store.read(work)
        for stage_id, found in (changed or {}).items():
            before = self._in_force.get(stage_id, frozenset())
            # A host that this one gives up may be that of another stage from now on.
            if self._owners is None or {one.host for one in before} - {one.host for one in found}:
                changed = None
                break
            if before != frozenset(found):
                await self._change(stage_id, found, self._owners)
        if changed is None:
            await self._apply_all()
        else:
            self._led = newest

    async def _apply_all(self) -> None:
        # Until it has succeeded: a call that fails may have applied a part.
        self._owners = None

        def work(reader: Reader) -> tuple[Mapping[str, Sequence[Route]], int, Sequence[Instance]]:
            draining: Sequence[Instance] = ()
            if self._edges is not None and not self._led:
                # An earlier process may have routed to these.
                draining = reader.instances(states=[InstanceState.DRAINING])
            found = routes_by_stage(reader, self._base_domain)
            return found, reader.last_event_id(), draining

        found, version, draining = await self._store.read(work)
        owners = {route.host: stage_id for stage_id, some in found.items() for route in some}
        await self._count_before(owners)
        await self._ingress.apply_routes([route for some in found.values() for route in some])
        self._own(owners)
        self._in_force = {stage_id: frozenset(some) for stage_id, some in found.items()}
        earlier = [Target(one.id, one.endpoints) for one in draining if one.endpoints]
        self._left.route_all(found, earlier)
        self._led, self._applied_at = version, asyncio.get_running_loop().time()

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

        `tell` is called with the number of requests as long as there are some. An ingress of
        another server that has not followed counts as busy, and is waited for a while longer.
        """
        if not await self.routes_requests():
            return ""
        # Taken first: switches that follow do not concern these instances.
        version = self._asked
        outcome = await self._count_down(instances, limit_s, tell, version)
        left = await self._edges.until_let_go(version) if self._edges else ""
        return "; ".join(filter(None, (outcome, left)))

    async def _count_down(
        self,
        instances: Sequence[Instance],
        limit_s: float,
        tell: Callable[[int], Awaitable[None]] | None,
        version: int,
    ) -> str:
        targets = [Target(one.id, one.endpoints) for one in instances if one.endpoints]
        behind: tuple[str, ...] = ()
        clock = asyncio.get_running_loop().time
        began, quiet, left = clock(), 0, "it is not known how many requests were"
        while clock() - began < limit_s:
            try:
                count = sum([await self._ingress.in_flight(one) for one in targets])
                if self._edges is not None:
                    busy = await self._edges.busy(version, {one.instance for one in targets})
                    count, behind = count + busy.requests, busy.behind
            except IngressUnavailableError as error:
                # Requests that were not counted may have been there.
                quiet = 0
                log.warning("requests not counted", action="drain", reason=str(error))
            else:
                quiet = quiet + 1 if count == 0 and not behind else 0
                left = f"{count} request{'s were' if count != 1 else ' was'}"
                if not count:
                    left = (
                        "it is not known if requests of an ingress that does not follow were"
                        if behind
                        else "no request was seen at the last look, but one may be"
                    )
                if tell is not None and count:
                    await tell(count)
                if quiet >= _QUIET_LOOKS:
                    return f"no request was in flight any more after {clock() - began:.1f} s"
            await asyncio.sleep(_EDGES_PAUSE_S if self._edges else _DRAIN_PAUSE_S)
        return f"{left} still in flight after {limit_s:g} s"

    async def run(self, applied: Callable[[], None] = lambda: None) -> None:
        """Apply routes at once, on each change of them, and every minute; until cancelled.

        Where other servers write too, every second. `applied` is called each time.
        """
        said = ""

        async def apply() -> float:
            if self._edges is None:
                await self.apply_changes()
                interval_s = APPLY_EVERY_S
            else:
                interval_s = await self._follow(self._edges)
            nonlocal said
            said = ""
            applied()
            return interval_s

        def warn(reason: str) -> None:
            nonlocal said
            # Once: the database may be away for long.
            if reason != said:
                log.warning("routing update failed", action="apply routes", reason=reason)
            said = reason

        def rest_s(took_s: float) -> float:
            # With thousands of stages, changes must not have all of them read without a pause.
            return min(took_s * _REST, _LONGEST_REST_S) if took_s > _LONG_S else 0.0

        task = PeriodicTask(apply, retry_s=APPLY_RETRY_S, warn=warn, rest_s=rest_s)
        self._store.listen(Topic.ROUTES, task.wake)
        await task.run()

    async def _follow(self, edges: Edges) -> float:
        """Apply what others have recorded, and report it; return the seconds until the next look.

        Where nothing was recorded, only a number is read; where it concerns few stages, theirs.
        """
        if not self._led:
            # Before the first look: from now on a switch waits until we follow it.
            await edges.report(0, {})
        async with self._turn:
            await self._catch_up()
        in_flight = await self._left.count(self._ingress.in_flight)
        await edges.report(self._led, in_flight)
        return _EDGES_PAUSE_S if in_flight else FOLLOW_S
