"""Two servers on one PostgreSQL: one stands still, is cut off, dies, or has a wrong clock.

Each deploy is carried out by one of them, and what serves is what is on record.
"""

import contextlib
import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from tagboat.store.database import begin_write, open_database
from tests.faults.fault_harness import FaultHarness, StageUnderTest
from tests.faults.two_servers import two_servers
from tests.support.docker_registry import DockerRegistry
from tests.support.dockerd import call
from tests.support.forks import commands
from tests.support.postgres import Postgres, postgres
from tests.support.silent_relay import SilentRelay, silent_relay

__all__ = ["postgres"]

_CLAIM_S = 15
SLOW_PAGE = {"www/cgi-bin/slow": "#!/bin/sh\nsleep 12; echo; echo done\n"}
_TAKEN_OVER_S = 240.0
_STOPPED_S = 10.0
"""What Docker gives a container before it is killed."""


@dataclass(frozen=True)
class Pair:
    """Two servers; the first one reaches the database through `relay`."""

    one: FaultHarness
    two: FaultHarness
    database: str
    relay: SilentRelay

    @contextmanager
    def two_stands_still(self) -> Iterator[None]:
        """Let the first one claim what comes in the block."""
        process = self.two.server.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def begun_by_one(self, lane: StageUnderTest, tag: str, point: str, how: str = "wait_at") -> str:
        """Push a tag; return its deploy once the first server stands at the point with it."""
        self.one.server.order(**{how: point})
        deploy = self.claimed_by_one(lane, tag)
        self.one.server.until(lambda: point in self.one.server.passed(), point)
        return deploy

    def claimed_by_one(self, lane: StageUnderTest, tag: str) -> str:
        """Push a tag; return its deploy once the first server has claimed it."""
        found: list[str] = []

        def accepted() -> bool:
            # The second server may have stopped while it wrote, for which others wait some seconds.
            status, answer = self.one.server.call(
                "POST", self.one.server.webhook_path(), {"image": f"{lane.image}:{tag}"}
            )
            found.extend(str(push["deploy"]) for push in answer.get("pushes", ()))
            return status == 202

        with self.two_stands_still():
            self.one.server.until(accepted, "the push to be accepted")
            self.one.server.until(lambda: self.claim(found[-1]) > 0, "its claim")
        return found[-1]

    def claim(self, deploy: str) -> int:
        """How often the deploy was claimed: by its server too, where the database was slow."""
        return int(self.ask("SELECT claim FROM deploys WHERE id = %s", deploy))

    def ask(self, query: str, *values: object) -> float:
        with psycopg.connect(self.database) as connection:
            row = connection.execute(query.encode(), values).fetchone()
        assert row is not None
        return float(row[0])

    def both_serve(self, lane: StageUnderTest, tag: str) -> None:
        """Wait until both ingresses show the tag; then nothing else may run or be on record."""
        for host in (self.one, self.two):
            host.server.until(lambda host=host: host.page(lane) == (200, f"I am {tag}"), tag)  # type: ignore[misc]
            host.assert_serves(lane, tag)


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory,
    engine_url: str,
    docker_registry: DockerRegistry,
    postgres: Postgres,
) -> Iterator[Pair]:
    database, folder = postgres.new_database(), tmp_path_factory.mktemp("several")
    with silent_relay(postgres.port) as relay, contextlib.ExitStack() as stack:
        stack.callback(relay.speak)
        relayed = database.replace(str(postgres.port), str(relay.port))
        hosts = two_servers(folder, engine_url, docker_registry.host, (relayed, database))
        one, two = stack.enter_context(hosts)
        yield Pair(one, two, database, relay)


@pytest.fixture
def lane(pair: Pair) -> Iterator[StageUnderTest]:
    for host in (pair.one, pair.two):
        host.server.order()
        host.server.start_if_left_dead()
    made = pair.one.lane()
    yield made
    pair.relay.speak()
    for host in (pair.one, pair.two):
        host.server.order()
    pair.two.called("DELETE", f"/api/projects/{made.project_id}")


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("runtime.create#1 before", marks=pytest.mark.quick),
        "runtime.create#1 after",
        "runtime.start#1 before",
        "store.write DeployRecord.put_instance#1 after",
        "store.write DeployRecord.advance to check#1 before",
        "ingress.change_routes#1 before",
        "runtime.stop#1 before",
        "runtime.remove#1 before",
    ],
)
def test_one_that_stood_still_leaves_alone_what_another_took_over(
    pair: Pair, lane: StageUnderTest, point: str
) -> None:
    pair.one.live_from(lane)
    tag = pair.one.publish(lane)
    with pair.two.users(lane) as users:
        deploy = pair.begun_by_one(lane, tag, point)
        claim = pair.claim(deploy)
        ended = pair.two.ended(deploy, _TAKEN_OVER_S)
        pair.two.rest(lane)
        (before,) = pair.two.containers(lane)
        pair.one.server.order()
        pair.one.server.until(pair.one.server.answers, "the first server to go on")
        # The next deploy goes its way on either of them, after all that the first one had begun.
        pair.both_serve(lane, tag)
        assert [one["Id"] for one in pair.two.containers(lane)] == [before["Id"]]
        users.goes_on()
    assert (ended["status"], pair.claim(deploy) > claim) == ("succeeded", True)
    assert users.failures == []


