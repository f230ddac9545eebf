"""The demo's story: three ways in which a push arrives, and two pushes that fail."""

import json
from dataclasses import dataclass
from typing import Any

from demo.registry import Registry
from demo.sample_project import SampleProject, expect, report
from demo.server import Server, page
from demo.show import DemoError, doing, done, say, title
from demo.waiting import await_value
from demo.witness import Witness

REPOSITORY = "demo/hello"
_NEWS_TIMEOUT_S = 20.0
_WATCH_S = 5
_DIES_AFTER_S = 4
_MOST_LOST = 10
"""Lost requests until the engine notices the crash, of a client that sends one at a time."""
# Both lines on one stream: of two, the engine does not keep the order.
_BROKEN = (
    "/bin/sh",
    "-c",
    "echo 'reading the configuration'; echo 'error: DATABASE_URL is not set'; exit 3",
)
_DIES_LINE = f"""
trap 'exit 0' TERM
httpd -f -p $PORT -h /www &
sleep {_DIES_AFTER_S} & wait $!
echo 'error: the connection to the database is lost'; exit 1
"""
_DIES = ("/bin/sh", "-c", _DIES_LINE)


@dataclass(frozen=True, slots=True)
class Story:
    """The demo's story, with a running server and a registry that notifies it."""

    server: Server
    registry: Registry

    @property
    def app(self) -> SampleProject:
        """The image that it pushes."""
        return SampleProject(self.server, self.registry.host, REPOSITORY)

    def tell(self) -> str:
        """Run the whole story and return the address of the stage; raise DemoError if it fails."""
        project, stage = self._by_notification()
        self._take_stock(project)
        title(
            "From now on a client requests the page without a pause, each time on a new connection"
        )
        say(f"It requests {stage['address']}, where HAProxy answers. The stage keeps this address.")
        with Witness(stage["address"]) as witness:
            self._by_webhook(stage)
            self._by_poll(project, stage)
            switched = report(witness, "v1 → v2 → v3", {"v1", "v2", "v3"})
            self._refuse_broken(stage)
            refused = report(witness, "while v4 was tried", {"v3"})
            self._roll_back_dying(stage)
            died = report(witness, "from v3 to v5 and back", {"v3", "v5"}, may_lose=_MOST_LOST)
        if died.lost:
            say("v5 was handling the lost requests when it crashed; v3, still running, took over.")
        sent = sum(seen.asked for seen in (switched, refused, died))
        title(
            f"The client sent {sent} requests: 0 lost by a switch, {died.lost} lost when v5 crashed"
        )
        return str(stage["address"])

    def _by_notification(self) -> tuple[Any, Any]:
        title("v1: the registry notifies Tagboat of the push")
        say("Tagboat does not know this image. Only the registry's notifications are configured.")
        with doing("") as line:
            self.app.push("v1")
            project = await_value(
                self._find_project, _NEWS_TIMEOUT_S, "the registry's notification"
            )
            (stage,) = self.server.call("GET", f"/api/projects/{project['id']}/stages")["items"]
            stage = self.server.call("PATCH", f"/api/stages/{stage['id']}", {"watch_s": _WATCH_S})
            (first,) = self.server.call("GET", f"/api/deploys?project={project['id']}")["items"]
            expect(self.server.await_live(first["id"]), stage, "v1")
            if first["trigger"] != "webhook":
                raise DemoError(
                    "v1 must be deployed by the notification, but its trigger is "
                    f"{first['trigger']}"
                )
            line.text = f"v1 is live: {stage['address']} says “{page(stage['address'])}”"
        project = self.server.call("GET", f"/api/projects/{project['id']}")
        done(
            f"the project {project['name']} was created automatically: port {project['port']} "
            f"from the image's EXPOSE, health check {project['healthcheck']} from its label,"
        )
        say(f"and a stage {stage['name']} that accepts each tag ({stage['tag_pattern']})")
        say(f"After the switch a new version is watched: for 10 s by default, here for {_WATCH_S}.")
        return project, stage

    def _take_stock(self, project: Any) -> None:  # noqa: ANN401 - JSON
        title("The first poll")
        say("From now on the registry sends no notifications: it was restarted without them.")
        say(
            "The first poll of an image only records its tags, and deploys none of them: they may "
            "be"
        )
        say("years old. Only tags that appear later are deployed.")
        with doing("the first poll recorded the tags and deployed nothing"):
            self.registry.stop()
            self.registry.start(None)
            report = self._poll(project)
            if report["deploys"]:
                raise DemoError(f"the first poll must deploy nothing, but its report is {report}")

    def _by_webhook(self, stage: Any) -> None:  # noqa: ANN401 - JSON
        title("v2: a CI job calls the webhook")
        call = json.dumps({"image": f"{self.app.image}:v2"})
        say(f"One call, {call}, to a URL that contains the secret.")
        with doing("") as line:
            self.app.push("v2")
            expect(self.server.await_live(self.app.call_webhook("v2")), stage, "v2")
            line.text = "v2 is live; v1 has finished its requests, and is removed"

    def _by_poll(self, project: Any, stage: Any) -> None:  # noqa: ANN401 - JSON
        title("v3: no notification, and polling finds it")
        say("Tagboat lists the tags every five minutes. We do not wait, and request a poll now.")
        with doing("") as line:
            self.app.push("v3")
            report = self._poll(project)
            if report["new_tags"] != ["v3"] or len(report["deploys"]) != 1:
                raise DemoError(f"the poll must find only v3, but its report is {report}")
            expect(self.server.await_live(report["deploys"][0]), stage, "v3")
            line.text = f"v3 is live: {stage['address']} says “{page(stage['address'])}”"
        done("the poll did not deploy v2 again, which the webhook had brought")

    def _refuse_broken(self, stage: Any) -> None:  # noqa: ANN401 - JSON
        title("v4 is broken: it exits as soon as it starts")
        with doing("") as line:
            self.app.push("v4", _BROKEN)
            deploy = self._await_failure("v4")
            line.text = "v4 got no request: its deploy failed, and its container was removed"
        self._explain(deploy)
        expect(self.server.live(stage["id"]), stage, "v3")

    def _roll_back_dying(self, stage: Any) -> None:  # noqa: ANN401 - JSON
        title(f"v5 is worse: it is healthy, gets the traffic, and crashes after {_DIES_AFTER_S} s")
        with doing("") as line:
            self.app.push("v5", _DIES)
            deploy = self._await_failure("v5")
            line.text = (
                "v5 was watched, so v3 was still running: traffic went back to it automatically"
            )
        self._explain(deploy)
        expect(self.server.live(stage["id"]), stage, "v3")

    def _await_failure(self, tag: str) -> Any:  # noqa: ANN401 - JSON
        deploy = self.server.await_end(self.app.call_webhook(tag))
        if deploy["status"] != "failed":
            raise DemoError(f"{tag} must fail, but its deploy {deploy['status']}")
        return deploy

    def _explain(self, deploy: Any) -> None:  # noqa: ANN401 - JSON
        say(f"reason: {deploy['reason']}")
        for number, text in enumerate(deploy["log"].splitlines()[-3:]):
            say(f"{'' if number else 'last log lines:':15} {text}")

    def _find_project(self) -> Any:  # noqa: ANN401 - JSON
        projects = self.server.call("GET", "/api/projects")["items"]
        return next((project for project in projects if project["image"] == self.app.image), None)

    def _poll(self, project: Any) -> Any:  # noqa: ANN401 - JSON
        report = self.server.call("POST", f"/api/projects/{project['id']}/poll")
        if report["error"]:
            raise DemoError(f"the poll failed: {report['error']}")
        return report
