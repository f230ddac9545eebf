"""Random courses of two servers on one PostgreSQL, with constant requests through both ingresses.

Nothing is lost, doubled or at the wrong port, and no request is cut: an ingress lives on when its
server dies.
"""

import contextlib
import http.client
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.chaos import LANES, Act, Deed, Json, Orders, course, unexplained
from tests.faults.fault_harness import FaultHarness, StageUnderTest
from tests.faults.traffic import Traffic, traffic
from tests.faults.two_servers import two_servers
from tests.support.docker_registry import DockerRegistry
from tests.support.images import EXITS_AT_ONCE
from tests.support.postgres import Postgres, postgres
from tests.support.silent_relay import SilentRelay, silent_relay

__all__ = ["postgres"]

SEEDS = range(1, 21)
_PAUSE_S = 0.1
_LIMIT_S = 240.0


@dataclass(frozen=True)
class Host:
    """One of the two servers, and its way to the database.

    `reachable` is not set while it stands still: whoever calls it then waits.
    """

    harness: FaultHarness
    relay: SilentRelay
    reachable: threading.Event = field(default_factory=threading.Event)

    def disturb(self, act: Act) -> None:
        """Do to it what `act` says, and return once it answers again."""
        server = self.harness.server
        match act.deed:
            case Deed.PAUSE:
                assert server.process is not None
                self.reachable.clear()
                server.process.send_signal(signal.SIGSTOP)
                time.sleep(act.away_s)
                server.process.send_signal(signal.SIGCONT)
                self.reachable.set()
            case Deed.KILL | Deed.TERMINATE:
                if act.deed is Deed.KILL:
                    server.kill()
                else:
                    assert server.terminate() == 0
                time.sleep(act.away_s)
                server.start()
            case Deed.FREEZE | Deed.CUT:
                (self.relay.fall_silent if act.deed is Deed.FREEZE else self.relay.cut)()
                time.sleep(act.away_s)
                self.relay.speak()
        server.until(server.answers, "the server to go on", _LIMIT_S)

    def mend(self) -> None:
        """End what a course that failed may have left."""
        self.relay.speak()
        if self.harness.server.process is not None:
            self.harness.server.process.send_signal(signal.SIGCONT)
        self.reachable.set()
        self.harness.server.start_if_left_dead()


@dataclass
class Course:
    """What happens to the two servers in a run, and what they were told."""

    hosts: tuple[Host, Host]
    webhook: str
    lanes: list[StageUnderTest] = field(default_factory=list)
    orders: list[Orders] = field(default_factory=list)
    away: dict[int, Future[None]] = field(default_factory=dict)

    @property
    def harness(self) -> FaultHarness:
        return self.hosts[0].harness

    def prepare(self) -> None:
        """Have two versions in each stage, so that there is something to go back to."""
        for _ in range(LANES):
            self.lanes.append(self.harness.lane())
            self.orders.append(Orders())
        for _ in range(2):
            begun = [self._push(number, Deed.PUSH, (0, 1)) for number in range(LANES)]
            for deploy in begun:
                assert self.harness.ended(deploy)["status"] == "succeeded"

    def run(self, seed: int) -> None:
        with ThreadPoolExecutor(len(self.hosts)) as threads:
            for act in course(seed):
                self._do(act, threads)
                time.sleep(act.rest_s)
            for disturbance in self.away.values():
                disturbance.result()

    def _do(self, act: Act, threads: ThreadPoolExecutor) -> None:
        if act.deed is Deed.ROLL_BACK:
            self._roll_back(act.lane, act.servers)
        elif act.deed.is_order:
            self._push(act.lane, act.deed, act.servers)
        else:
            for number in act.servers:
                # One is over before the next begins at the same server.
                if number in self.away:
                    self.away[number].result()
                self.away[number] = threads.submit(self.hosts[number].disturb, act)

    def _push(self, number: int, deed: Deed, servers: tuple[int, ...]) -> str:
        """Push a fresh tag until somebody accepts it; return the deploy."""
        lane, orders = self.lanes[number], self.orders[number]
        self.release(number, servers)
        if deed is Deed.PUSH:
            tag = self.harness.publish(lane)
            orders.good.append(tag)
        else:
            tag = self.harness.publish(lane, cmd=EXITS_AT_ONCE)
            orders.broken.append(tag)
        _, answer = self._ask(servers, self.webhook, {"image": f"{lane.image}:{tag}"})
        return str(answer["pushes"][0]["deploy"])

    def _roll_back(self, number: int, servers: tuple[int, ...]) -> None:
        def tried() -> None:
            self.orders[number].rollbacks += 1

        path = f"/api/stages/{self.lanes[number].stage_id}/rollback"
        status, answer = self._ask(servers, path, {}, tried)
        # There may be nothing left to go back to.
        assert status in {202, 409}, answer

    def release(self, number: int, servers: tuple[int, ...] = (0, 1)) -> None:
        """Let a stage take pushes again that was rolled back."""
        if self.orders[number].rollbacks:
            path = f"/api/stages/{self.lanes[number].stage_id}/release"
            status, answer = self._ask(servers, path, {})
            assert status == 200, answer

    def _ask(
        self,
        servers: tuple[int, ...],
        path: str,
        body: Json,
        tried: Callable[[], None] = lambda: None,
    ) -> tuple[int, Any]:
        """Ask one after the other until one of them knows."""
        end = time.monotonic() + _LIMIT_S
        while time.monotonic() < end:
            for host in (self.hosts[number] for number in servers):
                if not host.reachable.is_set():
                    continue
                tried()
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, answer = host.harness.server.call("POST", path, body)
                    if status < 500:
                        return status, answer
            time.sleep(0.1)
        pytest.fail(f"no server answers {path}")

    @contextmanager
    def users(self) -> Iterator[dict[tuple[int, int], Traffic]]:
        """Have requests for each stage at each ingress; by the numbers of both."""
        with contextlib.ExitStack() as stack:
            found: dict[tuple[int, int], Traffic] = {}
            for number, lane in enumerate(self.lanes):
                for which, host in enumerate(self.hosts):
                    server = host.harness.server
                    server.until(
                        lambda host=host, lane=lane: host.harness.page(lane)[0] == 200,  # type: ignore[misc]
                        "the ingress to follow",
                    )
                    asked = traffic(server.ingress_port, lane.host, _PAUSE_S)
                    found[number, which] = stack.enter_context(asked)
            yield found

    def settle(self) -> None:
        """Wait until nothing is to be done any more."""
        for number, lane in enumerate(self.lanes):
            self.release(number)
            self.harness.server.until(
                lambda lane=lane: (  # type: ignore[misc]
                    not {one["status"] for one in self.harness.deploys(lane)}
                    & {"queued", "running"}
                ),
                "each deploy to end",
                _LIMIT_S,
            )
            self.harness.rest(lane)

    def judge(self, number: int, users: dict[tuple[int, int], Traffic]) -> None:
        """Check a stage by its record, by what runs, and by what its users have got."""
        lane, orders = self.lanes[number], self.orders[number]
        deploys = self.harness.deploys(lane)[::-1]
        live = str(self.harness.live(lane)["tag"])
        assert unexplained(orders, deploys, live) == [], deploys
        for host in self.hosts:
            host.harness.server.until(
                lambda host=host: host.harness.page(lane) == (200, f"I am {live}"),  # type: ignore[misc]
                live,
            )
            host.harness.assert_serves(lane, live)
        for which in range(len(self.hosts)):
            asked = users[number, which]
            assert asked.failures == [], (lane, which, deploys)
            assert set(asked.answers) <= {f"I am {tag}" for tag in orders.good}


