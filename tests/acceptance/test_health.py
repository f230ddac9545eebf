"""What is let live, and what becomes known of it afterwards: the real process, engine and
HAProxy, apps of every kind.
"""

import http.client
import json
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.test_push_to_running import publish
from tests.acceptance.test_switching import Lane, step
from tests.support.docker_registry import DockerRegistry
from tests.support.ports import free_port
from tests.support.server import TOKEN, Server, fetch, running_server

CHECK = "wget -q -O - http://127.0.0.1:$PORT/health"
BASE = "/bin/sh", "-c"


def serving(line: str) -> tuple[str, ...]:
    return (*BASE, f"trap 'exit 0' TERM; {line}")


def answering(head: str, body: str = "") -> tuple[str, ...]:
    """An app that answers every request alike; `$HOST` in it is the host that was asked for,
    `$PROTO` by what protocol.
    """
    script = (
        "while read -r line && [ ${#line} -gt 1 ]; do case $line in "
        '[Hh]ost:*) HOST=$(echo "${line#*: }" | tr -d "\\r");; '
        '[Xx]-[Ff]orwarded-[Pp]roto:*) PROTO=$(echo "${line#*: }" | tr -d "\\r");; '
        f"esac; done; {head}"
    )
    written = f"cat > /tmp/app <<'END'\n#!/bin/sh\n{script}\nEND\n"
    return (*BASE, f"{written}trap 'exit 0' TERM; nc -ll -p $PORT -e /bin/sh /tmp/app & wait{body}")


def says(status: str, *headers: str, body: str = "") -> str:
    lines = "".join(
        f"{line}\\r\\n" for line in (f"HTTP/1.1 {status}", "Connection: close", *headers)
    )
    return f'printf "{lines}\\r\\n{body}"'


@pytest.fixture(scope="module")
def behind(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str
) -> Iterator[tuple[Server, int]]:
    port = free_port()
    environ = {"TAGBOAT_INGRESS": "haproxy", "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{port}"}
    with running_server(tmp_path_factory.mktemp("tagboat"), engine_url, **environ) as server:
        yield server, port


@pytest.fixture
def lane(behind: tuple[Server, int], registry: DockerRegistry, engine_url: str) -> Iterator[Lane]:
    """A stage of a project of which nothing is said but its image."""
    server, port = behind
    image = f"{registry.host}/acme/app-{uuid.uuid4().hex[:8]}"
    name = image.rpartition("/")[2]
    project = called(server, "POST", "/api/projects", {"name": name, "image": image})
    body = {"name": "dev", "tag_pattern": "*", "watch_s": 1, "drain_timeout_s": 2}
    stage = called(server, "POST", f"/api/projects/{project['id']}/stages", body)
    yield Lane(server, engine_url, port, image, stage["id"], f"{name}-dev.localhost")
    server.call("DELETE", f"/api/projects/{project['id']}")


