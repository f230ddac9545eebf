"""Stop, start, restart and one-off commands: the real process, HAProxy and engine, under load."""

import threading

from tests.acceptance.test_switching import Lane, asking, behind, lane

__all__ = ["behind", "lane"]

PROGRAMS = {
    "www/cgi-bin/soon": "#!/bin/sh\nuntil [ -e /go ]; do sleep 0.1; done; echo; echo soon\n"
}


def test_a_stop_cuts_no_request_and_holds_through_a_kill_until_the_start(lane: Lane) -> None:
    lane.change(drain_timeout_s=120)
    lane.bring("v1", programs=PROGRAMS)
    (container,) = lane.containers()
    answers: list[tuple[int, str]] = []
    slow = threading.Thread(target=lambda: answers.append(lane.ask(path="/cgi-bin/soon")))
    slow.start()
    lane.server.until(
        lambda: "/bin/sh soon" in lane.docker("top", container), "the request to be on its way"
    )

    status, stopped = lane.post(f"/api/stages/{lane.stage}/stop")
    lane.server.kill()
    assert (status, stopped["stopped_by"]) == (202, "TAGBOAT_ADMIN_TOKEN")
    lane.server.start()

    lane.server.until(lambda: lane.ask()[0] == 503, "the traffic to be taken away")
    assert "503: stopped" in lane.ask()[1]
    lane.docker("exec", container, "/bin/sh", "-c", ": > /go")
    slow.join(120)
    assert answers == [(200, "soon")]
    lane.server.until(lambda: lane.containers() == [], "the container to be removed")
    push = lane.server.push(f"{lane.image}:v1")
    assert (push["outcome"], "the stage dev is stopped" in push["reason"]) == ("waiting", True)
    assert "dev (stopped)" in lane.server.cli("status").stdout

    done = lane.server.cli("start", lane.name, "dev", "--wait")
    assert (done.returncode, lane.live()) == (0, ["v1"]), done.stderr
    assert lane.ask() == (200, "v1")

    lane.change(env={"COLOUR": "green"})
    with asking(lane):
        done = lane.server.cli("restart", lane.name, "dev", "--wait")
        assert done.returncode == 0, done.stderr

    words = ("sh", "-c", 'echo "it is $COLOUR"; exit 7')
    done = lane.server.cli("run", lane.name, "dev", "--", *words)
    assert (done.returncode, done.stdout, done.stderr) == (7, "it is green\n", "")
    done = lane.server.cli("run", lane.name, "dev", "--", "no-such-program")
    assert (done.returncode, done.stderr.startswith("tagboat: ")) == (1, True), done.stderr
    assert len(lane.containers()) == 1
