"""Where traffic is to go, by what is on record, and making it go there."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from tagboat.core.catalog import Project, Stage, Strategy
from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, Instance, InstanceState
from tagboat.core.errors import IngressUnavailableError, TagboatError
from tagboat.core.lanes import lanes
from tagboat.core.naming import earlier_instance_host, earlier_stage_host, instance_host, stage_host
from tagboat.core.ports import Ingress, Reader, Store, Topic
from tagboat.core.route import Route, Way

LEAD_EVERY_S = 60.0
FOLLOW_S = 1.0
"""Seconds after which a replica leads its own ingress by what others have written down."""
RETRY_S = 1.0
_DRAIN_PAUSE_S = 0.05
_QUIET_LOOKS = 2
"""So many looks in a row must find no request in flight: one may fall between choosing the instance and counting."""
_Claim = tuple[int, datetime]
"""What a claim to a host goes by: how the host is come by, and since when there has been the stage."""
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

    async def lead(self) -> None:
        """Return once traffic goes where the records say now. Raises IngressUnavailableError, StoreUnavailableError."""
        async with self._turn:
            found = await self._store.read(lambda reader: routes(reader, self._base_domain))
            await self._ingress.lead(found)

    async def drained(self, instances: Sequence[Instance], limit_s: float) -> str:
        """Wait until these answer no request any more, at most `limit_s` seconds; how that came out, in words."""
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
        counts = [await self._ingress.in_flight(instance.host_port) for instance in instances if instance.host_port]
        return sum(counts)

    async def run(self) -> None:
        """Lead at once, whenever stages or their addresses change, and every minute (where others write too: every second)."""
        self._store.listen(Topic.ROUTES, self._news.set)
        while True:
            self._news.clear()
            pause = LEAD_EVERY_S if self._store.exclusive else FOLLOW_S
            try:
                await self.lead()
            except TagboatError as error:
                log.warning("traffic not led", action="lead", reason=str(error))
                pause = RETRY_S
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                pass


def routes(reader: Reader, base_domain: str) -> list[Route]:
    """A route for every host of every stage, and of its instances. Of two that claim one host, the older stage has it.

    What is a stage's comes before what is an instance's. What they have only since hosts are made of slugs, or had till then,
    comes after what others have by their names as they are written.
    """
    live: dict[str, list[Instance]] = defaultdict(list)
    changing: set[str] = set()
    for instance in reader.instances(states=ACTIVE_STATES):  # newest first
        if instance.state is not InstanceState.LIVE:
            changing.add(instance.stage_id)
        elif instance.host_port:
            live[instance.stage_id].append(instance)
    # Without an instance only until the deploy at work has started one, or has started the old one again.
    restarting = changing & {one.stage_id for one in reader.all_open_deploys() if one.status is DeployStatus.RUNNING}
    found: dict[str, tuple[_Claim, Route]] = {}
    for project, stage in lanes(reader):
        running = live.get(stage.id, ())
        by_name, *by_domain = _stage_routes(project, stage, running, base_domain, restarts=stage.id in restarting)
        earlier = replace(by_name, host=earlier_stage_host(project.name, stage.name, base_domain))
        _claim(found, (_OF_STAGE if earlier == by_name else _BY_SLUG, stage.created_at), [by_name])
        _claim(found, (_OF_STAGE, stage.created_at), by_domain)
        _claim(found, (_OF_INSTANCE, stage.created_at), _instance_routes(project, stage, running, instance_host, base_domain))
        _claim(found, (_OF_EARLIER, stage.created_at), [earlier])
        of_instances = _instance_routes(project, stage, running, earlier_instance_host, base_domain)
        _claim(found, (_OF_EARLIER, stage.created_at), of_instances)
    return [route for _, route in found.values()]


def _claim(found: dict[str, tuple[_Claim, Route]], claim: _Claim, wanted: Iterable[Route]) -> None:
    """Put in what is wanted where nothing with an older claim is."""
    for route in wanted:
        if route.host not in found or claim < found[route.host][0]:
            found[route.host] = (claim, route)


def _stage_routes(
    project: Project, stage: Stage, live: Sequence[Instance], base_domain: str, *, restarts: bool
) -> list[Route]:
    if live:
        by_name = _to(live[0], stage_host(project.name, stage.name, base_domain))
    else:
        way = Way.HELD if restarts and stage.strategy is Strategy.RECREATE else Way.NONE
        by_name = Route(stage_host(project.name, stage.name, base_domain), way)
    return [by_name, *(replace(by_name, host=domain) for domain in stage.domains)]


def _to(instance: Instance, host: str) -> Route:
    return Route(host, Way.OPEN, instance.host_port, instance.protocol)


def _instance_routes(
    project: Project, stage: Stage, live: Sequence[Instance], host: Callable[[str, str, str, str], str], base_domain: str
) -> Iterator[Route]:
    if stage.max_instances > 1:
        for instance in live:
            yield _to(instance, host(project.name, stage.name, instance.tag, base_domain))
