"""The managers of a swarm: each call goes to one that answers and knows a leader."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiodocker import Docker, DockerError

from tagboat.core.errors import EngineError, EngineUnavailableError, NameTakenError
from tagboat.core.generics import T
from tagboat.runtime.docker.address import EngineAddress
from tagboat.runtime.docker.connection import DockerConnection, Explain, StreamRequest
from tagboat.runtime.docker.refusal import clean, refusal

MANAGER_CALL_S = 5.0
"""Seconds for one manager: one that has no leader lets calls hang for 20 s."""
PATIENCE_S = 30.0
"""Seconds in which all managers are asked again: a swarm elects a new leader in some 12 s."""
_ROUND_PAUSE_S = 0.5

# As the managers say it: they have no statuses for these.
_LEADERLESS = re.compile(
    r"does not have a leader|deadline ?exceeded|raft: |lost leader|no leader|leadership"
    r"|rpc error: code = (?:unavailable|deadlineexceeded|aborted|canceled)"
    r"|node is (?:currently )?(?:being )?(?:demoted|removed)",
    re.IGNORECASE,
)
_NO_MANAGER = re.compile(r"not a swarm manager|not part of a swarm", re.IGNORECASE)
_NAME_CONFLICT = re.compile(r"name conflicts with an existing object|already exists", re.IGNORECASE)
_OUT_OF_SEQUENCE = re.compile(r"update out of sequence", re.IGNORECASE)


class OutOfSequenceError(EngineError):
    """A service was changed by somebody else since it was read."""

    retryable = True


class SwarmManagers:
    """The managers of one swarm, by their addresses; one after the other is tried."""

    def __init__(
        self,
        addresses: Sequence[EngineAddress],
        *,
        call_s: float = MANAGER_CALL_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._connections = [DockerConnection(address) for address in addresses]
        self._call_s, self._patience_s = call_s, patience_s
        self._current = 0

    async def close(self) -> None:
        """Close the connections to all of them."""
        for connection in self._connections:
            await connection.close()

    async def ask(
        self,
        doing: str,
        path: str,
        method: str = "GET",
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        limit_s: float | None = None,
    ) -> Any:  # noqa: ANN401 - JSON of the engine
        """Call the API, and return its JSON; a manager has `limit_s` seconds, or its usual ones.

        Raises EngineError; see `refusal_of` for which.
        A call that changes something may have been done although it raises or is repeated.
        """

        async def work(docker: Docker) -> Any:  # noqa: ANN401 - as above
            # aiodocker's calls for services drop fields that it does not know.
            return await docker._query_json(  # noqa: SLF001
                path, method, params=dict(params or {}), data=body, headers=headers
            )

        return await self.use(doing, work, limit_s=limit_s)

    async def use(
        self,
        doing: str,
        work: Callable[[Docker], Awaitable[T]],
        *,
        limit_s: float | None = None,
        explain: Explain | None = None,
    ) -> T:
        """Let a manager do `work` within `limit_s` seconds, and the next one where it cannot.

        `explain` judges refusals in the place of `refusal_of`.
        """

        async def attempt(connection: DockerConnection) -> T:
            within = self._call_s if limit_s is None else limit_s
            judged = explain or (lambda error: refusal_of(error, doing))
            async with connection.use(doing, within, judged) as docker:
                return await work(docker)

        return await self._in_turn(attempt)

    async def read_stream(self, request: StreamRequest, take: Callable[[bytes], None]) -> None:
        """Give `take` the chunks of an answer of one manager, the one that was asked last.

        None of it is tried a second time: the reader has to know what it has got.
        """
        doing = request.doing
        connection = self._connections[self._current]
        try:
            async with connection.stream(request, lambda e: refusal_of(e, doing)) as chunks:
                async for chunk in chunks:
                    take(chunk)
        except EngineUnavailableError:
            self._pass_on(connection)
            raise

    async def _in_turn(self, attempt: Callable[[DockerConnection], Awaitable[T]]) -> T:
        clock = asyncio.get_running_loop().time
        end = clock() + self._patience_s
        while True:
            failures = dict.fromkeys(self._connections, "")
            for _ in self._connections:
                connection = self._connections[self._current]
                try:
                    return await attempt(connection)
                except EngineUnavailableError as error:
                    failure = error
                    failures[connection] = str(error)
                    self._pass_on(connection)
            if clock() >= end:
                # One of them may say why the others do not matter: that there is no leader.
                said = dict.fromkeys(filter(None, failures.values()))
                raise (
                    failure
                    if len(said) == 1
                    else EngineUnavailableError(
                        f"no manager of the swarm does it (TAGBOAT_DOCKER_HOST): {'; '.join(said)}"
                    )
                )
            await asyncio.sleep(_ROUND_PAUSE_S)

    def _pass_on(self, failed: DockerConnection) -> None:
        # Another call may have passed on already.
        if failed is self._connections[self._current]:
            self._current = (self._current + 1) % len(self._connections)


def refusal_of(error: DockerError, doing: str) -> EngineError:
    """Return the error for a call that a manager refused while `doing`.

    EngineUnavailableError where another manager, or the same a moment later, may do it.
    """
    said = clean(error.message)
    if _NO_MANAGER.search(said):
        return EngineUnavailableError(
            f"the engine could not {doing}: it is not a manager of a swarm; name the managers in"
            " TAGBOAT_DOCKER_HOST, or make one with: docker swarm init"
        )
    if _OUT_OF_SEQUENCE.search(said):
        return OutOfSequenceError(f"the swarm could not {doing}: {said}")
    if _LEADERLESS.search(said):
        return EngineUnavailableError(f"the swarm could not {doing}: {said}")
    # Of networks it is told with the status 500.
    if _NAME_CONFLICT.search(said):
        return NameTakenError(f"the swarm could not {doing}: {said}")
    return refusal(error, doing)
