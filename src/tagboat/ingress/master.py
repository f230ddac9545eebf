"""HAProxy's master socket: asking the master, and through it each of its workers.

A worker that a reload told to stop finishes its requests, and may get one more on a connection that
it kept. So old workers get the same commands as the current one. HAProxy's management guide
describes the protocol ("9.4. Master CLI"): one connection a call, commands joined by `;`, each for
a worker prefixed by `@!PID`.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from tagboat.core.errors import IngressUnavailableError
from tagboat.core.request_counts import CodeClasses, ProcessCounts
from tagboat.core.route import Target
from tagboat.ingress.config import MAP_FILE, MASTER_SOCKET
from tagboat.ingress.counting import (
    ENDS_RING,
    HOST_TABLE,
    INSTANCE_TABLE,
    counting_key,
    ended_early,
    parse_code_classes,
    parse_instance_counts,
    parse_process,
    parse_turned_away,
)
from tagboat.ingress.pools import Server, Servers, parse_servers
from tagboat.ingress.routing import RoutingMap, changes, parse_got_map, parse_shown_map

CALL_S = 2.0
WORKER_S = 1.0
_BATCH = 8000
"""Bytes of one line of commands; HAProxy's own limit is its buffer of 16 KiB."""
_LONGEST_ANSWER = 16 << 20

_PROCESS = re.compile(r"(\d+)\s+(master|worker)\s")
_CONNECTION_COUNT = re.compile(r"\bconn_cur=(\d+)")
_DESCRIPTION_LINE = re.compile(r"^description: ([^\s:]+)", re.MULTILINE)
_GONE = ("Can't find the target PID", "Can't connect to the target CLI")


class WorkerSilentError(Exception):
    """A worker, the process `worker`, has ended or does not answer: it is ending or starting."""

    def __init__(self, worker: int) -> None:
        super().__init__(f"HAProxy's worker {worker} does not answer")
        self.worker = worker


class NoAnswerError(IngressUnavailableError):
    """The master was reached, but nothing came back."""


class Processes(Struct, frozen=True):
    """Process ids: the master, the current worker (None without one), and the old workers."""

    master: int
    current: int | None
    old: tuple[int, ...]

    @property
    def workers(self) -> tuple[int, ...]:
        """All of them, the one in charge first."""
        return (*([] if self.current is None else [self.current]), *self.old)


def parse_processes(text: str) -> Processes | None:
    """Return the processes in an answer to `show proc`, None if it is not such an answer."""
    found: dict[str, list[int]] = {"#<PID>": [], "# workers": [], "# old workers": []}
    section = ""
    for line in text.splitlines():
        if line.startswith("#"):
            # There may be further sections, such as `# programs`: their processes are not workers.
            section = "#<PID>" if line.startswith("#<PID>") else line.strip()
        elif (match := _PROCESS.match(line.strip())) and section in found:
            found[section].append(int(match[1]))
    if not found["#<PID>"]:
        return None
    workers = found["# workers"]
    return Processes(
        found["#<PID>"][0], workers[0] if workers else None, (*workers[1:], *found["# old workers"])
    )


