"""A forward proxy on loopback that knows hosts of its own.

CONNECT for TLS, absolute addresses for plain HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class ForwardProxy:
    """Leads each name in `hosts` to a `HOST:PORT` of loopback.

    `login` is the `Proxy-Authorization` that it wants, if any.

    `asked` are the first lines of all requests.
    """

    def __init__(self, hosts: Mapping[str, str], login: str | None) -> None:
        self.port = 0
        self.asked: list[str] = []
        self._hosts = hosts
        self._login = login

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, _, headers = head.partition("\r\n")
            self.asked.append(line)
            if self._login and f"Proxy-Authorization: {self._login}\r\n" not in headers:
                writer.write(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
                )
            else:
                await self._pass_on(line, headers, reader, writer)
            await writer.drain()
        writer.close()

    async def _pass_on(
        self, line: str, headers: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, target, _ = line.split(" ")
        place = target if method == "CONNECT" else urlsplit(target).netloc
        leads_to = self._hosts.get(place)
        if leads_to is None:
            writer.write(
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            return
        host, _, port = leads_to.rpartition(":")
        their_reader, their_writer = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            parts = urlsplit(target)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            kept = "".join(
                f"{one}\r\n"
                for one in headers.split("\r\n")
                if one and not one.startswith("Proxy-")
            )
            their_writer.write(
                f"{method} {path} HTTP/1.1\r\nConnection: close\r\n{kept}\r\n".encode("latin-1")
            )
        await asyncio.gather(pump(reader, their_writer), pump(their_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one way until either side leaves, and close the other."""
    with suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def forward_proxy(
    hosts: Mapping[str, str], login: str | None = None
) -> AsyncIterator[ForwardProxy]:
    """Run one on a free loopback port."""
    made = ForwardProxy(hosts, login)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
