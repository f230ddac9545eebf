"""Debian's nginx as the TLS front, with the lines of docs/https.md."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port
from tests.support.private_ca import Certificate, PrivateCa

_HTTPS = Path(__file__).parents[2] / "docs" / "https.md"
_UPSTREAM = "127.0.0.1:7080"
_START_S = 120.0
_STOP_S = 60.0


@dataclass(frozen=True)
class Nginx:
    """`port` is where it speaks HTTPS on loopback; its certificate is for 127.0.0.1."""

    port: int
    root_certificate: Path

    def context(self) -> ssl.SSLContext:
        """Trusts its CA and nobody else."""
        return ssl.create_default_context(cafile=str(self.root_certificate))


def _documented_lines(changed: Mapping[str, str]) -> str:
    lines = _HTTPS.read_text().partition("**nginx**")[2].split("```")[1].removeprefix("nginx")
    for written, own in changed.items():
        assert written in lines, f"the rule for nginx in docs/https.md has no {written!r}"
        lines = lines.replace(written, own)
    return lines


def _config(folder: Path, port: int, upstream: int, certificate: Certificate) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    own = {
        _UPSTREAM: f"127.0.0.1:{upstream}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/apps.pem": str(certificate.chain),
        "/etc/ssl/apps.key": str(certificate.key),
    }
    places = "\n".join(f"  {kind}_temp_path {folder / kind};" for kind in kinds)
    return f"""
daemon off;
user root;
pid {folder / "nginx.pid"};
error_log {folder / "error.log"};
events {{}}
http {{
  access_log off;
{places}
{_documented_lines(own)}
}}
"""


@contextlib.asynccontextmanager
async def running_nginx(folder: Path, *, upstream: int) -> AsyncIterator[Nginx]:
    """Run nginx in front of the loopback port `upstream` until the block ends."""
    ca = PrivateCa(folder)
    nginx = Nginx(free_port(), ca.path)
    config, said = folder / "nginx.conf", folder / "error.log"
    config.write_text(_config(folder, nginx.port, upstream, ca.issue("front")))
    process = await asyncio.create_subprocess_exec(
        *("nginx", "-p", str(folder), "-e", str(said), "-c", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"},
    )
    try:
        async with asyncio.timeout(_START_S):
            while not await _listens(nginx.port):
                assert process.returncode is None, said.read_text()
                await asyncio.sleep(0.05)
        yield nginx
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_S):
            await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
