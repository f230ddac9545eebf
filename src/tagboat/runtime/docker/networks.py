"""Docker's networks: making, joining and removing them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from ipaddress import IPv4Network
from types import MappingProxyType
from weakref import WeakValueDictionary

from aiodocker import Docker, DockerError
from aiodocker.networks import DockerNetwork

from tagboat.core.errors import EngineError
from tagboat.runtime.docker import wire
from tagboat.runtime.docker.connection import ASK_S, CHANGE_S, DockerConnection
from tagboat.runtime.docker.refusal import no_network
from tagboat.runtime.docker.subnets import SHARE_BITS, kept_address, local_routes, shares

# The engine's words: there is no status for this alone.
_OVERLAPS = "overlaps with other"
_PAUSES_S = (0.1, 0.4, 1.0, 2.0, 4.0)
"""Seconds after each try to make a network that was refused because of its addresses."""
_SAME_SHARE_TRIES = 3
NO_LABELS: Mapping[str, str] = MappingProxyType({})


class DockerNetworks:
    """The networks of one engine, on this machine or not.

    New ones get their addresses from `pool`.
    """

    def __init__(
        self,
        connection: DockerConnection,
        pool: IPv4Network,
        *,
        is_local: bool,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connection = connection
        self._sleep = sleep
        self._pool = pool
        self._is_local = is_local
        # A lock for each name: making a network takes the engine a tenth of a second, and sixty
        # new projects would wait for one another.
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def ensure(
        self, name: str, labels: Mapping[str, str], notes: Mapping[str, str]
    ) -> frozenset[str]:
        """Make a network unless it exists, and return the ids of the containers that run on it.

        A new one has `notes` as labels, too. Raises EngineError where one without the labels
        exists, or no addresses are left.
        """
        found = await self._inspect(name)
        if found is None:
            # Names need not be unique, so that two callers could make two of the same name.
            async with self._making.setdefault(name, asyncio.Lock()):
                found = await self._inspect(name) or await self._make(name, {**notes, **labels})
        if not _bears(found, labels):
            raise EngineError(
                f"the engine has a network {name} that Tagboat has not made and does not use:"
                f" remove it with"
                f" docker network rm {name}"
            )
        return frozenset(found.get("Containers") or {})

    async def remove(self, name: str, labels: Mapping[str, str]) -> bool:
        """Remove the network, if it bears these labels; whether it is gone.

        False too where a container runs on it.
        """
        found = await self._inspect(name)
        if found is None:
            return True
        if not _bears(found, labels) or found.get("Containers"):
            return False
        async with self._connection.use(f"remove the network {name}", CHANGE_S) as docker:
            try:
                await (await docker.networks.get(found["Id"])).delete()
            except DockerError as error:
                if error.status in {
                    HTTPStatus.FORBIDDEN,
                    HTTPStatus.CONFLICT,
                }:  # somebody has begun to use it
                    return False
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
            return True

    async def list(self, labels: Mapping[str, str]) -> list[str]:
        """Return the names of all networks that bear these labels, in order."""
        async with self._connection.use("list networks", ASK_S) as docker:
            borne = [f"{name}={value}" for name, value in labels.items()]
            return sorted(
                found["Name"] for found in await docker.networks.list(filters={"label": borne})
            )

    async def free_address(self, network: str) -> str:
        """Return an address that a container on the network can keep.

        Empty where there is none left.
        """
        found = await self._inspect(network)
        share = next(iter(wire.subnets(found)), None) if found else None
        if share is None or share.prefixlen != SHARE_BITS:
            return ""
        async with self._connection.use(f"tell who is on the network {network}", ASK_S) as docker:
            # Those that do not run, too: they want their addresses back.
            # aiodocker drops what the list says of networks.
            there = await docker._query_json(  # noqa: SLF001
                "containers/json",
                params={"all": "1", "filters": json.dumps({"network": [network]})},
            )
        return (
            kept_address(
                share,
                {one for container in there for one in wire.kept_addresses(container, network)},
            )
            or ""
        )

    async def rejoin(self, container: str, network: str, aliases: Sequence[str]) -> None:
        """Leave the network and join it under `aliases`, at the address it keeps there, if any."""
        doing = f"disconnect the container {container} from the network {network}"
        async with self._connection.use(doing, CHANGE_S) as docker:
            address = wire.fixed_address(
                await docker.containers.container(container).show(), network
            )
            try:
                await (await _network(docker, network, doing)).disconnect({"Container": container})
            except DockerError as error:
                if "is not connected" not in error.message:
                    raise
        await self.connect(container, container, network, aliases, address)

    async def connect(
        self, container: str, name: str, network: str, aliases: Sequence[str], address: str = ""
    ) -> None:
        """Join the network under `aliases`. Raises NetworkNotFoundError."""
        doing = f"connect the container {name} to the network {network}"
        async with self._connection.use(doing, CHANGE_S) as docker:
            endpoint = wire.endpoint(aliases, address)
            config = {"EndpointConfig": endpoint} if endpoint else {}
            await (await _network(docker, network, doing)).connect(
                {"Container": container, **config}
            )

    async def _inspect(self, name: str) -> wire.Json | None:
        async with self._connection.use(f"look at the network {name}", ASK_S) as docker:
            try:
                # By one call: aiodocker's own way asks twice.
                found: wire.Json = await docker._query_json(f"networks/{name}")  # noqa: SLF001
            except DockerError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                return None
        # The engine takes a name for the beginning of an id, too.
        return found if found["Name"] == name else None

    async def _make(self, name: str, labels: Mapping[str, str]) -> wire.Json:
        refused: set[IPv4Network] = set()
        for tries, pause_s in enumerate(_PAUSES_S, start=1):
            share = await self._create(name, labels, refused)
            found = await self._inspect(name)
            if found is None:
                # Somebody else's network, or this one by another server, is not listed before the
                # engine has made it, and a removed one's addresses are free only then.
                await self._sleep(pause_s)
                found = await self._inspect(name)
            if found is not None:
                return found
            if tries >= _SAME_SHARE_TRIES:
                refused.add(share)
        raise EngineError(
            f"the engine could not create the network {name}: others take its addresses again and"
            " again; deploy again, or name another range with TAGBOAT_NETWORK_POOL"
        )

    async def _create(
        self, name: str, labels: Mapping[str, str], refused: Collection[IPv4Network]
    ) -> IPv4Network:
        """Ask for the network with a share that seems to be free; return that share."""
        async with self._connection.use(f"create the network {name}", CHANGE_S) as docker:
            networks = await docker.networks.list()
            taken = {subnet for one in networks for subnet in wire.subnets(one)} | {*refused}
            # The engine sees its own networks only, and not what else the machine routes.
            if self._is_local:
                taken |= set(local_routes(self._pool))
            share = next(shares(self._pool, name, taken), None)
            if share is None:
                raise EngineError(
                    f"the engine could not create the network {name}: no addresses are left in"
                    f" {self._pool}; remove networks that nobody uses (docker network prune),"
                    " or name another range with TAGBOAT_NETWORK_POOL"
                )
            try:
                await docker.networks.create(wire.network_body(name, labels, share))
            except DockerError as error:
                # Taken by another server, or by a person who made a network just now.
                if _OVERLAPS not in error.message and error.status != HTTPStatus.CONFLICT:
                    raise
            return share


async def _network(docker: Docker, network: str, doing: str) -> DockerNetwork:
    # The engine would connect a waiting container even to a network that does not exist, and fail
    # at its start; and it takes
    # `db` for the beginning of an id where nothing has that name.
    alike = await docker.networks.list(filters={"name": [network]})  # whose names have it in them
    ids = [found["Id"] for found in alike if found["Name"] == network]
    if not ids:
        raise no_network(network, doing)
    return await docker.networks.get(ids[0])


def _bears(found: wire.Json, labels: Mapping[str, str]) -> bool:
    return labels.items() <= (found.get("Labels") or {}).items()
