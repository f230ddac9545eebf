"""Pools: the back ends of instances with several endpoints, and the servers in them. Pure.

HAProxy cannot make a back end while it runs, but can fill one with servers and empty it. So some
wait, empty, in its configuration: an instance takes one, `bK`, and its servers in it are called
`INSTANCE-N`. The names in HAProxy say what is where, and nothing else has to remember it. Decision
0046 has the reasons.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field

from tagboat.core.endpoint import Endpoint
from tagboat.core.protocol import AppProtocol
from tagboat.ingress.backends import TLS_TO_APP

# A dead machine is noticed within two seconds; by then requests are sent to another server.
_CHECK = "check inter 1s fall 2 rise 1"
_OF_PROTOCOL = {
    AppProtocol.HTTP: "",
    AppProtocol.HTTPS: TLS_TO_APP,
    # Requests share a connection: those that a dead machine has must not wait until it times out.
    AppProtocol.H2C: " proto h2 on-marked-down shutdown-sessions",
}
_SMALLEST = 16
_SERVER_COLUMNS = {
    "be_name": r"(?P<backend>b\d+)",
    "srv_name": r"(?P<name>\S+)",
    "srv_addr": r"(?P<host>\S+)",
    "srv_port": r"(?P<port>\d+)",
    "srv_admin_state": r"(?P<state>\d+)",
}
"""Of the answer about servers, those that matter."""
_ADMIN_MAINT = 1
_MARK = "# Pools"
_SECTION = re.compile(rf"^{_MARK}$.*\Z", re.MULTILINE | re.DOTALL)
_DECLARED = re.compile(r"^backend b\d+ ", re.MULTILINE)


class Pool(Struct, frozen=True):
    """The servers of one instance: at several endpoints, or at one of another machine."""

    instance: str
    protocol: AppProtocol
    endpoints: tuple[Endpoint, ...]


class Server(Struct, frozen=True):
    """A server in HAProxy. One that is not `on` gets no new request."""

    name: str
    endpoint: Endpoint
    on: bool = True

    @property
    def instance(self) -> str:
        """The instance that it belongs to."""
        return self.name.rpartition("-")[0]


Servers = Mapping[str, Sequence[Server]]
"""The servers of a process of HAProxy by back end; those without any may be left out."""


class Layout(Struct, frozen=True):
    """The state that HAProxy is to start with: the map, and `size` back ends, some with a pool."""

    routes: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    pools: Mapping[str, Pool] = field(default_factory=dict)


def instances_in(servers: Servers) -> set[str]:
    """Return the instances that have servers."""
    return {one.instance for some in servers.values() for one in some}


def pools_section(layout: Layout) -> str:
    """Return the part of the configuration with the pools, empty without any."""
    if not layout.size:
        return ""
    lines = [_MARK, _POOL_DEFAULTS]
    for backend in map("b{}".format, range(layout.size)):
        lines.append(f"backend {backend} from pools")
        if pool := layout.pools.get(backend):
            lines += [f"  server {words}" for words in _server_words(pool, pool.endpoints, ())]
    return "\n".join((*lines, ""))


def section_in(config: str) -> str:
    """Return the part with the pools of a whole configuration."""
    match = _SECTION.search(config)
    return match[0] if match else ""


def size_of(section: str) -> int:
    """Return how many back ends the part with the pools declares."""
    return len(_DECLARED.findall(section))


def grown(size: int, needed: int) -> int:
    """Return how many back ends there are to be, where there are `size` and `needed` are in use.

    Never fewer. A quarter stays free, for the process that a reload leaves behind, which may get a
    request for an instance that is started later.
    """
    if 4 * needed <= 3 * size:
        return size
    wanted = _SMALLEST
    while wanted < 2 * needed:
        wanted *= 2
    return max(size, wanted)


# Each request has its own connection, so that none meets one that the app has just closed; in
# HTTP/2, which says so before, connections are shared. The next try goes to another server.
_POOL_DEFAULTS = """\
defaults pools from base
  no log
  balance leastconn
  http-reuse always
  option http-server-close
  option redispatch 1
  retry-on conn-failure empty-response
  http-request disable-l7-retry unless { method GET HEAD OPTIONS }
  timeout connect 2s
  timeout check 2s
  # A machine that is cut off says nothing: without it, requests there would wait for an hour.
  option srvtcpka
  srvtcpka-idle 5s
  srvtcpka-intvl 2s
  srvtcpka-cnt 3"""


def _server_words(
    pool: Pool, endpoints: Iterable[Endpoint], taken: Collection[str]
) -> Iterator[str]:
    """Return for each endpoint the words that make its server, whose name is not in `taken`."""
    number = 0
    for endpoint in endpoints:
        while f"{pool.instance}-{number}" in taken:
            number += 1
        yield f"{pool.instance}-{number} {endpoint} {_CHECK}{_OF_PROTOCOL[pool.protocol]}"
        number += 1


def parse_servers(text: str) -> dict[str, list[Server]] | None:
    """Read the answer to `show servers state`; None for any other text."""
    head = re.search(r"^# (be_id .*)$", text, re.MULTILINE)
    if head is None:
        return None
    # One expression for all rows: there may be thousands, and a switch waits for this.
    row = " ".join(_SERVER_COLUMNS.get(column, r"\S+") for column in head[1].split())
    found: dict[str, list[Server]] = {}
    for match in re.compile(f"^{row}", re.MULTILINE).finditer(text, head.end()):
        is_on = not int(match["state"]) & _ADMIN_MAINT
        server = Server(match["name"], Endpoint(match["host"], int(match["port"])), is_on)
        found.setdefault(match["backend"], []).append(server)
    return found


def assign(servers: Servers, pools: Collection[Pool], size: int) -> dict[str, str]:
    """Return the back end of each instance: the one that has its servers, else a free one.

    Those that find no room in `size` back ends are left out.
    """
    held = {one.instance: backend for backend, some in servers.items() for one in some}
    used = set(held.values())
    free = (backend for backend in map("b{}".format, range(size)) if backend not in used)
    placed: dict[str, str] = {}
    for pool in pools:
        backend = held.get(pool.instance) or next(free, None)
        if backend is not None:
            placed[pool.instance] = backend
    return placed


def additions(servers: Servers, pools: Iterable[Pool], placed: Mapping[str, str]) -> list[str]:
    """Return the commands that let each pool have a server at each of its endpoints."""
    commands = []
    for pool in pools:
        backend = placed.get(pool.instance)
        if backend is None:
            continue
        there = {one.endpoint: one for one in servers.get(backend, ())}
        missing = [one for one in pool.endpoints if one not in there]
        # A name in use stays with its server, which may have requests for an hour.
        names = {one.name for one in there.values()}
        for words in _server_words(pool, missing, names):
            name = words.partition(" ")[0]
            commands += [
                f"add server {backend}/{words}",
                f"enable health {backend}/{name}",
                f"enable server {backend}/{name}",
            ]
        commands += [
            f"enable server {backend}/{there[one].name}"
            for one in pool.endpoints
            if one in there and not there[one].on
        ]
    return commands


def removals(servers: Servers, pools: Mapping[str, Pool], retired: Collection[str]) -> list[str]:
    """Return the commands that take away servers which no instance has any more.

    These are those of instances in `retired`, and endpoints that an instance has left. HAProxy
    removes none that still has a request: then it is tried again at the next look.
    """
    commands = []
    for backend, some in servers.items():
        for server in some:
            pool = pools.get(server.instance)
            if (
                server.endpoint not in pool.endpoints
                if pool is not None
                else server.instance in retired
            ):
                name = f"{backend}/{server.name}"
                commands += [f"disable server {name}"] if server.on else []
                commands.append(f"del server {name}")
    return commands


def incomplete(servers: Servers, pools: Iterable[Pool], placed: Mapping[str, str]) -> list[str]:
    """Return the back ends of pools that lack a server, or have one that is not on."""
    return [
        placed[pool.instance]
        for pool in pools
        if pool.instance in placed
        and not {one.endpoint for one in servers.get(placed[pool.instance], ()) if one.on}
        >= set(pool.endpoints)
    ]
