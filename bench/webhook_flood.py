"""How long right webhook calls take while others flood the webhook, beside what they take at rest.

The same floods befall a bare uvicorn too, which answers at once and does nothing: what they cost
there is the price of two cores that server, callers and flood share.
"""

import json
import math
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import dawdlers, paced
from bench.rig import BenchError, Server, end, free_port, show, start_until, tagboat

ROUNDS = 2
WRONG_CALLS = 10_000
_WRONG_CONNECTIONS = 8
_SPAN_S = 2.0
_LIMIT_S = 30
REST, DAWDLERS, WRONG, BOTH = "at rest", "500 dawdlers", "10,000 wrong secrets", "both"
_IMAGE = "127.0.0.1:1/bench/flooded"
SCRIPT = """
local body = '{"image": "127.0.0.1:1/bench/flooded:v1"}'
function init(args) calls, answered, missing, refused = tonumber(args[1]), 0, 0, 0
  math.randomseed(os.time()) end
function request()
  local secret = string.format(
    "%08x-0000-4000-8000-%012x", math.random(0, 2^31 - 1), math.random(0, 2^31 - 1))
  return wrk.format("POST", "/api/webhook/" .. secret,
    {["Content-Type"] = "application/json"}, body)
end
function response(status)
  answered = answered + 1
  if status == 404 then missing = missing + 1 elseif status == 429 then refused = refused + 1 end
  if answered == calls then
    io.write(string.format("%d %d\\n", missing, refused))
    io.flush()
    wrk.thread:stop()
  end
end
"""
# What uvicorn costs by itself: as Tagboat runs it, but nothing is read, compared, counted, logged
# or stored.
_BARE = """
import sys, uvicorn
right = sys.argv[2]
class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print("ready", flush=True)
async def app(scope, receive, send):
    status = 202 if scope["path"] == right else 404
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
config = uvicorn.Config(app, port=int(sys.argv[1]), loop="uvloop", http="httptools",
                        ws="none", lifespan="off",
    log_config=None, access_log=False, server_header=False, proxy_headers=False)
Server(config).run()
"""


@dataclass(frozen=True, slots=True)
class Span:
    """A phase, from `began` to `ended` in seconds of the steady clock."""

    phase: str
    began: float
    ended: float


@dataclass(slots=True)
class Seen:
    """The callers' results: seconds of right calls by phase, and statuses of all calls.

    Status 0: no answer to a right call, and none of those expected to a wrong one.
    """

    took_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    right: Counter[int] = field(default_factory=Counter)
    wrong: Counter[int] = field(default_factory=Counter)

    def add(self, calls: Sequence[paced.Call], spans: Sequence[Span]) -> None:
        """Put each of the right calls to the phase in which it was due."""
        for due, took_s, status in calls:
            self.right[status] += 1
            for span in spans:
                if span.began <= due < span.ended:
                    self.took_s[span.phase].append(took_s)

    def ms(self, phase: str, share: float) -> float:
        """Return the milliseconds within which this share of a phase's right calls was answered."""
        took_s = sorted(self.took_s[phase])
        return took_s[math.ceil(len(took_s) * share) - 1] * 1000


def measure(folder: Path) -> None:
    """Print the times of right calls in each phase and at rest, and all statuses."""
    script = folder / "flood.lua"
    script.write_text(SCRIPT)
    own, bare = Seen(), Seen()
    with tagboat(folder / "flooded") as server, _bare() as (bare_port, bare_path):
        add_stage(server)
        own_path = server.webhook_path()
        for _ in range(ROUNDS):
            _round(script, server.port, own_path, own)
            _round(script, bare_port, bare_path, bare)
    for phase in (DAWDLERS, WRONG, BOTH):
        for name, seen, share in (
            (f"p99, {phase}", own, 0.99),
            ("  of a bare uvicorn", bare, 0.99),
            ("  median", own, 0.5),
        ):
            show(name, [seen.ms(phase, share)], REST, [seen.ms(REST, share)], "ms")
    for what, statuses in (("right", own.right), ("wrong", own.wrong)):
        each = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        print(f"  {statuses.total()} calls with {what} secrets were answered {each}", flush=True)


def add_stage(server: Server) -> None:
    """One that is offered what the right calls name, and deploys nothing."""
    project = server.call("POST", "/api/projects", {"name": "flooded", "image": _IMAGE})["id"]
    server.call(
        "POST",
        f"/api/projects/{project}/stages",
        {"name": "live", "tag_pattern": "*", "auto_deploy": False},
    )


def _round(script: Path, port: int, path: str, seen: Seen) -> None:
    """Each phase once, with right calls all along."""
    with right_calls(script.parent, port, path, seen) as spans:
        spans += [look_on(REST), flood(WRONG, script, port, seen)]
        with _dawdlers(port):
            spans += [look_on(DAWDLERS), flood(BOTH, script, port, seen)]


@contextmanager
def right_calls(folder: Path, port: int, path: str, seen: Seen) -> Iterator[list[Span]]:
    """Send right calls at a steady rate until the block ends; sort them into `seen` by spans."""
    request = folder / "request"
    request.write_bytes(_request(path))
    process, _ = start_until((sys.executable, paced.__file__, str(port), str(request)), "ready")
    spans: list[Span] = []
    try:
        yield spans
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=_LIMIT_S)
    if process.returncode:
        raise BenchError("the right calls broke down; their error is above")
    seen.add(json.loads(said), spans)


def _request(path: str) -> bytes:
    body = json.dumps({"image": f"{_IMAGE}:v1"}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def look_on(phase: str) -> Span:
    """A span of the right calls alone."""
    began = time.monotonic()
    time.sleep(_SPAN_S)
    return Span(phase, began, time.monotonic())


def flood(phase: str, script: Path, port: int, seen: Seen) -> Span:
    """A span with `WRONG_CALLS` of wrong secrets, made by `script`, a file of SCRIPT."""
    url, limit = f"http://127.0.0.1:{port}", f"-d{_LIMIT_S}s"
    command = [
        "wrk",
        "-t1",
        f"-c{_WRONG_CONNECTIONS}",
        limit,
        "-s",
        str(script),
        url,
        "--",
        str(WRONG_CALLS),
    ]
    began = time.monotonic()
    process, _ = start_until(command, "Running ")
    try:
        counts = next((line.split() for line in process.stdout or () if line[0].isdigit()), None)
    finally:
        ended = time.monotonic()
        end(process)  # it would wait out its time
    if counts is None:
        raise BenchError(
            f"{WRONG_CALLS} calls with wrong secrets were not all answered within {_LIMIT_S} s"
        )
    missing, refused = map(int, counts)
    seen.wrong += Counter({404: missing, 429: refused, 0: WRONG_CALLS - missing - refused})
    return Span(phase, began, ended)


@contextmanager
def _dawdlers(port: int) -> Iterator[None]:
    path = f"/api/webhook/{uuid.uuid4()}"
    process, _ = start_until((sys.executable, dawdlers.__file__, str(port), path), "ready")
    try:
        yield
    finally:
        end(process)


@contextmanager
def _bare() -> Iterator[tuple[int, str]]:
    port, path = free_port(), f"/api/webhook/{uuid.uuid4()}"
    process, _ = start_until((sys.executable, "-c", _BARE, str(port), path), "ready")
    try:
        yield port, path
    finally:
        end(process)
