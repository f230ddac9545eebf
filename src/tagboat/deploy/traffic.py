"""Where traffic is to go, by what is on record, and making it go there."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, Instance, InstanceState
from tagboat.core.errors import IngressUnavailableError, NotFoundError, TagboatError
from tagboat.core.hosts import looked_up_as
from tagboat.core.ingress import Ingress
from tagboat.core.naming import earlier_instance_host, earlier_stage_host, instance_host, stage_host
from tagboat.core.ports import Reader, Store, Topic
from tagboat.core.route import Route, RouteState
from tagboat.core.stage_refs import iter_stages

LEAD_EVERY_S = 60.0
FOLLOW_S = 1.0
"""Seconds after which a replica leads its own ingress by what others have written down."""
RETRY_S = 1.0
_LONG_S = 0.1
_REST = 4
_LONGEST_REST_S = 5.0
_DRAIN_PAUSE_S = 0.05
_QUIET_LOOKS = 2
"""So many looks in a row must find no request in flight: one may fall between choosing the instance and counting."""
_Claim = tuple[int, datetime, str]
"""What a claim to a host goes by: how the host is come by, and since when there has been the stage; at the end its id."""
_OF_STAGE, _BY_SLUG, _OF_INSTANCE, _OF_EARLIER = range(4)

log = structlog.get_logger("tagboat.traffic")


class Traffic:
    """Leads traffic through `ingress` as the store says; two calls never overtake each other."""

    def __init__(self, store: Store, ingress: Ingress, base_domain: str) -> None:
        self._store = store
        self._ingress = ingress
        self._base_domain = base_domain
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._owners: dict[str, str] | None = (
            None  # the stage whose each host is, None before it is known what is in force
        )

    @property
    def active(self) -> bool:
        """False without an ingress: then there is nothing to route, to count or to wait for."""
        return self._ingress.routes_traffic

    async def apply_routes(self) -> None:
        """Return once traffic goes where the records say now. Raises IngressUnavailableError, StoreUnavailableError."""
        if not self.active:
            return
        async with self._turn:
            await self._apply_all()

    async def apply_stage_routes(self, stage_id: str) -> None:
        """Return once one stage's traffic goes where the records say now; no other is looked at. Raises as `apply_routes`."""
        if not self.active:
            return
        async with self._turn:
            if self._owners is None:
                await self._apply_all()
            else:
                await self._apply_one(stage_id, self._owners)

    async def _apply_all(self) -> None:
        self._owners = None
        found = await self._store.read(lambda reader: _routes_by_stage(reader, self._base_domain))
        await self._ingress.apply_routes(
            [route for of_stage in found.values() for route in of_stage]
        )
        self._owners = {
            route.host: stage_id for stage_id, of_stage in found.items() for route in of_stage
        }

    async def _apply_one(self, stage_id: str, owners: dict[str, str]) -> None:
        found = await self._store.read(
            lambda reader: _routes_of(reader, stage_id, self._base_domain)
        )
        gone = {host for host, owner in owners.items() if owner == stage_id} - {
            route.host for route in found
        }
        self._owners = None  # should it fail, nobody knows what is in force
        await self._ingress.change_routes(found, gone)
        left = {host: owner for host, owner in owners.items() if host not in gone}
        self._owners = left | {route.host: stage_id for route in found}

    async def drained(self, instances: Sequence[Instance], limit_s: float) -> str:
        """Wait until these answer no request any more, at most `limit_s` seconds; how that came out, in words."""
        if not self.active:
            return ""
        if not self._store.exclusive:
            await asyncio.sleep(2 * FOLLOW_S)  # until every other replica's ingress has followed
        clock = asyncio.get_running_loop().time
        began, quiet, left = clock(), 0, "it is not known how many requests were"
        while clock() - began < limit_s:
            try:
                count = await self._in_flight(instances)
            except IngressUnavailableError as error:
                quiet = 0
                log.warning("requests not counted", action="drain", reason=str(error))
            else:
                quiet = quiet + 1 if count == 0 else 0
                left = f"{count} request{'s were' if count != 1 else ' was'}"
                if quiet >= _QUIET_LOOKS:
                    return f"no request was in flight any more after {clock() - began:.1f} s"
            await asyncio.sleep(_DRAIN_PAUSE_S)
        return f"{left} still in flight after {limit_s:g} s"

    async def _in_flight(self, instances: Sequence[Instance]) -> int:
        counts = [
            await self._ingress.in_flight(instance.endpoint)
            for instance in instances
            if instance.endpoint
        ]
        return sum(counts)

    async def run(self) -> None:
        """Lead at once, whenever stages or their addresses change, and every minute (where others write too: every second)."""
        self._store.listen(Topic.ROUTES, self._news.set)
        while True:
            self._news.clear()
            pause = LEAD_EVERY_S if self._store.exclusive else FOLLOW_S
            began = time.perf_counter()
            try:
                await self.apply_routes()
            except TagboatError as error:
                log.warning("routing update failed", action="lead", reason=str(error))
                pause = RETRY_S
            await _rest(time.perf_counter() - began)
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                pass


async def _rest(took_s: float) -> None:
    """Where there are thousands of stages, news of one after the other must not have all of them read without a pause."""
    if took_s > _LONG_S:
        await asyncio.sleep(min(took_s * _REST, _LONGEST_REST_S))


def routes(reader: Reader, base_domain: str) -> list[Route]:
    """A route for every host of every stage, and of its instances. Of two that claim one host, the older stage has it.

    What is a stage's comes before what is an instance's. What they have only since hosts are made of slugs, or had till then,
    comes after what others have by their names as they are written.
    """
    return [
        route for of_stage in _routes_by_stage(reader, base_domain).values() for route in of_stage
    ]


