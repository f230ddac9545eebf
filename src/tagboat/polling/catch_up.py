"""Polls outside the schedule: of images just pushed for the first time, and after a start of all.

Registries do not repeat a webhook call that nobody answered. So each image is polled soon after its
first push, and then whatever was pushed while the server was stopped is seen as new.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import structlog
from msgspec import Struct

from tagboat.core.errors import StoreUnavailableError
from tagboat.core.ports import Reader, Store, Topic, Tx

START_AFTER_S = 5.0
"""Seconds after the start before images are polled: a crash loop then asks no registry."""
START_OVER_S = 40.0
"""Seconds over which the polls after a start are spread."""
FIRST_POLL_AFTER_S = 7.0
"""Seconds between the first push of an image and its first poll, for pushes that come together."""
CHECK_EVERY_S = 3.0
_LOOK_ANYWAY = 20
"""Checks after which is looked for images never polled, although no call has come."""
_MAX_TRIES = 5
_FIRST_RETRY_S = 15.0
_PROJECTS_AT_A_TIME = 200

log = structlog.get_logger("tagboat.poller")


class _PendingPoll(Struct, frozen=True):
    """A poll at `at` (seconds of the loop's clock) of a project that has failed `tries` times.

    `is_first` marks a project that was never polled: any other poll of it will do.
    """

    at: float
    tries: int = 0
    is_first: bool = False


class CatchUp:
    """Calls `poll` with a host, project ids there and the seconds over which to spread the polls.

    `claim` takes the turn for this server, as in `Timetable`. Failed polls are tried again a few
    times, less and less often; after that the schedule takes over.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        claim: Callable[[Tx], bool],
        poll: Callable[[str, Sequence[str], float], Awaitable[None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._claim = claim
        self._poll = poll
        self._pending: dict[str, _PendingPoll] = {}
        self._polling: set[str] = set()
        self._heard = True

    async def run(self, polls: asyncio.TaskGroup) -> None:
        """Start polls as tasks of `polls`, until cancelled."""

        def hear() -> None:
            self._heard = True

        loop = asyncio.get_running_loop()
        began, started, checks = loop.time(), False, 0
        self._store.listen(Topic.DELIVERIES, hear)
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            now, checks = loop.time(), checks + 1
            firsts = any(pending.is_first for pending in self._pending.values())
            try:
                if not started and now - began >= START_AFTER_S:
                    known = await self._store.read(known_projects)
                    self._pending |= dict.fromkeys(known, _PendingPoll(now))
                    started = True
                # It looks at every project there is: only where it may find one.
                if self._heard or firsts or self._polling or checks % _LOOK_ANYWAY == 0:
                    self._heard = False
                    unpolled = await self._store.read(
                        lambda reader: reader.unpolled_projects(_PROJECTS_AT_A_TIME)
                    )
                    self._note_unpolled(unpolled, now)
                await self._start_due(polls, now)
            except StoreUnavailableError as error:
                self._heard = True
                log.warning("not polled", action="poll", reason=str(error))

    def _note_unpolled(self, unpolled: Sequence[str], now: float) -> None:
        # Another poll, on schedule or asked for, has made their first one needless.
        needless = [
            project_id
            for project_id, pending in self._pending.items()
            if pending.is_first and project_id not in unpolled
        ]
        for project_id in needless:
            del self._pending[project_id]
        for project_id in set(unpolled) - self._pending.keys() - self._polling:
            first = _PendingPoll(now + FIRST_POLL_AFTER_S, is_first=True)
            self._pending[project_id] = first

    async def _start_due(self, polls: asyncio.TaskGroup, now: float) -> None:
        due = {key: pending for key, pending in self._pending.items() if pending.at <= now}
        if not due or not await self._store.write(self._claim):
            return
        projects = await self._store.read(lambda reader: reader.projects_by_id(due.keys()))
        hosts: defaultdict[str, dict[str, _PendingPoll]] = defaultdict(dict)
        for project_id, pending in sorted(due.items()):
            del self._pending[project_id]
            # It may have been deleted since.
            if project_id in projects:
                hosts[projects[project_id].image.host][project_id] = pending
        for host, at_host in hosts.items():
            self._polling |= at_host.keys()
            polls.create_task(self._poll_host(host, at_host))

    async def _poll_host(self, host: str, due: Mapping[str, _PendingPoll]) -> None:
        began, retry_at = self._clock(), None
        try:
            await self._poll(host, list(due), START_OVER_S)
            states, retry_at = await self._store.read(
                lambda reader: (
                    reader.poll_states(due.keys()),
                    reader.registry_backoff(host).retry_at,
                )
            )
        except StoreUnavailableError:
            states = {}
        finally:
            self._polling -= due.keys()
        now = asyncio.get_running_loop().time()
        # Until then all of them would be read, and skipped.
        left_s = (retry_at - self._clock()).total_seconds() if retry_at else 0.0
        for project_id, pending in due.items():
            state = states.get(project_id)
            last_at = state.last_at if state and state.error is None else None
            # Skipped polls, during a backoff, leave `last_at` as it was.
            is_done = last_at is not None and last_at >= began
            if not is_done and pending.tries + 1 < _MAX_TRIES:
                pause_s = max(_FIRST_RETRY_S * 2**pending.tries, left_s)
                self._pending[project_id] = _PendingPoll(now + pause_s, pending.tries + 1)


def known_projects(reader: Reader) -> list[str]:
    """Return the ids of the projects whose images were polled or pushed before."""
    known: list[str] = []
    after = ""
    while page := reader.projects(after, _PROJECTS_AT_A_TIME):
        # Projects made by hand and never pushed wait for the schedule.
        states = reader.poll_states([project.id for project in page])
        known += [
            one.id for one in page if states[one.id].last_at or reader.known_tags(one.id, limit=1)
        ]
        after = page[-1].name
    return known
