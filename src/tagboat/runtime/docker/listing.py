"""Listings of containers. What a listing shows to be as it was is not inspected again."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tagboat.core.workload import WorkloadStatus
from tagboat.runtime.docker import wire
from tagboat.runtime.docker.connection import ASK_S, DockerConnection

SEEN_WITHIN_S = 150.0
"""Seconds since the last listing that has shown a container, for which it is still known."""
INSPECTED_WITHIN_S = 3600.0
"""Seconds after which a container is inspected again, whatever its listings show."""

# Three minutes or longer. More than `SEEN_WITHIN_S`, so that a restart since then shows.
_CALM = re.compile(
    r"Up (?:[3-9] minutes|\d\d minutes|About an hour|\d+ (?:hours|days|weeks|months|years))"
    r"( \(healthy\))?"
)
_COMPARED = ("Names", "Labels", "Ports", "Mounts")


@dataclass(slots=True)
class _KnownContainer:
    """A status, with what its listing says of the rest, and when both were seen, in seconds."""

    status: WorkloadStatus
    listed: tuple[object, ...]
    inspected_at: float
    seen_at: float


class ContainerListing:
    """Lists containers, and has those inspected by `inspect` that may have changed.

    A listing leaves out exit codes, restarts and health. But a container that is up for minutes,
    was seen by then, and is well has the status that it had. `clock` is monotonic, in seconds.
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
        # Before the answer: what was seen is at least as old as that.
        now = self._clock()
        async with self._connection.use("list containers", ASK_S) as docker:
            found = await docker._query_json(  # noqa: SLF001 - its list() hides what was answered
                "containers/json", method="GET", params={"all": "1", "filters": wanted}
            )
        self._known = {
            key: one for key, one in self._known.items() if now - one.seen_at <= SEEN_WITHIN_S
        }
        statuses = await asyncio.gather(*(self._status(one, now) for one in found))
        return [status for status in statuses if status is not None]

    async def _status(self, listed: wire.Json, now: float) -> WorkloadStatus | None:
        key, said = str(listed["Id"]), str(listed.get("Status") or "")
        compared = tuple(listed.get(name) for name in _COMPARED)
        calm = _CALM.fullmatch(said) if listed.get("State") == "running" else None
        known = self._known.get(key)
        if (
            known is not None
            and calm is not None
            and known.listed == compared
            and now - known.inspected_at <= INSPECTED_WITHIN_S
        ):
            known.seen_at = now
            return known.status
        self._known.pop(key, None)
        status = await self._inspect(key)
        # Its health must show in listings as well: then they show a change of it.
        health = "healthy" if calm is not None and calm[1] else None
        if status is not None and calm is not None and _is_well(status, health):
            self._known[key] = _KnownContainer(status, compared, now, now)
        return status


def _is_well(status: WorkloadStatus, health: str | None) -> bool:
    return status.running and not status.paused and status.health == health
