"""Ports of 127.0.0.1 lead to those of another network, both ways, and until both have ended."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from demo.forwarder import forward
from demo.waiting import free_port

_LIMIT_S = 60.0

pytestmark = pytest.mark.anyio


@contextmanager
def _upper() -> Iterator[int]:
    """Run an app that answers all that it was sent, in capitals, once the sender has ended."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            said = b""
            while piece := connection.recv(65536):
                said += piece
            connection.sendall(said.upper())

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        yield listener.getsockname()[1]
        thread.join(_LIMIT_S)


async def test_what_is_sent_arrives_whole_and_so_does_the_answer() -> None:
    sent = b"hello " * 50_000
    with _upper() as port, socket.create_server(("127.0.0.1", 0)) as here:
        forwarding = asyncio.create_task(forward({here: port}))
        reader, writer = await asyncio.open_connection(*here.getsockname())
        writer.write(sent)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), _LIMIT_S) == sent.upper()
        writer.close()
        await writer.wait_closed()
        forwarding.cancel()
        await asyncio.wait([forwarding])


async def test_where_nobody_listens_the_connection_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as here:
        forwarding = asyncio.create_task(forward({here: free_port()}))
        reader, writer = await asyncio.open_connection(*here.getsockname())
        assert await asyncio.wait_for(reader.read(), _LIMIT_S) == b""
        writer.close()
        await writer.wait_closed()
        forwarding.cancel()
        await asyncio.wait([forwarding])
