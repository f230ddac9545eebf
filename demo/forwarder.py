"""`forwarder.py NAMESPACE PORT…`: ports of 127.0.0.1 here lead to those of a network namespace.

A socket stays in the network in which it was made: these listen here, and each connection goes on
from there. It runs alone, without the rest of the demo.
"""

import asyncio
import ctypes
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_PIECE = 65536
_HERE = "127.0.0.1"


def main(arguments: Sequence[str]) -> None:
    """Listen at the ports of this network, enter the other one, and forward until killed.

    Raises OSError where a port is in use, or the network cannot be entered.
    """
    namespace, *ports = arguments
    listeners = [socket.create_server((_HERE, int(port)), backlog=512) for port in ports]
    with Path(namespace).open() as network:
        if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)
    asyncio.run(forward({one: one.getsockname()[1] for one in listeners}))


async def forward(ports: dict[socket.socket, int]) -> None:
    """Forward what each of the sockets accepts to its port of the network that this is in."""
    servers = []
    # The loop refers to tasks weakly: one that only its own streams refer to could be collected.
    held: set[asyncio.Task[None] | None] = set()
    for listener, port in ports.items():

        async def accepted(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port
        ) -> None:
            held.add(task := asyncio.current_task())
            try:
                await _connect(reader, writer, port)
            finally:
                held.discard(task)

        servers.append(await asyncio.start_server(accepted, sock=listener))
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Forward both directions of one connection until both have ended, or one has broken."""
    try:
        there_reader, there_writer = await asyncio.open_connection(_HERE, port)
    except OSError:
        writer.close()
        return
    try:
        with suppress(OSError):
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
    finally:
        for end in (writer, there_writer):
            end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


if __name__ == "__main__":
    main(sys.argv[1:])
