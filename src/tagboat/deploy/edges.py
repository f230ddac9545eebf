"""Edges: all ingresses on one database. A switch and a drain count at each of them.

Each server, and each `tagboat edge`, reports which routes its ingress follows, and what it has in
flight elsewhere. The id of the newest event is the version of the routes: no change of them goes
without an event.
"""

import asyncio
from collections.abc import Collection, Mapping

import structlog
from msgspec import Struct

from tagboat.core.edge import Edge
from tagboat.core.ports import Reader, Store

ALIVE_S = 10.0
"""Seconds since its last report for which a switch waits for an ingress."""
GRACE_S = 60.0
"""Seconds since then for which nothing is retired that it may route to."""
REPORT_EVERY_S = 3.0
EDGES_LOOK_S = 0.2

log = structlog.get_logger("tagboat.edges")


class Busy(Struct, frozen=True):
    """Requests in flight at other ingresses, and the ids of those that have not followed yet."""

    requests: int
    behind: tuple[str, ...]


class Edges:
    """The ingress of this server, named `own`, among those of the others."""

    def __init__(self, store: Store, own: str) -> None:
        self._store = store
        self._own = own
        self._reported: tuple[int, Mapping[str, int]] | None = None
        self._reported_at = 0.0

    def are_seen(self, reader: Reader) -> bool:
        """Return whether another ingress was seen in the last `GRACE_S` seconds."""
        return any(one.id != self._own and one.age_s < GRACE_S for one in reader.edges())

    async def report(self, led: int, in_flight: Mapping[str, int]) -> None:
        """Report what our ingress follows and has in flight, if that is news or it is time."""
        now = asyncio.get_running_loop().time()
        # By its age, others tell whether the server that reports is alive.
        is_due = now - self._reported_at >= REPORT_EVERY_S
        if is_due or self._reported != (led, in_flight):
            await self._store.write(lambda tx: tx.put_edge(self._own, led, in_flight))
            self._reported, self._reported_at = (led, in_flight), now

    async def until_followed(self, version: int) -> None:
        """Return once all other ingresses that are alive route by that version, or later ones.

        One that reports, but does not follow, is waited for as long as one that died.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + ALIVE_S
        while behind := [one.id for one in await self._behind(version, ALIVE_S)]:
            if clock() >= end:
                log.warning("an ingress does not follow", action="switch", servers=behind)
                return
            await asyncio.sleep(EDGES_LOOK_S)

    async def busy(self, version: int, instances: Collection[str]) -> Busy:
        """Return what the instances of these ids have yet to answer at other ingresses.

        One that died has nothing in flight that could be counted.
        """
        others = [one for one in await self._others() if one.age_s < ALIVE_S]
        requests = sum(
            count
            for one in others
            for instance, count in one.in_flight.items()
            if instance in instances and one.led >= version
        )
        return Busy(requests, tuple(one.id for one in others if one.led < version))

    async def until_let_go(self, version: int) -> str:
        """Return once no ingress seen in the last `GRACE_S` seconds routes by an older version.

        The outcome names those seen earlier that may still do so, and is empty without any.
        """
        end = asyncio.get_running_loop().time() + GRACE_S
        while await self._behind(version, GRACE_S):
            if asyncio.get_running_loop().time() >= end:
                break
            await asyncio.sleep(EDGES_LOOK_S)
        left = await self._behind(version, float("inf"))
        return "; ".join(
            f"the ingress {one.id[:8]} was not waited for: it was last seen {one.age_s:.0f} s ago"
            for one in left
        )

    async def _behind(self, version: int, within_s: float) -> list[Edge]:
        """Return the others that were seen `within_s` and have not followed."""
        others = await self._others()
        return [one for one in others if one.age_s < within_s and one.led < version]

    async def _others(self) -> list[Edge]:
        # Our own is confirmed and counted by asking it.
        found = await self._store.read(lambda reader: reader.edges())
        return [one for one in found if one.id != self._own]
