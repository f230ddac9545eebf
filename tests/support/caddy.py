"""Debian's Caddy as the TLS front: an internal CA, and certificates on demand for what an `ask`
URL allows.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.ports import free_port

_HTTPS = Path(__file__).parents[2] / "docs" / "https.md"
_START_S = 120.0
_STOP_S = 60.0


@dataclass
class AskServer:
    """Answers `?domain=` with 200 for the domains allowed, else 404, as Tagboat does."""

    allowed: set[str]
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["AskServer"]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)[1]
        domain = parse_qs(urlsplit(target).query)["domain"][0]
        self.asked.append(domain)
        status = "200 OK" if domain in self.allowed else "404 Not Found"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()


@dataclass(frozen=True)
class Caddy:
    """`port` is where it speaks HTTPS on loopback."""

    port: int
    root_certificate: Path

    def context(self) -> ssl.SSLContext:
        """Trusts its CA and nobody else."""
        return ssl.create_default_context(cafile=str(self.root_certificate))


def _caddyfile(folder: Path, port: int, upstream: int, ask: int) -> str:
    """The one of docs/https.md, with an authority, ports and a folder of the test's."""
    aside = f"""
  admin off
  auto_https disable_redirects
  skip_install_trust
  storage file_system {folder / "storage"}
  http_port {free_port()}
  https_port {port}
"""
    changed = {
        "\n{\n": f"\n{{{aside}",
        "https:// {": "https:// {\n  bind 127.0.0.1",
        "\n\ttls {": "\n\ttls internal {",
        "127.0.0.1:7070": f"127.0.0.1:{ask}",
        "127.0.0.1:7080": f"127.0.0.1:{upstream}",
    }
    text = _HTTPS.read_text().partition("**Caddy**")[2].split("```")[1].removeprefix("text")
    for written, own in changed.items():
        assert written in text, f"the rule for Caddy in docs/https.md has no {written!r}"
        text = text.replace(written, own, 1)
    return text


@contextlib.asynccontextmanager
async def running_caddy(folder: Path, *, upstream: int, ask: int) -> AsyncIterator[Caddy]:
    """Run Caddy in front of the loopback port `upstream` until the block ends."""
    caddy = Caddy(free_port(), folder / "storage" / "pki" / "authorities" / "local" / "root.crt")
    config, said = folder / "Caddyfile", folder / "caddy.log"
    config.write_text(_caddyfile(folder, caddy.port, upstream, ask))
    with said.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *("caddy", "run", "--adapter", "caddyfile", "--config", str(config)),
            stdout=output,
            stderr=output,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)},
        )
    try:
        async with asyncio.timeout(_START_S):
            while not await _listens(caddy):
                assert process.returncode is None, said.read_text()
                await asyncio.sleep(0.05)
        yield caddy
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_S):
            await process.wait()


async def _listens(caddy: Caddy) -> bool:
    if not caddy.root_certificate.exists():
        return False
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", caddy.port)
    except OSError:
        return False
    writer.close()
    return True
