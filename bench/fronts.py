"""A minute of requests through each documented front, and by clients without keep-alive."""

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from bench.rig import BenchError, await_page, free_port
from demo.sample_image import SampleApp, build_image, push
from tagboat.core.route import Route, RouteState
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.process import end_haproxy
from tests.support.caddy import AskServer, running_caddy
from tests.support.docker_registry import docker_registry
from tests.support.endpoints import target
from tests.support.nginx import running_nginx

MINUTE_S = 60
LEAST_A_SECOND = 2000
_CLIENTS = 8
_HOST = "localhost"
_IMAGE = "bench/keeps"
# The machine's own nginx, whose files the container sees: an app that keeps connections open, as
# most do.
_SEEN = ("/usr", "/lib", "/lib64", "/etc")
_SCRATCH = "/tmp"  # noqa: S108 - of the container
_APP = """
daemon off; user root; pid /tmp/pid; error_log /dev/null; worker_processes 1;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b;
  fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d;
  scgi_temp_path /tmp/e;
  server { listen 8080; location / { return 200 "hello"; } }
}
"""


@dataclass(frozen=True, slots=True)
class Told:
    """The result of a minute: requests a second, and answers other than 200."""

    a_second: float
    failed: int


def measure(folder: Path, seconds: int = MINUTE_S) -> None:
    """Print the rate and the failures of each way in, `seconds` long each."""
    place = folder / "fronts"
    place.mkdir()
    asyncio.run(_measure(place, seconds))


async def _measure(folder: Path, seconds: int) -> None:
    with docker_registry() as registry:
        app = await asyncio.to_thread(_run_app, folder, registry.host)
        try:
            async with _led(folder / "ingress", app.port) as port:
                _say(
                    "clients that keep no connection",
                    await _ask(f"http://{_HOST}:{port}/", seconds, keep=False),
                )
                async with running_nginx(folder, upstream=port) as nginx:
                    _say(
                        "nginx in front",
                        await _ask(f"https://{_HOST}:{nginx.port}/", seconds, keep=True),
                    )
                async with _caddy(folder, port) as caddy_port:
                    _say(
                        "Caddy in front",
                        await _ask(f"https://{_HOST}:{caddy_port}/", seconds, keep=True),
                    )
        finally:
            await asyncio.to_thread(_docker, "rm", "--force", app.name)
            await asyncio.to_thread(_docker, "rmi", "--force", f"{registry.host}/{_IMAGE}:v1")


@dataclass(frozen=True, slots=True)
class _Running:
    name: str
    port: int


def _run_app(folder: Path, registry_host: str) -> _Running:
    config, port = folder / "app.conf", free_port()
    config.write_text(_APP)
    push(registry_host, _IMAGE, "v1", build_image(SampleApp()))
    mounts = [word for path in _SEEN for word in ("--volume", f"{path}:{path}:ro")]
    name = _docker(
        *(
            "run",
            "--detach",
            "--tmpfs",
            _SCRATCH,
            "--tmpfs",
            "/var/lib/nginx",
            "--publish",
            f"127.0.0.1:{port}:8080",
        ),
        *(*mounts, "--volume", f"{config}:/app.conf:ro", f"{registry_host}/{_IMAGE}:v1"),
        *("/usr/sbin/nginx", "-e", "/dev/null", "-c", "/app.conf"),
    )
    await_page(port)
    return _Running(name, port)


@contextlib.asynccontextmanager
async def _led(directory: Path, app_port: int) -> AsyncIterator[int]:
    """The ingress, with the app behind `_HOST`; where it listens."""
    port = free_port()
    ingress = HaproxyIngress(directory, listen=("127.0.0.1", port), base_domain="localhost")
    try:
        await ingress.start()
        await ingress.apply_routes([Route(_HOST, RouteState.OPEN, target(app_port))])
        yield port
    finally:
        await asyncio.to_thread(end_haproxy, directory)


@contextlib.asynccontextmanager
async def _caddy(folder: Path, upstream: int) -> AsyncIterator[int]:
    async with (
        AskServer({_HOST}).running() as ask,
        running_caddy(folder, upstream=upstream, ask=ask.port) as caddy,
    ):
        yield caddy.port


async def _ask(url: str, seconds: int, *, keep: bool) -> Told:
    """All that `_CLIENTS` at once can ask for in so many seconds."""
    words = (
        "ab",
        "-q",
        "-r",
        *(("-k",) if keep else ()),
        "-c",
        str(_CLIENTS),
        "-t",
        str(seconds),
        "-n",
        "10000000",
        url,
    )
    process = await asyncio.create_subprocess_exec(
        *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = (await process.communicate())[0].decode(errors="replace")
    if process.returncode:
        raise BenchError(f"`{' '.join(words)}` failed: {said[-500:]}")
    return read(said)


def read(said: str) -> Told:
    """The report that ab prints at its end."""
    failed = _number(r"^Failed requests:\s+(\d+)", said) + _number(
        r"^Non-2xx responses:\s+(\d+)", said
    )
    return Told(_number(r"^Requests per second:\s+([\d.]+)", said), round(failed))


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _say(what: str, told: Told) -> None:
    wanted = f"(target 0 failed, at {LEAST_A_SECOND} requests/s or more)"
    print(
        f"  {what:<34} {told.a_second:>9.0f} requests/s, {told.failed} failed   {wanted}",
        flush=True,
    )


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"docker {words[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
