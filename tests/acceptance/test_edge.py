"""An edge in front of the same apps as a server: deploys wait for it, and it goes on without them.

Its connection to PostgreSQL goes through a relay that can fall silent.
"""

import http.client
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tagboat.core.values import replace
from tagboat.ingress.process import running_master, send_signal
from tests.acceptance.test_push_to_running import publish
from tests.acceptance.test_switching import Lane, new_lane, step
from tests.support.docker_registry import DockerRegistry
from tests.support.edge_run import EdgeRun, running_edge
from tests.support.held import held_back, let_go
from tests.support.images import DEFAULT_CMD
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.server import Server, running_server
from tests.support.silent_relay import SilentRelay, silent_relay

WAITS_FOR_A_SIGN = {
    "www/cgi-bin/slow": "#!/bin/sh\nuntil [ -e /sign ]; do sleep 0.1; done; echo; echo done\n",
    "www/cgi-bin/go": "#!/bin/sh\n: > /sign; echo; echo gone\n",
}
SILENT_S = 4.0
STOPPED_S = 10.0
"""What Docker gives a container before it is killed."""


@dataclass(frozen=True)
class Site:
    """A server and an edge. The edge reaches the database through `relay`."""

    server: Server
    port: int
    edge: EdgeRun
    relay: SilentRelay
    database: str

    def last_seen_s(self) -> float:
        """The seconds since the edge's last report."""
        name = (self.edge.directory / "data" / "replica").read_text().strip()
        query = (
            b"SELECT extract(epoch FROM clock_timestamp()) - seen_at / 1e6 FROM edges WHERE id = %s"
        )
        with psycopg.connect(self.database) as connection:
            row = connection.execute(query, [name]).fetchone()
        assert row is not None
        return float(row[0])


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, postgres: Postgres
) -> Iterator[Site]:
    database, port, folder = postgres.new_database(), free_port(), tmp_path_factory.mktemp("edge")
    environ = {
        "TAGBOAT_DATABASE_URL": database,
        "TAGBOAT_INGRESS": "haproxy",
        "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{port}",
    }
    with (
        silent_relay(postgres.port) as relay,
        running_server(tmp_path_factory.mktemp("tagboat"), engine_url, **environ) as server,
        running_edge(folder, database.replace(str(postgres.port), str(relay.port))) as edge,
    ):
        yield Site(server, port, edge, relay, database)
        relay.speak()


@pytest.fixture(scope="module")
def lane(site: Site, docker_registry: DockerRegistry, engine_url: str) -> Lane:
    """A stage whose secret the edge cannot read. One for all tests: deploys take their time."""
    lane = new_lane(site.server, site.port, docker_registry.host, engine_url)
    lane.change(secrets={"TOKEN": "s3cret"}, drain_timeout_s=300, watch_s=0)
    lane.bring("v1", programs=WAITS_FOR_A_SIGN)
    return lane


@pytest.fixture
def at_edge(site: Site, lane: Lane) -> Iterator[Lane]:
    """The same stage behind the edge, which shows what is live as soon as a deploy has ended."""
    there = replace(lane, port=site.edge.port)
    assert there.ask() == (200, live(lane))
    yield there
    site.relay.speak()
    if site.edge.process is None or site.edge.process.poll() is not None:
        site.edge.start()


def live(lane: Lane) -> str:
    (tag,) = lane.live()
    return tag


def state_of(lane: Lane, deploy: str) -> dict[str, Any]:
    return dict(lane.server.call("GET", f"/api/deploys/{deploy}")[1])


def answer_of(lane: Lane) -> tuple[int, str]:
    try:
        return lane.ask()
    except (OSError, http.client.HTTPException):
        return 0, ""


