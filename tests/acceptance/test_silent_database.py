"""A PostgreSQL that is silent, as one whose machine or network is gone: nobody waits for it
without end.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.postgres import Postgres
from tests.support.server import Server, running_server
from tests.support.silent_relay import SilentRelay, silent_relay

PATIENCE_S = 5.0
"""What senders of webhooks have, and what people are asked for."""


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


def timed(call: Callable[..., tuple[int, object]], *words: object) -> tuple[int, float]:
    began = time.monotonic()
    status, _ = call(*words)
    return status, time.monotonic() - began


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
        status, took_s = timed(server.call, *call)
        assert status == 503, call
        assert took_s < PATIENCE_S, call
    relay.speak()
    server.until(lambda: server.call("GET", "/api/health")[0] == 200, "the database to be back", 10)
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
    relay.fall_silent()
    assert server.call("GET", "/api/projects")[0] == 503
    assert server.terminate() == 0
    relay.speak()
