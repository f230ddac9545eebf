"""The routes of stages and their instances, by what is on record. Reads, and decides."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import ACTIVE_STATES, DeployStatus, Instance, InstanceState
from tagboat.core.errors import NotFoundError
from tagboat.core.hosts import looked_up_as
from tagboat.core.naming import earlier_instance_host, earlier_stage_host, instance_host, stage_host
from tagboat.core.ports import Reader
from tagboat.core.route import Route, RouteState, Target
from tagboat.core.stage_refs import iter_stages
from tagboat.core.values import replace

_Claim = tuple[int, datetime, str]
"""The rank of a claim to a host: how the host is made, and the stage's creation time and id."""
_OF_STAGE, _BY_SLUG, _OF_INSTANCE, _OF_EARLIER = range(4)


def routes(reader: Reader, base_domain: str) -> list[Route]:
    """Return a route for every host of every stage, and of its instances.

    Of two stages that claim one host, the older one has it. The host of a stage comes before that
    of an instance. Hosts made of slugs, and hosts of the time before slugs, come after those that
    others have by their names as they are written.
    """
    return [
        route for of_stage in routes_by_stage(reader, base_domain).values() for route in of_stage
    ]


def routes_by_stage(reader: Reader, base_domain: str) -> dict[str, list[Route]]:
    """Return what `routes` has, by the id of the stage."""
    live: dict[str, list[Instance]] = defaultdict(list)
    changing: set[str] = set()
    portless: set[str] = set()
    # Newest first: the first live one of a stage serves it.
    for instance in reader.instances(states=ACTIVE_STATES):
        if instance.state is not InstanceState.LIVE:
            changing.add(instance.stage_id)
        elif instance.endpoints:
            live[instance.stage_id].append(instance)
        else:
            portless.add(instance.stage_id)
    # Held only until the deploy at work has started an instance, or the old one again.
    restarting = changing & {one.stage_id for one in reader.running_deploys() if one.made_way}
    found: dict[str, tuple[_Claim, Route]] = {}
    for project, stage in iter_stages(reader):
        running = live.get(stage.id, ())
        otherwise = _state_without_endpoint(
            stage, restarts=stage.id in restarting, portless=stage.id in portless
        )
        _claim_all(found, project, stage, running, base_domain, otherwise)
    sorted_out: dict[str, list[Route]] = defaultdict(list)
    for (_, _, stage_id), route in found.values():
        sorted_out[stage_id].append(route)
    return sorted_out


def routes_of_stage(reader: Reader, stage_id: str, base_domain: str) -> list[Route]:
    """Return what `routes` has for one stage, by a look at the stages that claim its hosts.

    None for a stage that was deleted.
    """
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
    portless = any(not one.endpoints for one in live)
    otherwise = _state_without_endpoint(
        stage, restarts=len(live) < len(active) and bool(at_work), portless=portless
    )
    found: dict[str, tuple[_Claim, Route]] = {}
    running = [one for one in live if one.endpoints]
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
    """Add the claims of a stage and its instances."""
    own = stage_host(project.name, stage.name, base_domain)
    # The newest live instance serves the stage.
    by_name = _route_to(live[0], own) if live else Route(own, otherwise)
    by_domain = [replace(by_name, host=domain) for domain in stage.domains]
    # Where the stage answered before its name was made a slug, it still does.
    earlier = replace(by_name, host=earlier_stage_host(project.name, stage.name, base_domain))
    of_instances = _instance_routes(project, stage, live, instance_host, base_domain)
    earlier_of_instances = _instance_routes(
        project, stage, live, earlier_instance_host, base_domain
    )
    # A host that is only the slug of a name makes way for a stage whose name is written so.
    for kind, wanted in (
        (_OF_STAGE if earlier == by_name else _BY_SLUG, [by_name]),
        (_OF_STAGE, by_domain),
        (_OF_INSTANCE, of_instances),
        (_OF_EARLIER, [earlier]),
        (_OF_EARLIER, earlier_of_instances),
    ):
        _claim(found, (((kind, stage.created_at, stage.id), route) for route in wanted))


def _claim(found: dict[str, tuple[_Claim, Route]], wanted: Iterable[tuple[_Claim, Route]]) -> None:
    """Add the claims that are older than those found so far."""
    for claim, route in wanted:
        if route.host not in found or claim < found[route.host][0]:
            found[route.host] = (claim, route)


def _state_without_endpoint(stage: Stage, *, restarts: bool, portless: bool) -> RouteState:
    """Return the handling of requests while no live instance of the stage has an endpoint."""
    # A start of a stopped stage holds nobody: it may take as long as a pull.
    if stage.stopped:
        return RouteState.STOPPED
    if restarts:
        return RouteState.HELD
    return RouteState.PORTLESS if portless else RouteState.NONE


def _route_to(instance: Instance, host: str) -> Route:
    target = Target(instance.id, instance.endpoints)
    return Route(host, RouteState.OPEN, target, instance.protocol)


def _instance_routes(
    project: Project,
    stage: Stage,
    live: Sequence[Instance],
    host: Callable[[str, str, str, str], str],
    base_domain: str,
) -> Iterator[Route]:
    if stage.max_instances > 1:
        for instance in live:
            yield _route_to(instance, host(project.name, stage.name, instance.tag, base_domain))
