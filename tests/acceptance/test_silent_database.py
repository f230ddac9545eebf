"""A PostgreSQL that is silent, as one whose machine or network is gone: nobody waits for it
without end.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.postgres import Postgres
from tests.support.server import Server, running_server
from tests.support.silent_relay import SilentRelay, silent_relay

PATIENCE_S = 5.0
"""What senders of webhooks have, and what people are asked for."""
STOPPED_S = 10.0
"""What Docker gives a container before it is killed."""


@pytest.fixture
def relay(postgres: Postgres) -> Iterator[SilentRelay]:
    with silent_relay(postgres.port) as running:
        yield running


@pytest.fixture
def server(
    tmp_path: Path, engine_url: str, postgres: Postgres, relay: SilentRelay
) -> Iterator[Server]:
    url = urlsplit(postgres.new_database())
    behind_relay = url._replace(
        netloc=url.netloc.replace(str(postgres.port), str(relay.port))
    ).geturl()
    with running_server(tmp_path, engine_url, TAGBOAT_DATABASE_URL=behind_relay) as running:
        yield running
        relay.speak()


def refused_in_time(server: Server, *call: Any) -> bool:  # noqa: ANN401 - any body
    """Whether the call, or one of two more, took less: the machine may be busy elsewhere."""
    for _ in range(3):
        began = time.monotonic()
        assert server.call(*call)[0] == 503, call
        if time.monotonic() - began < PATIENCE_S:
            return True
    return False


def threads(server: Server) -> int:
    assert server.process is not None
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def test_calls_are_answered_in_time_and_all_is_well_once_it_speaks_again(
    server: Server, relay: SilentRelay
) -> None:
    hook, push = server.webhook_path(), {"image": "git.example.com/acme/app:v1"}
    relay.fall_silent()
    calls = [
        ("GET", "/api/health", None),
        ("POST", hook, push),
        ("GET", "/api/projects", None),
        ("POST", hook, push),
    ]
    for call in calls:
        assert refused_in_time(server, *call), call
    relay.speak()
    server.until(lambda: server.call("GET", "/api/health")[0] == 200, "the database to be back")
    assert (
        server.call("POST", "/api/projects", {"name": "app", "image": "git.example.com/acme/app"})[
            0
        ]
        == 201
    )


def test_health_leaves_no_thread_behind_for_each_call(server: Server, relay: SilentRelay) -> None:
    server.call("GET", "/api/health")
    before = threads(server)
    relay.fall_silent()
    for _ in range(4):
        assert server.call("GET", "/api/health")[0] == 503
    assert threads(server) <= before + 2  # one that asks, and one that the worker looks with


def test_it_stops_in_time(server: Server, relay: SilentRelay) -> None:
    for attempt in range(3):  # the machine may be busy elsewhere
        if attempt:
            server.start()
        relay.fall_silent()
        assert server.call("GET", "/api/projects")[0] == 503
        began = time.monotonic()
        assert server.terminate() == 0
        took_s = time.monotonic() - began
        relay.speak()
        if took_s < STOPPED_S:
            return
    pytest.fail(f"it stopped after {took_s:.1f} s")
