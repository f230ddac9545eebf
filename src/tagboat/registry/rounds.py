"""One round of scheduled polls at one registry: spread, a few at a time, and frugal with the database."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tagboat.core.errors import NotFoundError
from tagboat.core.polling import PollState, RegistryBackoff
from tagboat.core.ports import Reader, Store, TagSource, Tx
from tagboat.registry.rest import Rest, Rests
from tagboat.registry.situation import Batch, Live, Question, Situation, read_batch

PER_REGISTRY = 24
"""How many repositories of one registry are asked at a time. Two connections to it are left to people."""
BATCH = 64
"""Repositories whose situation is read, or whose quiet poll is noted, in one transaction."""
SPACING_S = 0.05
SHARE = 0.5
"""The part of the time until the next round over which the polls of a round may be spread."""


@dataclass(frozen=True, slots=True)
class Note:
    """A poll state that takes the place of another, unless that is no longer in its place.

    `rest` is to be remembered with it, if there have been no more `changes` of what is remembered since.
    """

    was: PollState
    now: PollState
    rest: Rest | None = None
    changes: int = 0


@dataclass(frozen=True, slots=True)
class _Turn:
    """A repository to be asked no earlier than `at`, in seconds of the loop's clock."""

    situation: Situation
    at: float


def spacing(count: int, room_s: float) -> float:
    """Seconds between the beginnings of two polls of a round of `count`, when the next round is due in `room_s` seconds.

    Few are made practically at once; thousands are spread, over a SHARE of the room at most.
    """
    return min(SPACING_S, SHARE * max(room_s, 0) / max(count, 1))


class Round:
    """A round over the projects that have their images on one `host`.

    `poll` polls one and returns what is to be noted if there was no news, None where it has written for itself. `backoffs`
    is how the registries have been failing, as far as this server knows: by their hosts, and kept up by `poll`. `rests` is
    what this server remembers of repositories. `keep_turn` is called before each poll, so that no other server begins a round
    while this one, however long, goes on.
    """

    def __init__(
        self,
        host: str,
        store: Store,
        clock: Callable[[], datetime],
        tags: TagSource,
        backoffs: MutableMapping[str, RegistryBackoff],
        rests: Rests,
        poll: Callable[[Situation], Awaitable[Note | None]],
        keep_turn: Callable[[], Awaitable[None]],
    ) -> None:
        self._host = host
        self._store = store
        self._clock = clock
        self._tags = tags
        self._backoffs = backoffs
        self._rests = rests
        self._poll = poll
        self._keep_turn = keep_turn
        self._live: Live | None = None
        self._notes: list[Note] = []
        self._passed_over: list[str] = []

    async def run(self, project_ids: Sequence[str], spacing_s: float) -> frozenset[str]:
        """Poll all of them, in their order, one every `spacing_s` seconds if the registry is that fast.

        Returns the ids of those that were passed over, since the registry was backed off when their turn came. Raises
        StoreUnavailableError, alone or in a group.
        """
        turns: asyncio.Queue[_Turn | None] = asyncio.Queue(BATCH)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feed(project_ids, spacing_s, turns))
            for _ in range(PER_REGISTRY):
                tasks.create_task(self._work(turns))
        await self._write_notes()
        return frozenset(self._passed_over)

    async def _feed(
        self, project_ids: Sequence[str], spacing_s: float, turns: "asyncio.Queue[_Turn | None]"
    ) -> None:
        """Put the turns in the queue, read shortly before they come."""
        began = asyncio.get_running_loop().time()
        fed = 0
        while fed < len(project_ids):
            await _sleep_until(began + fed * spacing_s)
            batch = await self._read(project_ids[fed : fed + BATCH])
            for place, situation in enumerate(batch.situations, fed):
                await turns.put(_Turn(situation, began + place * spacing_s))
            fed += batch.taken
        for _ in range(PER_REGISTRY):
            await turns.put(None)

    async def _read(self, project_ids: Sequence[str]) -> Batch:
        live, now, changes = self._live, self._clock(), self._rests.changes
        rests = {
            project_id: rest for project_id in project_ids if (rest := self._rests.get(project_id))
        }
        question = Question(self._host, project_ids, self._tags, rests, changes, live, now)
        batch = await self._store.read(lambda reader: read_batch(reader, question))
        self._live = batch.live
        self._backoffs[self._host] = batch.backoff
        return batch

    async def _work(self, turns: "asyncio.Queue[_Turn | None]") -> None:
        while (turn := await turns.get()) is not None:
            await _sleep_until(turn.at)
            await self._keep_turn()
            note = await self._take(turn.situation)
            if note is not None and note.now != note.was:
                self._notes.append(note)
            if len(self._notes) >= BATCH:
                await self._write_notes()

    async def _take(self, situation: Situation) -> Note | None:
        """Poll it, or note why it is not polled while its registry is backed off."""
        backoff = self._backoffs[self._host]
        if backoff.retry_at and backoff.retry_at > self._clock():
            self._passed_over.append(situation.project.id)
            return Note(situation.state, replace(situation.state, error=backoff.error))
        return await self._poll(situation)

    async def _write_notes(self) -> None:
        notes, self._notes = self._notes, []
        if not notes:
            return
        written = await self._store.write(lambda tx: write_notes(tx, notes))
        for note in notes:
            self._rests.keep(
                note.now.project_id,
                note.rest if note.now.project_id in written else None,
                note.changes,
            )


def write_notes(tx: Tx, notes: Sequence[Note]) -> set[str]:
    """Put each state in its place, and return the ids of the projects where that was done.

    What was polled, deleted or given another image meanwhile is left as it is.
    """
    states = tx.poll_states([note.was.project_id for note in notes])
    due = [
        note for note in notes if states[note.was.project_id] == note.was and _exists(tx, note.was)
    ]
    for note in due:
        tx.put_poll_state(note.now)
    return {note.now.project_id for note in due}


def _exists(reader: Reader, state: PollState) -> bool:
    """Whether its project does: where nothing is on record, there may be none."""
    if state != PollState(project_id=state.project_id):
        return True
    try:
        reader.project(state.project_id)
    except NotFoundError:
        return False
    return True


async def _sleep_until(at: float) -> None:
    left = at - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)
