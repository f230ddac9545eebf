import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tagboat.core.errors import IngressUnavailableError
from tagboat.ingress.master import Master, Processes, WorkerSilentError, parse_processes

OF_2_6 = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
30307           master          1 [failed: 0]   0d00h10m46s     2.6.12-1+deb12u4
# workers
1555            worker          0               0d00h00m01s     2.6.12-1+deb12u4
# old workers
30318           worker          1               0d00h10m46s     2.6.12-1+deb12u4
30200           worker          2               0d00h12m00s     2.6.12-1+deb12u4
# programs

"""


def test_who_runs() -> None:
    processes = parse_processes(OF_2_6)
    assert processes == Processes(30307, 1555, (30318, 30200))
    assert processes.workers == (1555, 30318, 30200)


def test_a_master_without_a_worker() -> None:
    text = "#<PID> <type>\n7 master 0\n# workers\n# old workers\n8 worker 1 0d\n"
    assert parse_processes(text) == Processes(7, None, (8,))


@pytest.mark.parametrize("text", ["", "Permission denied\n", "# workers\n8 worker 1 0d\n"])
def test_what_is_no_list_of_processes(text: str) -> None:
    assert parse_processes(text) is None


Answer = Callable[[str], Awaitable[str | None]]


@contextlib.asynccontextmanager
async def master_saying(directory: Path, answer: Answer) -> AsyncIterator[Master]:
    """A socket that answers each line with what `answer` makes of it; None hangs up."""

    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            text = await answer((await reader.readline()).decode().strip())
            writer.write((text or "").encode())
        finally:
            writer.close()

    async with await asyncio.start_unix_server(serve, directory / "master.sock"):
        yield Master(directory)
        tasks = [task for task in serving if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def always(text: str | None) -> Answer:
    async def answer(_line: str) -> str | None:
        return text

    return answer


async def never(_line: str) -> str:
    await asyncio.Event().wait()
    return "too late"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "text",
    [
        "Can't find the target PID matching the prefix '@!7'\n",
        "Can't connect to the target CLI!\n",
        None,
    ],
)
async def test_a_worker_that_is_going(tmp_path: Path, text: str | None) -> None:
    async with master_saying(tmp_path, always(text)) as master:
        with pytest.raises(WorkerSilentError, match="worker 7 does not answer"):
            await master.in_flight(7, "20000")


@pytest.mark.anyio
async def test_a_worker_that_says_nothing_in_time(tmp_path: Path) -> None:
    async with master_saying(tmp_path, never) as master:
        with pytest.raises(WorkerSilentError):
            await master.description(7, limit_s=0.05)


@pytest.mark.anyio
@pytest.mark.parametrize("text", [None, "Success=1\n"])
async def test_a_reload_may_be_answered_or_not(tmp_path: Path, text: str | None) -> None:
    heard: list[str] = []

    async def reloads(line: str) -> str | None:
        heard.append(line)
        return text

    async with master_saying(tmp_path, reloads) as master:
        await master.reload()
    assert heard == ["reload"]


@pytest.mark.anyio
async def test_answers_that_make_no_sense(tmp_path: Path) -> None:
    async with master_saying(tmp_path, always("Permission denied\n")) as master:
        for call in (
            master.processes(),
            master.shown_map(7),
            master.in_flight(7, "20000"),
            master.follow(7, {"a": "none"}),
        ):
            with pytest.raises(
                IngressUnavailableError, match="HAProxy answered 'Permission denied"
            ):
                await call


@pytest.mark.anyio
async def test_routes_that_are_not_taken_over_are_no_success(tmp_path: Path) -> None:
    async def forgets(line: str) -> str:
        return "\n" if "show map" in line else "out of memory\n"

    async with master_saying(tmp_path, forgets) as master:
        with pytest.raises(
            IngressUnavailableError, match="did not take over the routes: out of memory"
        ):
            await master.follow(7, {"a": "none"})


@pytest.mark.anyio
async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(
        IngressUnavailableError, match="cannot be reached at .*master.sock .No such file"
    ):
        await Master(tmp_path).processes()


@pytest.mark.anyio
async def test_what_is_in_flight(tmp_path: Path) -> None:
    text = (
        "# table: in_flight, type: string, size:20480, used:2\n0x55d7: key=20000 use=3 "
        "exp=59800 conn_cur=3\n\n"
    )
    async with master_saying(tmp_path, always(text)) as master:
        assert await master.in_flight(7, "20000") == 3