def _routes_by_stage(reader: Reader, base_domain: str) -> dict[str, list[Route]]:
    live: dict[str, list[Instance]] = defaultdict(list)
    changing: set[str] = set()
    portless: set[str] = set()
    for instance in reader.instances(states=ACTIVE_STATES):  # newest first
        if instance.state is not InstanceState.LIVE:
            changing.add(instance.stage_id)
        elif instance.endpoint:
            live[instance.stage_id].append(instance)
        else:
            portless.add(instance.stage_id)
    # Without an instance only until the deploy at work has started one, or has started the old one again.
    restarting = changing & {one.stage_id for one in reader.running_deploys() if one.made_way}
    found: dict[str, tuple[_Claim, Route]] = {}
    for project, stage in iter_stages(reader):
        running = live.get(stage.id, ())
        otherwise = _state_without_endpoint(
            restarts=stage.id in restarting, portless=stage.id in portless
        )
        _claim_all(found, project, stage, running, base_domain, otherwise)
    sorted_out: dict[str, list[Route]] = defaultdict(list)
    for (_, _, stage_id), route in found.values():
        sorted_out[stage_id].append(route)
    return sorted_out


def _routes_of(reader: Reader, stage_id: str, base_domain: str) -> list[Route]:
    """What `routes` has for one stage, none for one that was deleted, found by looking at those alone that claim its hosts."""
    mine = _claims_of(reader, stage_id, base_domain)
    asked = [text for host in mine for text in looked_up_as(host, base_domain)]
    rivals = {claim.stage_id for claim in reader.host_claims(asked)}
    if any(kind == _OF_INSTANCE for (kind, _, _), _ in mine.values()):
        rivals |= {one.stage_id for one in reader.side_by_side()}
    theirs: dict[str, tuple[_Claim, Route]] = {}
    for rival in rivals - {stage_id}:
        _claim(theirs, _claims_of(reader, rival, base_domain).values())
    return [
        route
        for host, (claim, route) in mine.items()
        if host not in theirs or claim < theirs[host][0]
    ]


def _claims_of(reader: Reader, stage_id: str, base_domain: str) -> dict[str, tuple[_Claim, Route]]:
    try:
        stage = reader.stage(stage_id)
    except NotFoundError:
        return {}
    active = reader.instances(stage_id=stage_id, states=ACTIVE_STATES)
    live = [one for one in active if one.state is InstanceState.LIVE]
    at_work = [
        one
        for one in reader.open_deploys(stage_id)
        if one.status is DeployStatus.RUNNING and one.made_way
    ]
    portless = any(one.endpoint is None for one in live)
    otherwise = _state_without_endpoint(
        restarts=len(live) < len(active) and bool(at_work), portless=portless
    )
    found: dict[str, tuple[_Claim, Route]] = {}
    running = [one for one in live if one.endpoint]
    _claim_all(found, reader.project(stage.project_id), stage, running, base_domain, otherwise)
    return found


def _claim_all(
    found: dict[str, tuple[_Claim, Route]],
    project: Project,
    stage: Stage,
    live: Sequence[Instance],
    base_domain: str,
    otherwise: RouteState,
) -> None:
    """Put in what a stage and its instances claim."""
    by_name, *by_domain = _stage_routes(project, stage, live, base_domain, otherwise)
    earlier = replace(by_name, host=earlier_stage_host(project.name, stage.name, base_domain))
    of_instances = _instance_routes(project, stage, live, instance_host, base_domain)
    earlier_of_instances = _instance_routes(
        project, stage, live, earlier_instance_host, base_domain
    )
    for kind, wanted in (
        (_OF_STAGE if earlier == by_name else _BY_SLUG, [by_name]),
        (_OF_STAGE, by_domain),
        (_OF_INSTANCE, of_instances),
        (_OF_EARLIER, [earlier]),
        (_OF_EARLIER, earlier_of_instances),
    ):
        _claim(found, (((kind, stage.created_at, stage.id), route) for route in wanted))


def _claim(found: dict[str, tuple[_Claim, Route]], wanted: Iterable[tuple[_Claim, Route]]) -> None:
    """Put in what is wanted where nothing with an older claim is."""
    for claim, route in wanted:
        if route.host not in found or claim < found[route.host][0]:
            found[route.host] = (claim, route)


def _state_without_endpoint(*, restarts: bool, portless: bool) -> RouteState:
    """What becomes of requests as long as no live instance of the stage has a port."""
    if restarts:
        return RouteState.HELD
    return RouteState.PORTLESS if portless else RouteState.NONE


def _stage_routes(
    project: Project,
    stage: Stage,
    live: Sequence[Instance],
    base_domain: str,
    otherwise: RouteState,
) -> list[Route]:
    host = stage_host(project.name, stage.name, base_domain)
    by_name = _to(live[0], host) if live else Route(host, otherwise)
    return [by_name, *(replace(by_name, host=domain) for domain in stage.domains)]


def _to(instance: Instance, host: str) -> Route:
    return Route(host, RouteState.OPEN, instance.endpoint, instance.protocol)


def _instance_routes(
    project: Project,
    stage: Stage,
    live: Sequence[Instance],
    host: Callable[[str, str, str, str], str],
    base_domain: str,
) -> Iterator[Route]:
    if stage.max_instances > 1:
        for instance in live:
            yield _to(instance, host(project.name, stage.name, instance.tag, base_domain))