class Master:
    """A client of the master whose socket is in `directory`.

    All calls raise IngressUnavailableError within seconds.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def processes(self) -> Processes:
        """Return the processes that run."""
        text = await self._ask("show proc")
        processes = parse_processes(text)
        if processes is None:
            raise IngressUnavailableError(
                f"HAProxy answered {text[:200]!r} when it was asked for its processes"
            )
        return processes

    async def reload(self) -> None:
        """Make the master load its files again, as SIGUSR2 does, without waiting for the result."""
        # HAProxy 2.6 hangs up without an answer, later versions answer when it is done.
        with contextlib.suppress(NoAnswerError):
            await self._ask("reload")

    async def description(self, worker: int, limit_s: float = WORKER_S) -> str:
        """The configuration's fingerprint that a worker has loaded, empty if it bears none."""
        match = _DESCRIPTION_LINE.search(await self._ask_worker(worker, ["show info"], limit_s))
        return match[1] if match else ""

    async def shown_map(self, worker: int) -> dict[str, str]:
        """Return the routes in force in a worker."""
        text = await self._ask_worker(worker, [f"show map {MAP_FILE}"])
        shown = parse_shown_map(text)
        if shown is None:
            raise IngressUnavailableError(
                f"HAProxy answered {text[:200]!r} when it was asked for its routes"
            )
        return shown

    async def servers(self, worker: int) -> Servers:
        """Return the servers in all back ends for pools of a worker."""
        return _servers_in(await self._ask_worker(worker, ["show servers state"]))

    async def servers_of(self, worker: int, backends: Collection[str]) -> Servers:
        """Return the servers in some back ends of a worker."""
        found: dict[str, Sequence[Server]] = {}
        commands = [f"show servers state {backend}" for backend in backends]
        for command in commands:
            found |= _servers_in(await self._ask_worker(worker, [command]))
        return found

    async def command(self, worker: int, commands: Sequence[str]) -> str:
        """Have a worker carry out commands; return what it first says to any of them."""
        said = ""
        for batch in _batches(commands, len(f"@!{worker} ; ")):
            said = said or (await self._ask_worker(worker, batch)).strip()
        return said

    async def follow(self, worker: int, wanted: RoutingMap, kept: Collection[str] = ()) -> int:
        """Make a worker follow `wanted`, and confirm it; return the number of changes.

        Hosts in `kept` stay as they are.
        """
        shown = await self.shown_map(worker)
        wanted = {**wanted, **{host: shown[host] for host in kept if host in shown}}
        commands = changes(shown, wanted)
        if not commands:
            return 0
        said = await self.command(worker, commands)
        # The map in force counts, not the answers to the commands: a switch relies on it.
        if await self.shown_map(worker) != wanted:
            raise IngressUnavailableError(
                f"HAProxy did not take over the routes: {said[:200] or 'it does not say why'}"
            )
        return len(commands)

    async def change(self, worker: int, put: RoutingMap, gone: Collection[str]) -> int:
        """Make a worker route the hosts in `put`, and forget those `gone`; return the changes.

        It confirms that, and is asked for no other host, however many there are.
        """
        hosts = [*put, *gone]
        commands = changes(await self._got_map(worker, hosts), put)
        if not commands:
            return 0
        said = await self.command(worker, commands)
        if await self._got_map(worker, hosts) != put:
            raise IngressUnavailableError(
                f"HAProxy did not take over the routes: {said[:200] or 'it does not say why'}"
            )
        return len(commands)

    async def _got_map(self, worker: int, hosts: Sequence[str]) -> dict[str, str]:
        """Return the routes in force in a worker for these hosts."""
        text = ""
        for batch in _batches(
            [f"get map {MAP_FILE} {host}" for host in hosts], len(f"@!{worker} ; ")
        ):
            text += await self._ask_worker(worker, batch)
        got = parse_got_map(text, hosts)
        if got is None:
            raise IngressUnavailableError(
                f"HAProxy answered {text[:200]!r} when it was asked for some of its routes"
            )
        return got

    async def in_flight(self, worker: int, key: str) -> int:
        """Return the number of requests that a worker carries to or from the instance of a key."""
        text = await self._ask_worker(worker, [f"show table {INSTANCE_TABLE} key {key}"])
        if not text.strip():  # no request has gone there of late
            return 0
        if f"table: {INSTANCE_TABLE}" not in text:
            raise IngressUnavailableError(
                f"HAProxy answered {text[:200]!r} when it was asked what is in flight"
            )
        match = _CONNECTION_COUNT.search(text)
        return int(match[1]) if match else 0

    async def counts(
        self, worker: int, targets: Sequence[Target], hosts: Collection[str]
    ) -> ProcessCounts:
        """Return what a worker has counted for these instances, and in the place of an app."""
        keys = {one.instance: counting_key(one) for one in targets}
        rows = await self._rows(worker, INSTANCE_TABLE, list(keys.values()))
        info = await self._ask_worker(worker, ["show info"])
        try:
            name, started_at = parse_process(info)
        except ValueError as error:
            raise IngressUnavailableError(
                f"HAProxy answered {info[:200]!r} when it was asked about itself: {error}"
            ) from None
        # Asked for later: so it has all ends that the rows have counted, if there is room for them.
        ends = (
            await self._ask_worker(worker, [f"show events {ENDS_RING}"])
            if ended_early(rows)
            else ""
        )
        found = {one: parse_instance_counts(rows, ends, key) for one, key in keys.items()}
        return ProcessCounts(
            process=name,
            started_at=started_at,
            instances={one: counts for one, counts in found.items() if counts is not None},
            turned_away=parse_turned_away(await self._rows(worker, HOST_TABLE, hosts)),
        )

    async def code_classes(self, worker: int) -> Mapping[str, CodeClasses]:
        """Return the answers of a worker by host and class of status code."""
        return parse_code_classes(await self._ask_worker(worker, [f"show table {HOST_TABLE}"]))

    async def _rows(self, worker: int, table: str, keys: Collection[str]) -> str:
        text = ""
        for batch in _batches(
            [f"show table {table} key {key}" for key in keys], len(f"@!{worker} ; ")
        ):
            text += await self._ask_worker(worker, batch)
        return text

    async def _ask_worker(
        self, worker: int, commands: Sequence[str], limit_s: float = WORKER_S
    ) -> str:
        try:
            text = await self._ask(
                ";".join(f"@!{worker} {command}" for command in commands), limit_s
            )
        except NoAnswerError:
            # The master has just answered `show proc`: it is the worker that is silent.
            raise WorkerSilentError(worker) from None
        # The master answers for it: the process has ended since `show proc`.
        if text.startswith(_GONE):
            raise WorkerSilentError(worker)
        return text

    async def _ask(self, line: str, limit_s: float = CALL_S) -> str:
        try:
            async with asyncio.timeout(limit_s):
                answer = await _exchange(self._directory, line)
        except TimeoutError:
            raise NoAnswerError(f"HAProxy did not answer within {limit_s:g} s") from None
        except ConnectionResetError:
            answer = ""
        except OSError as error:
            raise IngressUnavailableError(
                f"HAProxy cannot be reached at {self._directory / MASTER_SOCKET}"
                f" ({error.strerror or error}); Tagboat starts it again by itself, see its log if"
                " this lasts"
            ) from None
        if not answer:
            raise NoAnswerError("HAProxy's master hung up when it was asked")
        return answer


def _servers_in(text: str) -> Servers:
    servers = parse_servers(text)
    if servers is None:
        raise IngressUnavailableError(
            f"HAProxy answered {text[:200]!r} when it was asked for its servers"
        )
    return servers


async def _exchange(directory: Path, line: str) -> str:
    # A socket's path may have 107 bytes; through the open directory it is short wherever that is.
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        reader, writer = await asyncio.open_unix_connection(
            f"/proc/self/fd/{opened}/{MASTER_SOCKET}"
        )
    finally:
        os.close(opened)
    try:
        writer.write(line.encode() + b"\n")
        # Then the master closes the connection after its answer, which has no other end.
        writer.write_eof()
        answer = bytearray()
        # Another program at the socket's path must not fill the memory.
        while chunk := await reader.read(1 << 16):
            answer += chunk
            if len(answer) > _LONGEST_ANSWER:
                raise IngressUnavailableError("HAProxy answers without end")
    finally:
        writer.close()
    return answer.decode(errors="replace")


def _batches(commands: Iterable[str], overhead: int) -> Iterable[list[str]]:
    batch: list[str] = []
    size = 0
    for command in commands:
        if batch and size + len(command) + overhead > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(command)
        size += len(command) + overhead
    if batch:
        yield batch
