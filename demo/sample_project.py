"""A project of the demo: its image, its pushes, and the calls of the webhook that announce them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from demo.sample_image import DEFAULT_CMD, SampleApp, build_image, push
from demo.server import Server, ask, page
from demo.show import DemoError, done
from demo.witness import Seen, Witness

LABELS = {"tagboat.healthcheck": "/health"}


def do_here(work: Callable[[], object]) -> None:
    """Do some work in the network that this is in."""
    work()


@dataclass(frozen=True, slots=True)
class SampleProject:
    """The image `repository` of a registry; `do` pushes from where that can be reached."""

    server: Server
    registry_host: str
    repository: str
    do: Callable[[Callable[[], object]], object] = do_here

    @property
    def image(self) -> str:
        """The image's name, without a tag."""
        return f"{self.registry_host}/{self.repository}"

    def push(self, tag: str, cmd: Sequence[str] = DEFAULT_CMD) -> None:
        """Push the app that says hello from this tag. Raises PushError."""
        image = build_image(SampleApp(body=body_of(tag) + "\n", labels=LABELS, cmd=cmd))
        self.do(lambda: push(self.registry_host, self.repository, tag, image))

    def call_webhook(self, tag: str) -> str:
        """Call the webhook like a CI job; return the id of the queued deploy."""
        headers = {"Content-Type": "application/json"}
        receipt = ask("POST", self.server.webhook_url(), headers, {"image": f"{self.image}:{tag}"})
        (answer,) = receipt["pushes"]
        if answer["outcome"] != "queued":
            raise DemoError(
                f"the push of {tag} must be queued, but it is {answer['outcome']}: "
                f"{answer['reason']}"
            )
        return str(answer["deploy"])


def body_of(tag: str) -> str:
    """Return the page of the app with this tag."""
    return f"hello from {tag}"


def expect(instance: Any, stage: Any, tag: str) -> None:  # noqa: ANN401 - JSON
    """Raise DemoError unless the instance is `tag` and the stage's address shows its page."""
    try:
        said = page(stage["address"])
    except OSError as error:
        said = f"no page ({error})"
    if instance["tag"] != tag or said != body_of(tag):
        raise DemoError(
            f"{tag} must be live, but {instance['container']} is {instance['tag']} and says {said}"
        )


def report(witness: Witness, when: str, tags: set[str], may_lose: int = 0) -> Seen:
    """Print the client's results since the last call, and return them.

    Raises DemoError if it lost more than allowed, or if other tags than `tags` answered.
    """
    seen = witness.seen()
    if seen.lost > may_lose or set(seen.answers) != {body_of(tag) for tag in tags}:
        raise DemoError(
            f"{when}, {seen.lost} of {seen.asked} requests were lost: {dict(seen.losses)} "
            f"{dict(seen.answers)}"
        )
    counts = ", ".join(
        f"{count} by {text.rpartition(' ')[2]}" for text, count in sorted(seen.answers.items())
    )
    done(f"the client, {when}: {seen.asked} requests, {seen.lost} lost (answered {counts})")
    return seen