@pytest.mark.parametrize("point", ["runtime.create#1 before", "runtime.stop#1 before"])
def test_one_that_is_cut_off_from_the_database_leaves_alone_what_another_took_over(
    pair: Pair, lane: StageUnderTest, point: str
) -> None:
    pair.one.live_from(lane)
    tag = pair.one.publish(lane)
    deploy = pair.begun_by_one(lane, tag, point, "hold_at")
    claim = pair.claim(deploy)
    pair.relay.fall_silent()
    ended = pair.two.ended(deploy, _TAKEN_OVER_S)
    pair.two.rest(lane)
    (before,) = pair.two.containers(lane)
    pair.one.server.let_go()
    assert pair.one.server.call("GET", "/api/health")[0] == 503
    pair.relay.speak()
    pair.one.server.until(pair.one.server.answers, "the database to be back")
    pair.both_serve(lane, tag)
    assert [one["Id"] for one in pair.two.containers(lane)] == [before["Id"]]
    assert (ended["status"], pair.claim(deploy) > claim) == ("succeeded", True)


def test_one_that_is_cut_off_in_a_deploy_stops_in_time(pair: Pair, lane: StageUnderTest) -> None:
    pair.one.live_from(lane)
    for _ in range(3):  # the machine may be busy elsewhere
        tag = pair.one.publish(lane)
        deploy = pair.begun_by_one(lane, tag, "runtime.start#1 before", "hold_at")
        pair.relay.fall_silent()
        assert pair.one.server.call("GET", "/api/projects")[0] == 503
        began = time.monotonic()
        assert pair.one.server.terminate() == 0
        took_s = time.monotonic() - began
        pair.relay.speak()
        assert pair.two.ended(deploy, _TAKEN_OVER_S)["status"] == "succeeded"
        pair.one.server.order()
        pair.one.server.start()
        if took_s < _STOPPED_S:
            pair.both_serve(lane, tag)
            return
    pytest.fail(f"it stopped after {took_s:.1f} s")


def test_one_that_dies_is_followed_by_the_other(pair: Pair, lane: StageUnderTest) -> None:
    pair.one.live_from(lane)
    tag = pair.one.publish(lane)
    with pair.two.users(lane) as users:
        point = "runtime.start#1 after"
        pair.one.server.order(die_at=[point])
        deploy = pair.claimed_by_one(lane, tag)
        assert pair.one.server.await_death(60)
        ended = pair.two.ended(deploy, _TAKEN_OVER_S)
        pair.two.rest(lane)
        users.goes_on()
    assert (ended["status"], pair.claim(deploy) > 1) == ("succeeded", True)
    assert users.failures == []
    pair.one.server.start_if_left_dead()
    pair.both_serve(lane, tag)


@pytest.mark.parametrize("ahead_s", [60, -60])
def test_a_wrong_clock_takes_nothing_and_delays_nothing(
    pair: Pair, lane: StageUnderTest, ahead_s: int
) -> None:
    tag = pair.one.publish(lane)
    pair.one.server.order(ahead_s=ahead_s, hold_at="runtime.start#1 before")
    deploy = pair.claimed_by_one(lane, tag)
    pair.one.server.held_at("runtime.start#1 before")
    claim = pair.claim(deploy)
    left_s = pair.ask(
        "SELECT claimed_until / 1e6 - extract(epoch FROM clock_timestamp())"
        " FROM deploys WHERE id = %s",
        deploy,
    )
    assert left_s <= _CLAIM_S
    # Another deploy shows that the second server, whose clock is right, has looked by then.
    other = pair.two.lane()
    pair.two.live_from(other)
    assert pair.claim(deploy) == claim
    pair.one.server.let_go()
    assert pair.one.ended(deploy)["status"] == "succeeded"
    assert pair.claim(deploy) == claim
    pair.two.called("DELETE", f"/api/projects/{other.project_id}")


def test_one_of_them_brings_back_what_has_ended_and_its_port_is_on_record(
    pair: Pair, lane: StageUnderTest
) -> None:
    tag = pair.one.live_from(lane)
    for _ in range(4):
        live = pair.one.live(lane)
        (container,) = pair.one.containers(lane)
        call(pair.one.engine_url, "POST", f"/containers/{container['Id']}/kill")
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", urlsplit(live["url"]).port or 0))
                taken.listen()
            pair.one.server.until(
                lambda live=live: pair.one.live(lane)["url"] != live["url"],  # type: ignore[misc]
                "it to be reached elsewhere",
                _TAKEN_OVER_S,
            )
        pair.both_serve(lane, tag)


