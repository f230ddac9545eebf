"""Several managers: small servers in their place, of which some say nothing or know no leader."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiodocker import DockerError

from tagboat.core.errors import EngineUnavailableError, NameTakenError
from tagboat.runtime.docker.address import parse_engine_address
from tagboat.runtime.swarm.managers import OutOfSequenceError, SwarmManagers, refusal_of

pytestmark = pytest.mark.anyio
OK = (200, {"ApiVersion": "1.41", "Version": "20.10.24", "Os": "linux", "Arch": "amd64"})
LEADERLESS = (500, {"message": "rpc error: code = Unknown desc = The swarm does not have a leader"})
CALL_S = 5.0


class Manager:
    """Answers each call in the same way; None lets it hang."""

    def __init__(self, answer: tuple[int, object] | None) -> None:
        self.answer = answer
        self.calls = 0
        self.url = ""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while first := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                self.calls += 1
                if self.answer is None:
                    await asyncio.Event().wait()
                # The version that is agreed on is no call of ours.
                status, said = OK if b"GET /version" in first else self.answer or OK
                body = json.dumps(said).encode()
                head = f"HTTP/1.1 {status} S\r\nContent-Type: application/json\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def serving(*managers: Manager) -> AsyncIterator[list[str]]:
    servers = []
    for manager in managers:
        server = await asyncio.start_server(manager.accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        manager.url = f"tcp://127.0.0.1:{port}"
        servers.append(server)
    yield [manager.url for manager in managers]
    for server in servers:
        server.close()


def managers_at(
    urls: list[str], *, call_s: float = CALL_S, patience_s: float = 30.0
) -> SwarmManagers:
    return SwarmManagers(
        [parse_engine_address(url) for url in urls], call_s=call_s, patience_s=patience_s
    )


async def test_a_call_goes_to_the_next_where_one_hangs_or_knows_no_leader() -> None:
    hangs, leaderless, leads = Manager(None), Manager(LEADERLESS), Manager(OK)
    async with serving(hangs, leaderless, leads) as urls:
        swarm = managers_at(urls, call_s=0.5)
        assert await swarm.ask("ask", "nodes") == OK[1]
        before = hangs.calls, leaderless.calls
        assert await swarm.ask("ask", "nodes") == OK[1]
        assert (hangs.calls, leaderless.calls) == before, "the one that answered is asked again"
        await swarm.close()


async def test_all_are_asked_again_until_the_patience_is_over() -> None:
    first, second = Manager(LEADERLESS), Manager(LEADERLESS)
    async with serving(first, second) as urls:
        swarm = managers_at(urls, patience_s=0.1)
        with pytest.raises(EngineUnavailableError, match="does not have a leader"):
            await swarm.ask("list nodes", "nodes")
        assert second.calls
        await swarm.close()


async def test_what_each_of_them_says_is_told(tmp_path: Path) -> None:
    leaderless = Manager(LEADERLESS)
    async with serving(leaderless) as urls:
        swarm = managers_at([*urls, f"unix://{tmp_path}/gone.sock"], patience_s=0.1)
        with pytest.raises(EngineUnavailableError) as caught:
            await swarm.ask("list nodes", "nodes")
        await swarm.close()
    said = str(caught.value)
    assert said.startswith("no manager of the swarm does it (TAGBOAT_DOCKER_HOST): ")
    assert "does not have a leader" in said
    assert "gone.sock" in said


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (503, "This node is not a swarm manager. Use docker swarm init", EngineUnavailableError),
        (500, "rpc error: code = DeadlineExceeded desc = context", EngineUnavailableError),
        (500, "rpc error: code = Unknown desc = update out of sequence", OutOfSequenceError),
        (
            409,
            "rpc error: code = AlreadyExists desc = name conflicts with an existing object:",
            NameTakenError,
        ),
    ],
)
def test_refusals(status: int, message: str, error: type[Exception]) -> None:
    assert type(refusal_of(DockerError(status, message), "ask")) is error
