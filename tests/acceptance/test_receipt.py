"""The receipt of a deploy against the count of the client that sent the requests: the real process,
HAProxy and engine.
"""

import http.client
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from tests.acceptance.test_push_to_running import publish
from tests.acceptance.test_switching import Lane, behind, lane, step
from tests.support.held import held_back, let_go
from tests.support.images import DEFAULT_CMD
from tests.support.server import TOKEN

__all__ = ["behind", "lane"]

PROGRAMS = {
    "www/cgi-bin/fail": "#!/bin/sh\necho 'Status: 500 Out of luck'; echo; echo no\n",
    "www/cgi-bin/slow": "#!/bin/sh\nsleep 20; echo; echo late\n",
    "www/cgi-bin/soon": "#!/bin/sh\nuntil [ -e /soon ]; do sleep 0.1; done; echo; echo soon\n",
}


class Sender:
    """Sends requests to a stage and counts itself what became of them."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.count: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()

    def send(self, *, good: int, bad: int, left: int) -> None:
        for path, number in (("/", good), ("/missing", 2), ("/cgi-bin/fail", bad)):
            for _ in range(number):
                status, _ = self._lane.ask(path=path)
                self.classes[f"{status // 100}xx"] += 1
                self.count["failed_5xx" if status >= 500 else "answered"] += 1
        for _ in range(left):
            self._leave()

    def _leave(self) -> None:
        """Send a request, and leave before its answer."""
        with socket.create_connection(("127.0.0.1", self._lane.port)) as connection:
            begin_slow(self._lane, connection)
        self.count["aborted"] += 1

    def take(self) -> dict[str, int]:
        """What was counted since the last call, as a receipt has it."""
        found, self.count = self.count, Counter()
        return {name: found[name] for name in ("answered", "failed_5xx", "aborted")}


def begin_slow(lane: Lane, connection: socket.socket) -> None:
    """Send a request that takes long; return once the app has it."""

    def known() -> set[str]:
        lines: list[str] = []
        for container in lane.containers():
            with suppress(subprocess.CalledProcessError):  # it may be gone by now
                lines += lane.docker("top", container).splitlines()
        return {line.split()[1] for line in lines if "sleep 20" in line}

    before = known()
    connection.sendall(b"GET /cgi-bin/slow HTTP/1.1\r\nHost: %s\r\n\r\n" % lane.host.encode())
    lane.server.until(lambda: bool(known() - before), "the app to have the request")


def side(receipt: dict[str, Any], name: str) -> dict[str, int]:
    return {key: receipt[name][key] for key in ("answered", "failed_5xx", "aborted")}


def until_step(lane: Lane, deploy: str, name: str) -> None:
    lane.server.until(
        lambda: (
            step(lane.server.call("GET", f"/api/deploys/{deploy}")[1], name)["status"] == "running"
        ),
        f"the step {name}",
    )


def metrics_of(lane: Lane) -> dict[str, float]:
    request = urllib.request.Request(
        f"{lane.server.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        lines = answer.read().decode().splitlines()
    ours = [
        line for line in lines if line.startswith("tagboat_requests_total{") and lane.name in line
    ]
    assert ours
    return {
        line.partition('code_class="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
        for line in ours
    }


@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_receipt_is_what_the_client_has_counted(lane: Lane, *, killed: bool) -> None:
    lane.bring("v1", programs=PROGRAMS)
    # With all that is sent in it, and the start of a server.
    lane.change(watch_s=30 if killed else 12, health_timeout_s=300)
    sender = Sender(lane)
    sender.send(good=3, bad=1, left=0)  # before the deploy: not its doing
    sender.take()
    publish(lane.image, "v2", body="v2", programs=PROGRAMS, cmd=held_back(DEFAULT_CMD))
    deploy = lane.deploy("v2")["id"]
    assert lane.server.call("GET", f"/api/deploys/{deploy}")[1]["receipt"] is None
    until_step(lane, deploy, "check")
    sender.send(good=11, bad=4, left=2)
    old = sender.take()
    let_go(lane.server, deploy)
    until_step(lane, deploy, "watch")
    lane.server.until(lambda: lane.ask() == (200, "v2"), "v2 to answer")
    sender.count["answered"] += 1
    sender.classes["2xx"] += 1
    sender.send(good=17, bad=3, left=1)
    if killed:
        lane.server.kill()
        sender.send(good=5, bad=2, left=1)
        lane.server.start()
    sender.send(good=2, bad=0, left=0)
    new = sender.take()

    ended = lane.server.ended(deploy)
    assert ended["status"] == "succeeded", ended
    receipt = ended["receipt"]
    assert side(receipt, "old") == old
    assert side(receipt, "new") == new
    assert receipt["new"]["left_by_client"] == new["aborted"]
    assert receipt["requests"] == sum(old.values()) + sum(new.values())
    assert receipt["failed"] == sum(one["failed_5xx"] + one["aborted"] for one in (old, new))
    assert (receipt["complete"], receipt["reason"]) == (True, None)
    assert (receipt["downtime_s"], receipt["turned_away"]) == (0, 0)
    assert receipt["until"] is not None
    failed = new["failed_5xx"] + new["aborted"]
    assert f"{sum(new.values())} requests, {failed} failed" in step(ended, "watch")["detail"]
    shown = lane.server.cli("deploys", "show", deploy)
    assert f"{receipt['requests']} requests" in shown.stdout, shown
    found = metrics_of(lane)
    # All that was sent, before the deploy too; health checks go past HAProxy.
    assert found == {name: sender.classes[name] for name in ("1xx", "2xx", "3xx", "4xx", "5xx")}


def test_a_request_that_outlives_the_watch_is_the_longest_drain(lane: Lane) -> None:
    lane.bring("v1", programs=PROGRAMS)
    lane.change(drain_timeout_s=120, health_timeout_s=300)
    (old,) = lane.containers()
    publish(lane.image, "v2", body="v2", programs=PROGRAMS, cmd=held_back(DEFAULT_CMD))
    deploy = lane.deploy("v2")["id"]
    until_step(lane, deploy, "check")
    connection = http.client.HTTPConnection("127.0.0.1", lane.port, timeout=120)
    connection.request("GET", "/cgi-bin/soon", headers={"Host": lane.host})
    lane.server.until(lambda: "/bin/sh soon" in lane.docker("top", old), "the app to have it")
    began = time.monotonic()
    let_go(lane.server, deploy)
    until_step(lane, deploy, "drain")
    time.sleep(0.6)
    lane.docker("exec", old, "/bin/sh", "-c", ": > /soon")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"soon\n")
    connection.close()
    receipt = lane.server.ended(deploy)["receipt"]
    assert receipt["old"]["answered"] == 1
    assert 0.5 < receipt["longest_drain_s"] < time.monotonic() - began
    assert receipt["old"]["in_flight"] == 0


def test_what_the_stop_cuts_off_is_said(lane: Lane) -> None:
    lane.bring("v1", programs=PROGRAMS)
    lane.change(drain_timeout_s=1)
    publish(lane.image, "v2", body="v2", cmd=held_back(DEFAULT_CMD))
    deploy = lane.deploy("v2")["id"]
    until_step(lane, deploy, "check")
    with socket.create_connection(("127.0.0.1", lane.port)) as connection:
        begin_slow(lane, connection)
        let_go(lane.server, deploy)
        ended = lane.server.ended(deploy)
    receipt = ended["receipt"]
    assert step(ended, "drain")["detail"] == "1 request was still in flight after 1 s"
    # By the app, and not by its client, which still waits.
    old = receipt["old"]
    assert old["failed_5xx"] + old["aborted"] == 1
    assert (old["left_by_client"], old["in_flight"]) == (0, 0)
    assert receipt["failed"] == 1
