"""Times of webhook calls while hostile registries are polled, compared with times at rest.

`python -m bench.hostile_registry` runs those registries: it prints `ready` and their addresses,
and serves until SIGTERM.
"""

import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import paced
from bench.rig import BenchError, Server, end, show, start_until, tagboat
from tests.support.hostile_registries import MIB, hostile, huge, junk

SPAN_S = 4.0
REST, POLLED = "at rest", "8 MB pages, and 1 MB of junk each"
_IMAGE = "127.0.0.1:1/bench/right"
_LIMIT_S = 30


def measure(folder: Path) -> None:
    """Print the median of the right calls while both kinds are polled, beside that at rest."""
    with _registries() as hosts, tagboat(folder / "harmed") as server:
        projects = [
            _project(server, f"harm{number}", f"{host}/bench/app")
            for number, host in enumerate(hosts)
        ]
        stage = _project(server, "right", _IMAGE)
        server.call(
            "POST",
            f"/api/projects/{stage}/stages",
            {"name": "live", "tag_pattern": "*", "auto_deploy": False},
        )
        request = folder / "right"
        request.write_bytes(_request(server.webhook_path()))
        process, _ = start_until(
            (sys.executable, paced.__file__, str(server.port), str(request)), "ready"
        )
        try:
            began = time.monotonic()
            time.sleep(SPAN_S)
            polls_from = time.monotonic()
            polls = _poll(server, projects)
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=_LIMIT_S)
    calls: list[paced.Call] = json.loads(said)
    if any(status != 202 for _, _, status in calls):  # noqa: PLR2004 - accepted
        raise BenchError("not all right calls were accepted while hostile registries were polled")
    rest = [took * 1000 for due, took, _ in calls if began <= due < polls_from]
    polled = [took * 1000 for due, took, _ in calls if due >= polls_from]
    show(
        f"median, {polls} polls of {POLLED}",
        polled,
        REST,
        rest,
        "ms",
        f"below {statistics.median(rest) + 50:.0f} ms",
    )


def _project(server: Server, name: str, image: str) -> str:
    return str(server.call("POST", "/api/projects", {"name": name, "image": image})["id"])


def _poll(server: Server, projects: list[str]) -> int:
    """Poll each again and again; how often that was."""
    until, polls = time.monotonic() + SPAN_S, 0
    while time.monotonic() < until:
        for project in projects:
            if not server.call("POST", f"/api/projects/{project}/poll")["error"]:
                raise BenchError("a hostile registry was taken for a good one")
            polls += 1
    return polls


def _request(path: str) -> bytes:
    body = json.dumps({"image": f"{_IMAGE}:v1"}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def _registries() -> Iterator[list[str]]:
    found_here = {"PYTHONPATH": str(Path(__file__).parents[1])}
    process, _ = start_until(
        (sys.executable, "-m", "bench.hostile_registry"), "ready", dict(os.environ) | found_here
    )
    try:
        yield (process.stdout.readline() if process.stdout else "").split()
    finally:
        end(process)


async def _serve() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with hostile(huge(8 * MIB)) as first, hostile(junk(MIB - 100)) as second:
        print("ready", flush=True)
        print(first.host, second.host, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
