"""Listings of containers. What a listing shows to be as it was is not inspected again."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping

from aiodocker import DockerError
from msgspec import Struct

from tagboat.core.generics import T
from tagboat.core.workload import WorkloadStatus
from tagboat.runtime.docker import wire
from tagboat.runtime.docker.connection import ASK_S, DockerConnection
from tagboat.runtime.docker.holdings import unless_gone

SEEN_WITHIN_S = 150.0
"""Seconds since the last listing that has shown a container, for which it is still known."""
INSPECTED_WITHIN_S = 3600.0
"""Seconds after which a container is inspected again, whatever its listings show."""

_UP = re.compile(r"Up (\d+|About an?) (second|minute|hour|day|week|month|year)s?( \(healthy\))?")
# The engine rounds down, but hours, and days that are made of them, to the nearest.
_UNIT_S = {"second": 1, "minute": 60, "hour": 3600}
_DAY_S = 24 * 3600
_COMPARED = ("Names", "Labels", "Ports", "Mounts")


class _KnownContainer(Struct):
    """A status, with what its listing says of the rest, and when both were seen, in seconds."""

    status: WorkloadStatus
    listed: tuple[object, ...]
    inspected_at: float
    seen_at: float


class ContainerListing:
    """Lists containers, and has those inspected by `inspect` that may have changed.

    A listing leaves out exit codes, restarts and health. But a container that is up for longer than
    since it was last seen, and is well, has the status that it had. `clock` is monotonic, in
    seconds.
    """

    def __init__(
        self,
        connection: DockerConnection,
        inspect: Callable[[str], Awaitable[WorkloadStatus | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._inspect = inspect
        self._clock = clock
        self._known: dict[str, _KnownContainer] = {}

    async def read(self, labels: Mapping[str, str]) -> list[WorkloadStatus]:
        """Return all containers, running or not, that bear every one of `labels`."""
        wanted = json.dumps({"label": [f"{name}={value}" for name, value in labels.items()]})
        # From before the answer on: it was seen then, or later.
        began = self._clock()
        async with self._connection.use("list containers", ASK_S) as docker:
            found = await docker._query_json(  # noqa: SLF001 - its list() hides what was answered
                "containers/json", method="GET", params={"all": "1", "filters": wanted}
            )
        self._known = {
            key: one for key, one in self._known.items() if began - one.seen_at <= SEEN_WITHIN_S
        }
        statuses = await asyncio.gather(*(self._status(one, began) for one in found))
        return [status for status in statuses if status is not None]

    async def _status(self, listed: wire.Json, began: float) -> WorkloadStatus | None:
        key, said = str(listed["Id"]), str(listed.get("Status") or "")
        compared = tuple(listed.get(name) for name in _COMPARED)
        up = _UP.fullmatch(said) if listed.get("State") == "running" else None
        known = self._known.get(key)
        if (
            known is not None
            and up is not None
            and known.listed == compared
            and began - known.inspected_at <= INSPECTED_WITHIN_S
            # If it had been restarted since, it would be up for less than that.
            and shortest_uptime_s(up) > self._clock() - known.seen_at
        ):
            known.seen_at = began
            return known.status
        self._known.pop(key, None)
        status = await self._inspect(key)
        # Its health must show in listings as well: then they show a change of it.
        health = "healthy" if up is not None and up[3] else None
        is_well = (
            status is not None and status.running and not status.paused and status.health == health
        )
        if status is not None and up is not None and is_well:
            self._known[key] = _KnownContainer(status, compared, began, began)
        return status


async def inspected(
    connection: DockerConnection, container: str, read: Callable[[wire.Json], T]
) -> T | None:
    """Return what `read` finds in the answer of ContainerInspect, None when it is gone."""
    async with connection.use(f"inspect the container {container}", ASK_S) as docker:
        try:
            return read(await docker.containers.container(container).show())
        except DockerError as error:
            unless_gone(error)
            return None


def shortest_uptime_s(up: re.Match[str]) -> float:
    """Return the fewest seconds that a container is up, by the engine's words; 0 for unknown."""
    count = 1 if up[1].startswith("About") else int(up[1])
    unit_s = _UNIT_S.get(up[2], _DAY_S)
    # An hour is only called so when it is over.
    return (count - 0.5 if unit_s > 60 and count > 1 else count) * unit_s  # noqa: PLR2004