@pytest.mark.quick
def test_a_writer_that_falls_silent_holds_the_others_up_for_seconds_and_health_says_so(
    pair: Pair,
) -> None:
    engine = open_database(pair.database, Path("unused"))
    connection = engine.connect()
    # As a server does whose machine loses its power while it writes.
    connection.begin()
    begin_write(connection)
    status, health = pair.two.server.call("GET", "/api/health/ready")
    assert (status, health["checks"]["database"]) != (200, "ok")
    pair.two.server.until(pair.two.server.answers, "writes to go on", 60)
    with pytest.raises(DBAPIError, match="idle-in-transaction"):
        connection.exec_driver_sql("SELECT 1")
    connection.invalidate()
    engine.dispose()


@pytest.mark.quick
def test_a_server_that_starts_waits_for_a_writer_that_has_fallen_silent(pair: Pair) -> None:
    assert pair.two.server.terminate() == 0
    engine = open_database(pair.database, Path("unused"))
    connection = engine.connect()
    connection.begin()
    begin_write(connection)
    pair.two.server.start()
    connection.invalidate()
    engine.dispose()


def test_a_server_on_another_engine_is_refused_until_it_is_told_that_all_has_moved(
    pair: Pair,
) -> None:
    two = pair.two.server
    assert two.terminate() == 0
    with psycopg.connect(pair.database) as connection:
        row = connection.execute("SELECT value FROM settings WHERE name = 'engine_id'").fetchone()
        assert row is not None
        own = str(json.loads(row[0]))
        connection.execute("UPDATE settings SET value = '\"ab:cd\"' WHERE name = 'engine_id'")
    refused = commands().run(("tagboat", "serve"), two.variables(), two.directory)
    assert (refused.returncode, "belongs to another engine (id ab:cd)" in refused.stderr) == (
        1,
        True,
    )
    assert f"TAGBOAT_ENGINE_ID={own}" in refused.stderr
    told = two.environ
    two.environ = {**told, "TAGBOAT_ENGINE_ID": own}
    two.start()
    assert two.terminate() == 0
    two.environ = told
    two.start()


@pytest.mark.quick
def test_a_request_at_another_ingress_is_waited_for(pair: Pair, lane: StageUnderTest) -> None:
    pair.one.called("PATCH", f"/api/stages/{lane.stage_id}", {"drain_timeout_s": 120})
    pair.one.live_from(lane, programs=SLOW_PAGE)
    tag = pair.one.publish(lane)
    slow = http.client.HTTPConnection("127.0.0.1", pair.two.server.ingress_port, timeout=120)
    pair.two.server.until(lambda: pair.two.page(lane)[0] == 200, "the second ingress to follow")
    slow.request("GET", "/cgi-bin/slow", headers={"Host": lane.host})
    deploy = pair.claimed_by_one(lane, tag)
    ended = pair.one.ended(deploy)
    answer = slow.getresponse()
    assert (answer.status, answer.read().decode().strip()) == (200, "done")
    slow.close()
    assert ended["status"] == "succeeded"
    pair.both_serve(lane, tag)


def test_one_that_restarts_during_a_deploy_follows_before_the_old_one_goes(
    pair: Pair, lane: StageUnderTest
) -> None:
    pair.one.live_from(lane)
    tag = pair.one.publish(lane)
    with pair.two.users(lane) as users:
        # Its ingress goes on without it, and routes to the old instance.
        assert pair.two.server.terminate() == 0
        deploy = pair.one.push(lane, tag)
        pair.one.server.until(
            lambda: pair.one.page(lane) == (200, f"I am {tag}"), "the first one to switch"
        )
        pair.two.server.start()
        ended = pair.one.ended(deploy)
        pair.one.rest(lane)
        users.goes_on()
    assert ended["status"] == "succeeded"
    assert users.failures == []
    pair.both_serve(lane, tag)


def test_one_that_stays_away_is_waited_for_a_minute_and_the_deploy_says_so(
    pair: Pair, lane: StageUnderTest
) -> None:
    pair.one.live_from(lane)
    assert pair.two.server.terminate() == 0
    tag = pair.one.publish(lane)
    ended = pair.one.ended(pair.one.push(lane, tag), _TAKEN_OVER_S)
    drain = next(step for step in ended["steps"] if step["name"] == "drain")
    assert "was not waited for: it was last seen" in drain["detail"], ended
    # It follows as soon as it is back.
    pair.two.server.start()
    pair.both_serve(lane, tag)