def test_a_switch_waits_for_an_edge_that_does_not_follow(
    site: Site, lane: Lane, at_edge: Lane
) -> None:
    assert not (site.edge.directory / "data" / "encryption.key").exists()
    before = live(lane)
    waits = held_back(DEFAULT_CMD)
    publish(lane.image, "v2", body="v2", programs=WAITS_FOR_A_SIGN, cmd=waits)
    deploy = lane.deploy("v2")["id"]
    site.server.until(lambda: step(state_of(lane, deploy), "check")["status"] == "running", "it")
    # Not before: a server forgets an edge that it has not seen for a minute.
    site.relay.fall_silent()
    let_go(site.server, deploy)
    site.server.until(lambda: lane.ask() == (200, "v2"), "the server's own ingress to switch")
    # Long enough for a deploy that waits for nobody.
    site.server.until(lambda: site.last_seen_s() > SILENT_S, "the edge to be silent for a while")
    # Its HAProxy goes on, and the old instance with it.
    assert at_edge.ask() == (200, before)
    assert state_of(lane, deploy)["status"] == "running"
    site.relay.speak()
    ended = lane.server.ended(deploy)
    assert (ended["status"], at_edge.ask()) == ("succeeded", (200, "v2"))
    assert "was not waited for" not in step(ended, "drain")["detail"]


def test_a_request_in_flight_at_the_edge_holds_the_drain(lane: Lane, at_edge: Lane) -> None:
    old = next(
        one
        for one in lane.server.items(f"/api/instances?stage={lane.stage}")
        if one["state"] == "live"
    )
    answers: list[tuple[int, str]] = []
    slow = threading.Thread(target=lambda: answers.append(at_edge.ask(path="/cgi-bin/slow")))
    slow.start()
    publish(lane.image, "v3", body="v3")
    deploy = lane.deploy("v3")["id"]

    counted = f"1 request on {old['tag']}"
    lane.server.until(
        lambda: step(state_of(lane, deploy), "drain")["detail"] == counted, "the drain to see it"
    )
    assert at_edge.ask() == (200, "v3")
    assert not answers
    with urllib.request.urlopen(f"{old['url']}/cgi-bin/go", timeout=60) as answer:
        assert answer.status == 200
    slow.join(120)
    assert answers == [(200, "done")]
    ended = lane.server.ended(deploy)
    assert "no request was in flight any more" in step(ended, "drain")["detail"]


def test_it_serves_without_server_and_database_and_comes_back_right(
    site: Site, lane: Lane, at_edge: Lane
) -> None:
    before_it, haproxy = (200, live(lane)), running_master(site.edge.ingress)
    assert haproxy is not None
    site.edge.kill()
    lane.change(domains=["edge.example.com"])
    site.relay.fall_silent()
    assert site.server.terminate() == 0
    assert at_edge.ask() == before_it
    # Started again without a database, it finds HAProxy, and starts another one where that dies.
    before = len(site.edge.log())
    site.edge.launch()
    site.edge.until_said("waiting for the database", before=before)
    assert (running_master(site.edge.ingress), at_edge.ask()) == (haproxy, before_it)
    send_signal(haproxy, signal.SIGKILL, site.edge.ingress)
    site.server.until(
        lambda: running_master(site.edge.ingress) not in {None, haproxy}, "another HAProxy"
    )
    site.server.until(lambda: answer_of(at_edge) == before_it, "its last routes")
    site.relay.speak()
    site.edge.until_said("ready on", "out")
    assert at_edge.ask("edge.example.com") == before_it
    site.server.start()
    lane.bring("v4")
    assert at_edge.ask() == (200, "v4")


def test_a_terminal_that_is_closed_stops_it_in_order(site: Site, at_edge: Lane) -> None:
    assert at_edge.ask()[0] == 200
    before, process = len(site.edge.log()), site.edge.process
    assert process is not None
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        process.send_signal(number)
    assert process.wait(60) == 0
    assert "stopped" in site.edge.log()[before:]


@pytest.mark.slow
def test_it_stops_in_time_while_the_database_is_silent(site: Site, at_edge: Lane) -> None:
    for attempt in range(3):  # the machine may be busy elsewhere
        if attempt:
            site.edge.start()
        before = len(site.edge.log())
        site.relay.fall_silent()
        site.edge.until_said("routing update failed", before=before)
        began = time.monotonic()
        assert site.edge.terminate() == 0
        took_s = time.monotonic() - began
        assert at_edge.ask()[0] == 200
        site.relay.speak()
        if took_s < STOPPED_S:
            return
    pytest.fail(f"it stopped after {took_s:.1f} s")
