"""The cost of hostile callers for others: large calls, nonsense, and wrong secrets."""

import http.client
import json
import subprocess
import time
from pathlib import Path

from bench.rig import BenchError, Server, show, tagboat
from bench.webhook_flood import (
    REST,
    SCRIPT,
    WRONG,
    Seen,
    Span,
    add_stage,
    flood,
    look_on,
    right_calls,
)
from tests.support.postgres import running_postgres

PROJECTS = 1_000
"""There already."""
CALLS = 5
CALLERS = 32
NONSENSE_BYTES = 65_000
NONSENSE_S = 60
ROUNDS = 2
_HOST = "127.0.0.1:1"
_BESIDE = "beside a megabyte of events"
_NONSENSE = """
local body = string.rep("x", %d)
function request() return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, body) end
"""


def measure(folder: Path) -> None:
    """Print what each of them costs."""
    _megabytes(folder)
    _nonsense(folder)
    _wrong_secrets(folder)


def _megabytes(folder: Path) -> None:
    """Send calls of 1 MiB with thousands of unknown images to a server with many projects."""
    seen, took_s = Seen(), []
    with tagboat(folder / "megabytes", in_memory=True) as server:
        add_stage(server)
        for number in range(PROJECTS):
            server.call(
                "POST",
                "/api/projects",
                {"name": f"there{number}", "image": f"{_HOST}/there/app{number}"},
            )
        server.call("PATCH", "/api/settings", {"max_projects": 2 * PROJECTS})
        path = server.webhook_path()
        with right_calls(folder, server.port, path, seen) as spans:
            spans.append(look_on(REST))
            for number in range(CALLS):
                body = _a_megabyte(number)
                began = time.monotonic()
                _send(server, path, body)
                took_s.append(time.monotonic() - began)
                spans.append(Span(_BESIDE, began, time.monotonic()))
    show("the slowest call of 1 MiB", [max(took_s)], "the fastest", [min(took_s)], "s", "< 2 s")
    show(
        "right calls beside it: p99",
        [seen.ms(_BESIDE, 0.99)],
        REST,
        [seen.ms(REST, 0.99)],
        "ms",
        "< 200 ms",
    )


def _a_megabyte(number: int) -> bytes:
    each = 130
    events = [
        {
            "action": "push",
            "target": {
                "repository": f"x{number}-{place}/app",
                "tag": "v1",
                "mediaType": "application/json",
            },
            "request": {"host": _HOST},
        }
        for place in range((1 << 20) // each)
    ]
    body = json.dumps({"events": events}, separators=(",", ":")).encode()
    while len(body) > 1 << 20:
        events = events[: len(events) * 9 // 10]
        body = json.dumps({"events": events}, separators=(",", ":")).encode()
    return body


def _send(server: Server, path: str, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        said = response.read()
    finally:
        connection.close()
    if response.status != http.client.ACCEPTED:
        raise BenchError(
            f"a call of {len(body)} bytes was answered {response.status}: {said[:300]!r}"
        )


def _nonsense(folder: Path) -> None:
    script, data_dir = folder / "nonsense.lua", folder / "nonsense"
    script.write_text(_NONSENSE % NONSENSE_BYTES)
    with tagboat(data_dir, in_memory=True) as server:
        url = f"http://127.0.0.1:{server.port}{server.webhook_path()}"
        before = _size_mb(data_dir)
        command = ["wrk", "-t1", f"-c{CALLERS}", f"-d{NONSENSE_S}s", "-s", str(script), url]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        grown = _size_mb(data_dir) - before
    calls = next(int(line.split()[0]) for line in said.splitlines() if "requests in" in line)
    print(
        f"  {CALLERS} callers with {NONSENSE_BYTES // 1000} kB of nonsense for {NONSENSE_S} s: "
        f"{calls} calls, and the database"
        f" grew by {grown:.1f} MB   (target < 50 MB)",
        flush=True,
    )


def _size_mb(data_dir: Path) -> float:
    return sum(path.stat().st_size for path in data_dir.glob("tagboat.db*")) / 1e6


def _wrong_secrets(folder: Path) -> None:
    """Measure what a flood of wrong secrets costs right calls with a shared database."""
    script = folder / "wrong.lua"
    script.write_text(SCRIPT)
    shared, own = Seen(), Seen()
    with (
        running_postgres() as postgres,
        tagboat(
            folder / "shared", in_memory=True, TAGBOAT_DATABASE_URL=postgres.new_database()
        ) as on_postgres,
        tagboat(folder / "own", in_memory=True) as on_sqlite,
    ):
        for server in (on_postgres, on_sqlite):
            add_stage(server)
        for _ in range(ROUNDS):
            for server, seen in ((on_postgres, shared), (on_sqlite, own)):
                with right_calls(folder, server.port, server.webhook_path(), seen) as spans:
                    # A server that was at rest answers its first calls late.
                    look_on(REST)
                    spans += [look_on(REST), flood(WRONG, script, server.port, seen)]
    for what, share in (("median", 0.5), ("p99", 0.99)):
        added = [seen.ms(WRONG, share) - seen.ms(REST, share) for seen in (shared, own)]
        print(
            f"  {WRONG} add to a right call's {what}: {added[0]:.1f} ms on PostgreSQL, "
            f"{added[1]:.1f} ms on SQLite"
            "   (target: no more)",
            flush=True,
        )
