"""Durable webhook calls a second, on SQLite next to Debian's `webhook`, which stores nothing.

On PostgreSQL, next to a program that only commits as many rows at once.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.rest import cpu_s
from bench.rig import BenchError, Server, await_value, end, free_port, remove_images, show, tagboat
from tests.support.docker_registry import docker_registry
from tests.support.images import push_image
from tests.support.postgres import running_postgres

LOAD_S = 3
ROUNDS = 3
CONCURRENCY = 32
_BODY_BYTES = 500
_AIM = 2_000
SCRIPT = """
local threads = 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
function init(args) image, prefix, distinct, sent = args[1], args[2], args[3] == "distinct", 0 end
function request()
  sent = sent + 1
  local tag = distinct and (prefix .. "-" .. number .. "-" .. sent) or "v1"
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"},
    '{"image": "' .. image .. ":" .. tag .. '"}')
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nRESULT %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load: calls a second, and the 99th percentile of latency in ms."""

    rate: float
    p99_ms: float


def measure(folder: Path, data_dir: Path) -> None:
    """Print calls a second and p99 of each kind of call and of the peer, by turns."""
    script = folder / "load.lua"
    script.write_text(SCRIPT)
    with docker_registry() as registry, tagboat(data_dir) as server:
        image = f"{registry.host}/bench/hooked"
        push_image(registry.host, "bench/hooked", "v1")
        stage = server.push(f"{image}:v1")["stage"]["id"]
        server.await_rest()
        try:
            _by_turns(server, stage, script, image)
        finally:
            server.remove_projects()
            remove_images(f"{registry.host}/")


def measure_on_postgres(folder: Path) -> None:
    """Print the same on PostgreSQL; its peer commits the rows of as many calls at once."""
    script = folder / "load-postgres.lua"
    script.write_text(SCRIPT)
    with docker_registry() as registry, running_postgres(durable=True) as postgres:
        url = postgres.new_database()
        with tagboat(folder / "hooked-postgres", TAGBOAT_DATABASE_URL=url) as server:
            image = f"{registry.host}/bench/hooked"
            push_image(registry.host, "bench/hooked", "v1")
            stage = server.push(f"{image}:v1")["stage"]["id"]
            server.await_rest()
            server.call("PATCH", f"/api/stages/{stage}", {"auto_deploy": False})
            hook = f"http://127.0.0.1:{server.port}{server.webhook_path()}"
            try:
                for tags in ("same", "distinct"):
                    own, floor, cpu = list[Load](), list[float](), list[float]()
                    for turn in range(ROUNDS):
                        before = cpu_s(server.pid)
                        own.append(load(script, hook, (image, f"p{turn}", tags)))
                        calls = own[-1].rate * LOAD_S
                        cpu.append((cpu_s(server.pid) - before) / calls * 1e6)
                        floor.append(_committed(postgres.new_database()))
                    rates = [one.rate for one in own]
                    name = f"PostgreSQL, {tags} tag{'s' if tags == 'distinct' else ''}"
                    show(name, rates, f"{CONCURRENCY} rows a commit", floor, "calls/s", "> 2000")
                    # What a busy machine does not change.
                    aim = [1e6 / _AIM]
                    show(f"{name}: server's CPU a call", cpu, f"a core, {_AIM}/s", aim, "us")
                    p99 = [one.p99_ms for one in own]
                    commit = [CONCURRENCY / rate * 1000 for rate in floor]
                    show(f"{name}: p99", p99, "such a commit", commit, "ms")
            finally:
                server.remove_projects()
                remove_images(f"{registry.host}/")


def _committed(url: str) -> float:
    """Return how many rows a second are committed, `CONCURRENCY` at a time."""
    rows = [(f"{number}", "x" * _BODY_BYTES) for number in range(CONCURRENCY)]
    done, began = 0, time.monotonic()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE calls (id text, body text)")
        connection.commit()
        while time.monotonic() - began < LOAD_S:
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO calls VALUES (%s, %s)", rows)
            connection.commit()
            done += CONCURRENCY
    return done / (time.monotonic() - began)


def _by_turns(server: Server, stage: str, script: Path, image: str) -> None:
    own_url = f"http://127.0.0.1:{server.port}{server.webhook_path()}"
    kinds = [(outcome, tags) for outcome in ("offered", "queued") for tags in ("same", "distinct")]
    own: dict[tuple[str, str], list[Load]] = {kind: [] for kind in kinds}
    peer: dict[tuple[str, str], list[Load]] = {kind: [] for kind in kinds}
    for turn in range(ROUNDS):
        for outcome, tags in kinds:
            server.call("PATCH", f"/api/stages/{stage}", {"auto_deploy": outcome == "queued"})
            words = (image, f"{outcome}{turn}", tags)
            own[outcome, tags].append(load(script, own_url, words))
            server.await_rest()
            # A fresh one each time, ended at once: it answers before it has run the command, and
            # what it still had to run
            # would slow down whatever is measured next.
            with _peer(script.parent) as peer_url:
                peer[outcome, tags].append(load(script, peer_url, words))
    for kind in kinds:
        name = f"{kind[0]}, {kind[1]} tag{'s' if kind[1] == 'distinct' else ''}"
        show(
            name,
            [x.rate for x in own[kind]],
            "webhook, /bin/true",
            [x.rate for x in peer[kind]],
            "calls/s",
        )
        show(
            f"{name}: p99",
            [x.p99_ms for x in own[kind]],
            "webhook, /bin/true",
            [x.p99_ms for x in peer[kind]],
            "ms",
        )


def load(script: Path, url: str, words: tuple[str, ...]) -> Load:
    """Load `url` with what `script`, a file of SCRIPT, makes of `words`.

    Raises BenchError where a call fails.
    """
    command = [
        "wrk",
        "-t2",
        f"-c{CONCURRENCY}",
        f"-d{LOAD_S}s",
        "--timeout=10s",
        "-s",
        str(script),
        url,
        "--",
        *words,
    ]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, p99_ms, errors = next(
        line for line in said.splitlines() if line.startswith("RESULT ")
    ).split()[1:]
    if int(errors):
        raise BenchError(f"{errors} of the calls failed under load")
    return Load(float(rate), float(p99_ms))


@contextmanager
def _peer(folder: Path) -> Iterator[str]:
    port = free_port()
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps([{"id": "bench", "execute-command": "/bin/true"}]))
    command = ["webhook", "-hooks", str(hooks), "-ip", "127.0.0.1", "-port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_value(lambda: _listens(port), "the start of webhook")
        yield f"http://127.0.0.1:{port}/hooks/bench"
    finally:
        end(process)


def _listens(port: int) -> bool | None:
    # The kernel's table tells without a connection that the peer would have to serve; 0A is LISTEN.
    tables = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    return (
        True
        if any(f":{port:04X} " in line and " 0A " in line for line in tables.splitlines())
        else None
    )
