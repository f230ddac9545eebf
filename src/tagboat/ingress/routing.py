"""Routes as HAProxy's map has them, and the commands that make one map another. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence

from tagboat.core.endpoint import LOOPBACK, Endpoint, is_ipv4, only_loopback
from tagboat.core.protocol import AppProtocol
from tagboat.core.route import Route, RouteState
from tagboat.ingress.config import MAP_FILE
from tagboat.ingress.counting import counting_key
from tagboat.ingress.pools import Pool

# Nothing in a host can end its line of the map, or the command that it is a part of.
_ROUTE_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?", re.ASCII)
_MAX_PORT = 65535
_POOL_KEY = re.compile(r"[A-Za-z0-9_]{1,40}", re.ASCII)
_GOT = re.compile(r'^type=.*\bfound=(yes|no)\b(?:.*\bvalue="([^"]*)")?', re.MULTILINE)

RoutingMap = Mapping[str, str]
"""Host to a port in digits (`PORT/PROTOCOL` unless `http`), or the state of its route.

For an instance with a pool it is `INSTANCE/PROTOCOL/pool`.
"""
POOLED = "/pool"


def pools_of(routes: Collection[Route]) -> dict[str, Pool]:
    """Return the pools that the valid routes need, by instance."""
    return {
        route.target.instance: Pool(route.target.instance, route.protocol, route.target.endpoints)
        for route in routes
        if route.target is not None and _is_pooled(route) and _refusal(route) is None
    }


def routing_map(routes: Collection[Route]) -> RoutingMap:
    """Return the map of the valid routes. Of two for a host the first counts."""
    made: dict[str, str] = {}
    for route in routes:
        # One that is invalid must not stop all the rest.
        if _refusal(route) is not None:
            continue
        way: str = route.state.value
        if route.state is RouteState.OPEN and route.target is not None:
            way = counting_key(route.target)
            pooled = _is_pooled(route)
            if pooled or route.protocol is not AppProtocol.HTTP:
                way += f"/{route.protocol.value}"
            way += POOLED if pooled else ""
        made.setdefault(route.host, way)
    return made


def refusals(routes: Collection[Route]) -> list[str]:
    """Return a sentence for each of the routes that the map leaves out."""
    seen: set[str] = set()
    said = []
    for route in routes:
        why = _refusal(route) or (
            f"two routes claim the host {route.host}" if route.host in seen else None
        )
        seen.add(route.host)
        said += [why] if why else []
    return said


def pooled_in(wanted: RoutingMap) -> list[str]:
    """Return the instances with a pool, each once."""
    ways = [way.partition("/")[0] for way in wanted.values() if way.endswith(POOLED)]
    return list(dict.fromkeys(ways))


def with_places(wanted: RoutingMap, placed: Mapping[str, str]) -> RoutingMap:
    """Return the map for a process of HAProxy, with the back end of each instance that has a pool.

    Hosts of instances without a place in that process are left out.
    """
    found = {}
    for host, way in wanted.items():
        if way.endswith(POOLED):
            backend = placed.get(way.partition("/")[0])
            if backend is not None:
                found[host] = f"{way.removesuffix(POOLED)}/{backend}"
        else:
            found[host] = way
    return found


def is_route_host(host: str) -> bool:
    """Return whether a host can be in the map, and a part of a command."""
    return _ROUTE_HOST.fullmatch(host) is not None


def _refusal(route: Route) -> str | None:
    if not is_route_host(route.host):
        return (
            f"{route.host[:80]!r} cannot be a route's host: lower-case letters, digits, '.', '-',"
            " '_', at most 253; shorten the name of its project or stage"
        )
    if route.state is not RouteState.OPEN:
        return None
    endpoints = route.target.endpoints if route.target else ()
    for endpoint in endpoints or (Endpoint(LOOPBACK, 0),):
        if not 0 < endpoint.port <= _MAX_PORT:
            return (
                f"the route of {route.host} leads to port {endpoint.port};"
                f" a port from 1 to {_MAX_PORT} is needed"
            )
        # HAProxy would look a name up once, and not start without an answer.
        if not is_ipv4(endpoint.host):
            return f"the route of {route.host} leads to {endpoint}; an IPv4 address is needed"
    if _is_pooled(route) and not _POOL_KEY.fullmatch(route.target.instance if route.target else ""):
        return f"the route of {route.host} leads to an instance without an id"
    return None


def _is_pooled(route: Route) -> bool:
    return (
        route.state is RouteState.OPEN
        and route.target is not None
        and only_loopback(route.target.endpoints) is None
    )


def map_file(wanted: RoutingMap) -> str:
    """Return the text of the map's file."""
    return "".join(f"{host} {way}\n" for host, way in sorted(wanted.items()))


def parse_shown_map(text: str) -> dict[str, str] | None:
    """Read the answer to `show map`, `REFERENCE KEY VALUE` a line; None for any other text."""
    shown: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) != 3 or not words[0].startswith("0x"):  # noqa: PLR2004 - as said
            return None
        shown[words[1]] = words[2]
    return shown


def changed_map(before: RoutingMap, put: RoutingMap, gone: Collection[str]) -> RoutingMap:
    """Return the map `before` with `put` in it, and without the hosts `gone`."""
    after = {**before, **put}
    for host in gone:
        if host not in put:
            after.pop(host, None)
    return after


def parse_got_map(text: str, hosts: Sequence[str]) -> dict[str, str] | None:
    """Read the answer to a `get map` for each of `hosts`, in their order; None for other texts.

    Hosts that are not in the map are left out.
    """
    found = _GOT.findall(text)
    if len(found) != len(hosts):
        return None
    return {
        host: way for host, (is_there, way) in zip(hosts, found, strict=True) if is_there == "yes"
    }


def changes(in_force: RoutingMap, wanted: RoutingMap) -> list[str]:
    """Return the commands that make the map `in_force` the map `wanted`.

    Each changes one host and is atomic.
    """
    # `add` on a host in the map makes a second entry for it, and `set` on one that is not there
    # fails (management guide, section 9.3).
    put = [
        f"{'set' if host in in_force else 'add'} map {MAP_FILE} {host} {way}"
        for host, way in wanted.items()
        if in_force.get(host) != way
    ]
    return put + [f"del map {MAP_FILE} {host}" for host in in_force if host not in wanted]
