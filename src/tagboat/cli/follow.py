"""Waiting for a deploy through restarts of the server, and printing how it ended."""

import time
from collections.abc import Generator
from contextlib import closing
from typing import NoReturn

from msgspec import Struct

from tagboat.cli import show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.client_errors import ServerAwayError, TokenRefusedError
from tagboat.cli.deploy_progress import StepPrinter
from tagboat.cli.deploy_receipt import receipt_sentence
from tagboat.core.errors import NotFoundError, TagboatError

# How long to look for a server that does not answer: it may be restarting.
RESTART_WAIT_S = 60.0
# Often enough for a person, and cheap for a server.
POLL_EVERY_S = 0.25
_TOPICS_OF_DEPLOYS = frozenset({"", "deploy", "step", "reset"})
_OPEN_STATUSES = frozenset({"queued", "running"})
_LOST_STATUSES = frozenset({"failed", "superseded", "cancelled"})


class QueuedDeploy(Struct, frozen=True):
    """A deploy just queued, and its stage, as the API answers them."""

    project: str
    stage: ApiObject
    deploy: ApiObject

    def finish(self, client: Client, *, wait: bool, as_json: bool) -> None:
        """Print how the deploy is, after following it to its end if `wait`.

        Raises TagboatError if it is known not to have succeeded.
        """
        where = f"{self.project} {self.stage['name']}"
        deploy = self.deploy
        if wait:
            show.progress(f"deploy {deploy['id']}: {deploy['tag']} to {where}")
            try:
                deploy = follow_deploy(client, deploy["id"])
                if receipt := deploy.get("receipt"):
                    show.progress(receipt_sentence(receipt))
            except KeyboardInterrupt:
                cancel = f"'tagboat cancel {deploy['id']}'"
                show.progress(f"\ndeploy {deploy['id']} continues; {cancel} cancels it")
                raise
        if as_json:
            show.as_json(deploy)
        elif not wait:
            follows = f"'tagboat deploys show {deploy['id']}' shows its steps"
            show.line(f"deploy {deploy['id']} of {deploy['tag']} is {deploy['status']}; {follows}")
        elif deploy["status"] == "succeeded":
            url = _live_address(client, self.stage, deploy["tag"])
            reason = deploy["reason"] or deploy["status"]
            named = reason.startswith(f"{deploy['tag']} ")
            said = reason if named else f"{deploy['tag']}: {reason}"
            show.line(f"{said} at {url}" if url else said)
        # Still open without --wait: nothing has failed.
        if deploy["status"] not in _LOST_STATUSES:
            return
        for text in deploy["log"].splitlines():
            show.progress(f"| {text}")
        ended = deploy["status"] if deploy["status"] == "failed" else f"was {deploy['status']}"
        if deploy["reason"] not in {None, "", deploy["status"]}:
            ended = f"{ended}: {deploy['reason']}"
        raise TagboatError(f"the deploy of {deploy['tag']} to {where} {ended}")


def follow_deploy(client: Client, deploy_id: str) -> ApiObject:
    """Print the steps of a deploy until it ends; return it as it is then.

    Raises TagboatError if the server is away for longer than a restart takes.
    """
    printer = StepPrinter()
    try:
        with closing(_deploy_events(client, deploy_id)) as events:
            while True:
                event = next(events)
                # The event has all that is printed; an ended step has its times only in the deploy.
                if event["topic"] == "step" and event["status"] == "running":
                    printer.show(event)
                    continue
                printer.clear()
                deploy = _get_patiently(client, f"/api/deploys/{deploy_id}")
                for step in deploy["steps"]:
                    printer.show(step)
                if deploy["status"] == "queued":
                    printer.show_queued()
                if deploy["status"] not in _OPEN_STATUSES:
                    return deploy
    except TagboatError as error:
        raise TagboatError(f"lost deploy {deploy_id}, which may continue: {error}") from None
    finally:
        printer.clear()


def _deploy_events(client: Client, deploy_id: str) -> Generator[ApiObject, None, NoReturn]:
    """Yield the events after which a deploy may look different; its topic is empty if unknown."""
    unknown = ApiObject(topic="")
    after: dict[str, object] = {}
    while True:
        try:
            for event in client.events(deploy=deploy_id, **after):
                after = {"last_event_id": event["id"]}
                if event["topic"] in _TOPICS_OF_DEPLOYS:
                    yield event
        except NotFoundError:
            # A server of an older release has no events: look again and again.
            while True:
                yield unknown
                time.sleep(POLL_EVERY_S)
        except (ServerAwayError, TokenRefusedError):
            pass
        # The server ends the stream when it stops, and when a reader is too slow.
        yield unknown
        time.sleep(POLL_EVERY_S)


def _get_patiently(client: Client, path: str) -> ApiObject:
    """GET `path`; look for the server for a while if it is away."""
    deadline = None
    while True:
        try:
            if deadline is not None:
                client.find_again()
            answer = client.get(path)
        except (ServerAwayError, TokenRefusedError) as error:
            # A server makes a new token at each start: a refused one may only be old.
            if isinstance(error, TokenRefusedError) and not client.find_again():
                raise
            now = time.monotonic()
            if deadline is None:
                deadline = now + RESTART_WAIT_S
                show.progress(f"the server is away; trying again for {RESTART_WAIT_S:.0f} s")
            elif now > deadline:
                raise
            time.sleep(POLL_EVERY_S)
        else:
            if deadline is not None:
                show.progress("the server is back")
            return answer


def _live_address(client: Client, stage: ApiObject, tag: str) -> str | None:
    """Return where a live tag answers: its own address, the stage's, the instance's; else None."""
    try:
        items = client.items("/api/instances", stage=stage["id"], state="live")
    except ServerAwayError:
        items = []  # gone again, but the deploy has succeeded all the same
    # Several tags may be live in a stage.
    live = [one for one in items if one["tag"] == tag]
    if live and not any(one["url"] for one in live):
        return None  # without a port, nothing answers at the address of the stage
    urls = [*(one["address"] for one in live), stage["address"], *(one["url"] for one in live)]
    return next(filter(None, urls), None)