def called(server: Server, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - whatever it answers
    status, answer = server.call(method, path, body)
    assert status < 300, answer
    return answer


def project_of(lane: Lane) -> Any:  # noqa: ANN401 - as the API shows it
    stage = called(lane.server, "GET", f"/api/stages/{lane.stage}")
    return called(lane.server, "GET", f"/api/projects/{stage['project']['id']}")


def change_project(lane: Lane, **fields: object) -> None:
    called(lane.server, "PATCH", f"/api/projects/{project_of(lane)['id']}", fields)


def live_one(lane: Lane) -> Any:  # noqa: ANN401 - as the API shows it
    (one,) = [
        one
        for one in lane.server.items(f"/api/instances?stage={lane.stage}")
        if one["state"] == "live"
    ]
    return one


def asked(lane: Lane) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", lane.port, timeout=120)
    connection.request("GET", "/health", headers={"Host": lane.host})
    status = connection.getresponse().status
    connection.close()
    return status


def test_one_that_only_its_own_healthcheck_can_reach_does_not_replace_what_works(
    lane: Lane,
) -> None:
    lane.bring("v1", healthcheck=CHECK)
    lane.change(health_timeout_s=5)
    inside = serving("httpd -f -p 127.0.0.1:$PORT -h /www & wait")
    refused = lane.bring("v2", "failed", healthcheck=CHECK, cmd=inside)
    assert "nothing listens on the port yet" in refused["reason"]
    assert (
        "Does the app listen on 0.0.0.0:8080 (not on 127.0.0.1, not on another port)?"
        in refused["reason"]
    )
    assert (lane.live(), asked(lane)) == (["v1"], 200)


def test_one_whose_healthcheck_speaks_of_another_port_is_refused(lane: Lane) -> None:
    lane.change(health_timeout_s=5)
    other = serving("httpd -f -p 3000 -h /www & wait")
    refused = lane.bring(
        "v1", "failed", healthcheck="wget -q -O - http://127.0.0.1:3000/health", cmd=other
    )
    assert "on 0.0.0.0:8080" in refused["reason"]
    assert f"'tagboat projects edit {lane.name} --port N'" in refused["reason"]


def test_a_healthcheck_every_five_minutes_is_no_reason_to_wait(lane: Lane) -> None:
    deploy = lane.bring("v1", healthcheck=CHECK, interval_s=300)
    assert step(deploy, "check")["detail"] == "the image's HEALTHCHECK passes, and the port answers"
    assert project_of(lane)["healthcheck"] == "image"
    state = json.loads(
        lane.docker("inspect", "-f", "{{json .State.Health}}", live_one(lane)["container"])
    )
    assert state["Status"] == "starting"  # the engine itself has not run it yet


def test_a_long_start_is_waited_for_as_the_image_says(lane: Lane) -> None:
    lane.change(health_timeout_s=60)
    late = serving("sleep 8 & wait; httpd -f -p $PORT -h /www & wait")
    deploy = lane.bring("v1", healthcheck=CHECK, start_period_s=120, interval_s=5, cmd=late)
    assert step(deploy, "check")["detail"] == "the image's HEALTHCHECK passes, and the port answers"


def test_what_the_healthcheck_wrote_is_told(lane: Lane) -> None:
    lane.change(health_timeout_s=4)
    refused = lane.bring("v1", "failed", healthcheck="curl -f http://localhost:8080/")
    assert "curl: not found" in refused["reason"]


def test_one_that_is_redirected_to_https_has_said_nothing_of_its_health(lane: Lane) -> None:
    change_project(lane, healthcheck="/health", port=8080)
    lane.change(health_timeout_s=3)
    forced = answering(says("301 Moved Permanently", "Location: https://$HOST/health"))
    refused = lane.bring("v1", "failed", cmd=forced)
    assert "HTTP 301 to the same path under https" in refused["reason"]
    assert "TAGBOAT_PUBLIC_URL" in refused["reason"]
    lane.bring("v2", cmd=answering(says("302 Found", "Location: /login")))


def test_a_path_is_asked_with_the_host_that_people_use(lane: Lane) -> None:
    change_project(lane, healthcheck="/health", port=8080)
    lane.change(health_timeout_s=3)
    known, unknown = says("200 OK", body="fine"), says("400 Bad Request", body="Invalid host $HOST")
    strict = answering(f"case $HOST in *.example.com|app.internal) {known};; *) {unknown};; esac")
    refused = lane.bring("v1", "failed", cmd=strict)
    assert f"answered HTTP 400: Invalid host {lane.host}" in refused["reason"]
    domain = f"{uuid.uuid4().hex[:8]}.example.com"
    lane.change(domains=[domain])
    lane.bring("v2", cmd=strict)
    lane.change(domains=[], healthcheck_host="app.internal")
    lane.bring("v3", cmd=strict)


@pytest.mark.slow
def test_how_long_a_request_may_take_can_be_set(lane: Lane) -> None:
    change_project(lane, healthcheck="/health", port=8080)
    lane.change(health_timeout_s=12)
    lazy = answering(f"sleep 6; {says('200 OK', body='at last')}")
    refused = lane.bring("v1", "failed", cmd=lazy)
    assert "no answer within 5 s" in refused["reason"]
    lane.change(healthcheck_request_timeout_s=8)
    lane.bring("v2", cmd=lazy)


def test_the_exit_code_and_what_to_do_about_a_program_in_the_background(lane: Lane) -> None:
    refused = lane.bring("v1", "failed", cmd=serving("httpd -p $PORT -h /www"))
    assert "exited with code 0" in refused["reason"]
    assert "run it in the foreground" in refused["reason"]
    refused = lane.bring("v2", "failed", cmd=serving("exit 7"))
    assert "exited with code 7" in refused["reason"]


def test_an_image_for_another_processor_is_named(lane: Lane) -> None:
    own = lane.docker("version", "-f", "{{.Server.Arch}}")
    other = {"amd64": "arm64"}.get(own, "amd64")
    deploy = lane.bring(
        "v1", architecture=other
    )  # what is in it runs all the same, as with an emulator
    assert f"built for linux/{other}, this engine is linux/{own}" in step(deploy, "pull")["detail"]
    refused = lane.bring("v2", "failed", architecture=other, cmd=serving("exit 1"))
    assert f"built for linux/{other}, this engine is linux/{own}" in refused["reason"]


@pytest.mark.slow
def test_a_port_that_the_image_learns_later(lane: Lane) -> None:
    first = lane.bring("v1", port=0, cmd=serving("httpd -f -p 8080 -h /www & wait"))
    assert "has no port, so it has no address" in first["reason"]
    assert "EXPOSE" in first["reason"]
    lane.server.until(lambda: "no port" in lane.ask()[1], "the page to tell")
    assert called(lane.server, "GET", f"/api/stages/{lane.stage}")["address"] is None
    second = lane.bring("v2", port=8080)
    assert (second["reason"], project_of(lane)["port"], lane.ask()) == (
        "v2 is live",
        8080,
        (200, "v2"),
    )
    back = called(lane.server, "POST", f"/api/stages/{lane.stage}/rollback", {})
    assert "no port" in lane.server.ended(back["id"])["reason"]
    assert project_of(lane)["port"] == 8080


def test_what_a_person_sets_stays_until_it_is_given_back(lane: Lane) -> None:
    change_project(lane, port=9000)
    lane.bring("v1", cmd=serving("httpd -f -p 9000 -h /www & wait"))
    assert (project_of(lane)["port"], project_of(lane)["port_set"]) == (9000, True)
    change_project(lane, port_set=False)
    lane.bring("v2")
    assert (project_of(lane)["port"], project_of(lane)["port_set"]) == (8080, False)


def told(lane: Lane, words: str) -> None:
    lane.server.until(
        lambda: words in (live_one(lane)["trouble"] or ""), f"{words} to be known", 90
    )
    status = lane.server.cli("status").stdout
    assert f"{lane.name} dev needs attention: v1: " in status
    doctor = lane.server.cli("doctor")
    assert (doctor.returncode, f"instance of {lane.name} dev" in doctor.stdout) == (1, True)
    request = urllib.request.Request(
        f"{lane.server.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        metrics = answer.read().decode()
    assert f'tagboat_stage_troubled_instances{{project="{lane.name}",stage="dev"}} 1.0' in metrics
    warnings = [
        line
        for line in lane.server.log().splitlines()
        if "needs a person" in line and live_one(lane)["container"] in line
    ]
    assert len(warnings) == 1


def test_a_crash_loop_after_the_watch_is_known_and_told_once(lane: Lane) -> None:
    lane.bring("v1", cmd=serving("httpd -p $PORT -h /www; sleep 3; exit 7"))
    told(lane, "it ends again and again")
    assert live_one(lane)["restarts"] >= 3


def test_one_that_turns_unhealthy_after_the_watch_is_known_at_once(lane: Lane) -> None:
    sickens = "[ ! -e /tmp/ill ] || { echo 'no such table'; exit 1; }"
    lane.bring("v1", healthcheck=sickens)
    one = live_one(lane)
    assert (one["running"], one["restarts"], one["paused"], one["trouble"]) == (
        True,
        0,
        False,
        None,
    )
    lane.docker("exec", one["container"], "sh", "-c", ": > /tmp/ill")
    told(lane, "HEALTHCHECK says unhealthy: no such table")
    assert live_one(lane)["health"] == "unhealthy"


def test_one_that_somebody_paused_is_known_and_well_again_afterwards(lane: Lane) -> None:
    lane.bring("v1")
    container = live_one(lane)["container"]
    lane.docker("pause", container)
    told(lane, f"docker unpause {container}")
    assert live_one(lane)["paused"] is True
    lane.docker("unpause", container)
    lane.server.until(lambda: live_one(lane)["trouble"] is None, "it to be well again", 150)
    assert fetch(live_one(lane)["url"]) == "v1"


def test_one_that_is_paused_in_the_watch_is_taken_back(lane: Lane) -> None:
    lane.bring("v1")
    lane.change(watch_s=20)
    publish(lane.image, "v2", body="v2")
    deploy = lane.deploy("v2")["id"]
    lane.server.until(lambda: lane.live() == ["v2"], "v2 to be live")
    lane.docker("pause", live_one(lane)["container"])
    ended = lane.server.ended(deploy)
    assert ended["reason"].startswith("it was healthy and live, and then: the container is paused")
    assert (lane.live(), asked(lane)) == (["v1"], 200)