@pytest.fixture(scope="module")
def hosts(
    tmp_path_factory: pytest.TempPathFactory,
    engine_url: str,
    docker_registry: DockerRegistry,
    postgres: Postgres,
) -> Iterator[tuple[Host, Host]]:
    database, folder = postgres.new_database(), tmp_path_factory.mktemp("chaos")
    with silent_relay(postgres.port) as first, silent_relay(postgres.port) as second:
        urls = [database.replace(str(postgres.port), str(one.port)) for one in (first, second)]
        registry = docker_registry.host
        with two_servers(folder, engine_url, registry, (urls[0], urls[1])) as (one, two):
            made = Host(one, first), Host(two, second)
            yield made
            for host in made:
                host.mend()


@pytest.mark.parametrize("seed", SEEDS, ids=[f"seed{seed:02}" for seed in SEEDS])
def test_whatever_happens_nothing_is_lost_doubled_or_cut(
    hosts: tuple[Host, Host], seed: int
) -> None:
    for host in hosts:
        host.mend()
    said = [len(host.harness.server.log()) for host in hosts]
    run = Course(hosts, hosts[0].harness.server.webhook_path())
    try:
        run.prepare()
        with run.users() as users:
            run.run(seed)
            run.settle()
            for asked in users.values():
                asked.goes_on()
        for number in range(LANES):
            run.judge(number, users)
        for host, length in zip(hosts, said, strict=True):
            assert "a fault inside Tagboat" not in host.harness.server.log()[length:]
    finally:
        for host in hosts:
            host.mend()
        for lane in run.lanes:
            run.harness.server.call("DELETE", f"/api/projects/{lane.project_id}")


def _deploy(
    tag: str, status: str = "succeeded", trigger: str = "webhook", reason: str = ""
) -> Json:
    at = str(next(_times))
    step = {"name": "start", "started_at": at if status != "superseded" else None}
    fields = {"tag": tag, "status": status, "trigger": trigger, "reason": reason, "steps": [step]}
    return {**fields, "created_at": at, "finished_at": at}


_times = itertools.count(100)
_SUPERSEDED = {"status": "superseded", "reason": "v3 was pushed before it began"}


@pytest.mark.quick
@pytest.mark.parametrize(
    ("deploys", "live", "said"),
    [
        ([_deploy("v1"), _deploy("v2", **_SUPERSEDED), _deploy("v3")], "v3", []),
        ([_deploy("v1"), _deploy("v2"), _deploy("v1", trigger="rollback")], "v1", ["lost: v3"]),
        ([_deploy("v1"), _deploy("v2"), _deploy("v3"), _deploy("v3")], "v3", ["doubled: v3"]),
        (
            [_deploy("v1"), _deploy("v2", **_SUPERSEDED), _deploy("v3", "cancelled")],
            "v1",
            ["v3 (webhook) cancelled: "],
        ),
        (
            [_deploy("v1"), _deploy("v2"), _deploy("v3")],
            "v2",
            ["v3 was the last one, v2 is live", "v3 should be live, not v2"],
        ),
    ],
    ids=["good", "lost", "doubled", "unexplained", "wrong version"],
)
def test_the_record_of_a_course_is_judged(deploys: list[Json], live: str, said: list[str]) -> None:
    assert unexplained(Orders(["v1", "v2", "v3"], [], 1), deploys, live) == said
