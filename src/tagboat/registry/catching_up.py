"""Polls that do not wait for the schedule: of images just heard of, and, after a start, of all that were known before.

Senders repeat no call that found nobody listening. So each image is looked at soon after it was first heard of, and then what
was pushed while the server was stopped stands out as new.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from tagboat.core.errors import StoreUnavailableError
from tagboat.core.ports import Reader, Store, Tx

START_AFTER_S = 5.0
"""Seconds after the start before images are polled: one that dies at once, again and again, asks no registry."""
START_OVER_S = 40.0
"""Seconds over which the polls of a start are spread."""
HEARD_FOR_S = 7.0
"""Seconds between the first news of an image and its first poll. What is pushed together is there by then."""
LOOK_EVERY_S = 3.0
_TRIES = 5
_AGAIN_AFTER_S = 15.0
_PAGE = 200

log = structlog.get_logger("tagboat.poller")


@dataclass(frozen=True, slots=True)
class _Due:
    """A project to be polled at `at` (seconds of the loop's clock), which has failed `tries` times.

    `heard_of` is whether that is for having been heard of: then any poll of it meanwhile will do.
    """

    at: float
    tries: int = 0
    heard_of: bool = False


class CatchingUp:
    """Has `poll` poll the projects of the given ids at a host, spread over so many seconds, if it is this server's turn.

    `claim` takes the turn, as for the schedule. What fails is tried some times more, less and less often; the schedule does
    the rest.
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
        self._due: dict[str, _Due] = {}
        self._at_work: set[str] = set()

    async def run(self, rounds: asyncio.TaskGroup) -> None:
        """Go on until cancelled; the polls are tasks of `rounds`."""
        loop = asyncio.get_running_loop()
        began, started = loop.time(), False
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = loop.time()
            try:
                if not started and now - began >= START_AFTER_S:
                    known = await self._store.read(known_projects)
                    self._due |= dict.fromkeys(known, _Due(now))
                    started = True
                self._note(
                    await self._store.read(lambda reader: reader.unpolled_projects(_PAGE)), now
                )
                await self._begin(rounds, now)
            except StoreUnavailableError as error:
                log.warning("not polled", action="poll", reason=str(error))

    def _note(self, unpolled: Sequence[str], now: float) -> None:
        """Have what was heard of wait for its turn, and forget what was polled in another way before that came."""
        for project_id in [
            key for key, one in self._due.items() if one.heard_of and key not in unpolled
        ]:
            del self._due[project_id]
        for project_id in set(unpolled) - self._due.keys() - self._at_work:
            self._due[project_id] = _Due(now + HEARD_FOR_S, heard_of=True)

    async def _begin(self, rounds: asyncio.TaskGroup, now: float) -> None:
        due = {project_id: one for project_id, one in self._due.items() if one.at <= now}
        if not due or not await self._store.write(self._claim):
            return
        projects = await self._store.read(lambda reader: reader.projects_by_id(due.keys()))
        hosts: defaultdict[str, dict[str, _Due]] = defaultdict(dict)
        for project_id, one in sorted(due.items()):
            del self._due[project_id]
            if project_id in projects:
                hosts[projects[project_id].image.host][project_id] = one
        for host, those in hosts.items():
            self._at_work |= those.keys()
            rounds.create_task(self._carry_out(host, those))

    async def _carry_out(self, host: str, due: Mapping[str, _Due]) -> None:
        began = self._clock()
        try:
            await self._poll(host, list(due), START_OVER_S)
            states = await self._store.read(lambda reader: reader.poll_states(due.keys()))
        except StoreUnavailableError:
            states = {}
        finally:
            self._at_work -= due.keys()
        now = asyncio.get_running_loop().time()
        for project_id, one in due.items():
            state = states.get(project_id)
            done = (
                state is not None
                and state.last_at is not None
                and state.last_at >= began
                and state.error is None
            )
            if not done and one.tries + 1 < _TRIES:
                self._due[project_id] = _Due(now + _AGAIN_AFTER_S * 2**one.tries, one.tries + 1)


def known_projects(reader: Reader) -> list[str]:
    """The ids of those whose images were polled or heard of before."""
    known: list[str] = []
    after = ""
    while page := reader.projects(after, _PAGE):
        states = reader.poll_states([project.id for project in page])
        known += [
            one.id for one in page if states[one.id].last_at or reader.known_tags(one.id, limit=1)
        ]
        after = page[-1].name
    return known
