"""What the demo shows: three ways in which a push is heard of, and one push that is refused."""

from dataclasses import dataclass, replace
from typing import Any

from demo.registry import Registry
from demo.sample_image import SampleApp, build_image, push
from demo.server import Server, ask, page
from demo.show import DemoError, doing, done, say, title
from demo.waiting import await_value
from demo.witness import Witness

REPOSITORY = "demo/hello"
_NEWS_TIMEOUT_S = 20.0
# Both lines on one stream: of two, the engine does not keep the order.
_BROKEN = ("/bin/sh", "-c", "echo 'reading the configuration'; echo 'error: DATABASE_URL is not set'; exit 3")
_LABELS = {"tagboat.healthcheck": "/health"}


@dataclass(frozen=True, slots=True)
class Story:
    """Tells it, with a server and a registry that run; the registry's notifications go to the server."""

    server: Server
    registry: Registry

    @property
    def image(self) -> str:
        """The image's name, without a tag."""
        return f"{self.registry.host}/{REPOSITORY}"

    def tell(self) -> Any:  # noqa: ANN401 - JSON
        """Tell all of it and return the instance that is live at the end. Raises DemoError where it does not go as told."""
        project, stage = self._by_notification()
        self._take_stock(project)
        self._by_webhook()
        live = self._by_poll(project)
        return self._refuse_broken(stage, live)

    def _by_notification(self) -> tuple[Any, Any]:
        title("v1: the registry tells of the push by itself")
        say("Tagboat has never heard of this image. All that is set up is the registry's list of whom to notify.")
        with doing("") as line:
            self._push("v1")
            project = await_value(self._find_project, _NEWS_TIMEOUT_S, "the registry's notification")
            (first,) = self.server.call("GET", f"/api/deploys?project={project['id']}")["items"]
            instance = self.server.await_live(first["id"])
            self._expect(instance, "v1")
            if first["trigger"] != "webhook":
                raise DemoError(f"v1 was to be deployed by the notification, but its trigger is {first['trigger']}")
            line.text = f"v1 is live: {instance['url']} says “{page(instance['url'])}”"
        (stage,) = self.server.call("GET", f"/api/projects/{project['id']}/stages")["items"]
        project = self.server.call("GET", f"/api/projects/{project['id']}")
        done(
            f"the project {project['name']} made itself: port {project['port']} from the image's EXPOSE, healthcheck "
            f"{project['healthcheck']} from its label,"
        )
        say(f"and a stage {stage['name']} that takes every tag ({stage['tag_pattern']})")
        return project, stage

    def _take_stock(self, project: Any) -> None:  # noqa: ANN401 - JSON
        title("Taking stock: the first poll")
        say("From here on the registry tells nobody anything: it was restarted without notifications.")
        say("The first time that Tagboat polls an image it only writes down the tags that are there, and deploys none of")
        say("them: they may be years old. Only what appears later is news.")
        with doing("the first poll took stock and deployed nothing"):
            self.registry.stop()
            self.registry.start(None)
            report = self._poll(project)
            if not report["first_poll"] or report["deploys"]:
                raise DemoError(f"the first poll was to deploy nothing, but it came to {report}")

    def _by_webhook(self) -> None:
        title("v2: a CI job calls the webhook")
        say('One call, {"image": "' + f"{self.image}:v2" + '"}, to a URL that is the secret.')
        with doing("") as line:
            self._push("v2")
            instance = self.server.await_live(self._call_webhook("v2"))
            self._expect(instance, "v2")
            line.text = f"v2 is live, and v1 is gone: {instance['url']} says “{page(instance['url'])}”"
        say("Each container has a loopback port of its own. One lasting address for the stage comes with the ingress, which")
        say("is not there yet.")

    def _by_poll(self, project: Any) -> Any:  # noqa: ANN401 - JSON
        title("v3: nobody tells, and the poller finds it")
        say("Every five minutes Tagboat asks for the list of tags. We do not wait, and ask for a poll now.")
        with doing("") as line:
            self._push("v3")
            report = self._poll(project)
            if report["new_tags"] != ["v3"] or len(report["deploys"]) != 1:
                raise DemoError(f"the poll was to find v3 alone, but it came to {report}")
            instance = self.server.await_live(report["deploys"][0])
            self._expect(instance, "v3")
            line.text = f"v3 is live: {instance['url']} says “{page(instance['url'])}”"
        done("v2, which the webhook had brought already, was no news to the poll")
        return instance

    def _refuse_broken(self, stage: Any, live: Any) -> Any:  # noqa: ANN401 - JSON
        title("v4 is broken: it exits as soon as it starts")
        say("Somebody asks for the page of v3 all the time while Tagboat tries v4.")
        with Witness(live["url"], _body("v3")) as witness, doing("") as line:
            self._push("v4", broken=True)
            deploy = self.server.await_end(self._call_webhook("v4"))
            if deploy["status"] != "failed":
                raise DemoError(f"v4 was to be refused, but its deploy {deploy['status']}")
            line.text = "v4 was refused, and its container removed"
        say(f"reason: {deploy['reason']}")
        for number, text in enumerate(deploy["log"].splitlines()[-3:]):
            say(f"{'' if number else 'its last words:':15} {text}")
        if witness.missed or not witness.seen:
            raise DemoError(f"v3 was to answer all along, but {witness.missed} of its answers were missing")
        done(f"v3 answered all along: {witness.seen} requests, none missed")
        still = self.server.live(stage["id"])
        self._expect(still, "v3")
        return still

    def _find_project(self) -> Any:  # noqa: ANN401 - JSON
        projects = self.server.call("GET", "/api/projects")["items"]
        return next((project for project in projects if project["image"] == self.image), None)

    def _poll(self, project: Any) -> Any:  # noqa: ANN401 - JSON
        report = self.server.call("POST", f"/api/projects/{project['id']}/poll")
        if report["error"]:
            raise DemoError(f"the poll failed: {report['error']}")
        return report

    def _call_webhook(self, tag: str) -> str:
        """Call the webhook as a CI job would; the id of the deploy that it queued."""
        headers = {"Content-Type": "application/json"}
        receipt = ask("POST", self.server.webhook_url(), headers, {"image": f"{self.image}:{tag}"})
        (answer,) = receipt["pushes"]
        if answer["outcome"] != "queued":
            raise DemoError(f"the push of {tag} was to be queued, but it was {answer['outcome']}: {answer['reason']}")
        return str(answer["deploy"])

    def _push(self, tag: str, *, broken: bool = False) -> None:
        app = SampleApp(body=_body(tag) + "\n", labels=_LABELS)
        if broken:
            app = replace(app, cmd=_BROKEN)
        push(self.registry.host, REPOSITORY, tag, build_image(app))

    def _expect(self, instance: Any, tag: str) -> None:  # noqa: ANN401 - JSON
        """Raise DemoError unless the instance is `tag` and serves its page."""
        try:
            said = page(instance["url"])
        except OSError as error:
            said = f"no page at all ({error})"
        if instance["tag"] != tag or said != _body(tag):
            raise DemoError(f"{tag} was to be live, but {instance['container']} is {instance['tag']} and says {said}")


def _body(tag: str) -> str:
    return f"hello from {tag}"
