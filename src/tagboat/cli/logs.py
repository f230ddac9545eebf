"""`tagboat logs`."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.client_errors import ServerAwayError, TokenRefusedError
from tagboat.cli.follow import POLL_EVERY_S, RESTART_WAIT_S
from tagboat.cli.names import find_stage
from tagboat.cli.options import JsonOption, ProjectArg, StageArg, connect
from tagboat.core.errors import TagboatError

FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with what is written, until Ctrl-C.")
]
TailOption = Annotated[
    int | None,
    typer.Option(
        "--tail",
        "-n",
        min=0,
        max=10000,
        help="How many lines; default 100, or all --since. 0: only new ones.",
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Only newer ones: 90s, 10m, 1h30m, or a time."),
]
TimestampsOption = Annotated[
    bool, typer.Option("--timestamps", "-t", help="Show when each line was written.")
]


def logs_command(
    project: ProjectArg,
    stage: StageArg,
    *,
    follow: FollowOption = False,
    tail: TailOption = None,
    since: SinceOption = None,
    timestamps: TimestampsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the last log lines of the app in a stage.

    If nothing runs there: the lines that the last failed deploy left. With --follow, it goes on
    with the next version after a deploy; --json prints an object for each line then.
    """
    client = connect()
    path = f"/api/stages/{find_stage(client, project, stage)['id']}/logs"
    query = log_query(tail, since, timestamps=timestamps)
    if follow:
        again = f"tagboat logs {project} {stage} -f"
        follow_log(client, path, query, again, as_json=as_json)
        return
    answer = client.get(path, **query)
    # The server knows which log matters while a deploy is running.
    if answer["source"] == "deploy":
        last = answer["deploy"]
        show.progress(
            f"nothing runs in {project} {stage}; deploy {last['id']} of {last['tag']} failed "
            f"({last['reason']}) and left:"
        )
    show_log(answer, as_json=as_json)


def log_query(tail: int | None, since: str | None, *, timestamps: bool) -> dict[str, object]:
    """Return the parameters of the API for the options that were given."""
    # By time, not by number: the first lines of the next version are new as well.
    if tail == 0:
        tail, since = None, "0s"
    asked = {"tail": tail, "since": since, "timestamps": "true" if timestamps else None}
    return {name: value for name, value in asked.items() if value is not None}


def show_log(answer: ApiObject, *, as_json: bool) -> None:
    """Print the lines of a log."""
    if as_json:
        show.as_json({"lines": answer["lines"]})
    elif answer["lines"]:
        show.line("\n".join(answer["lines"]))


def follow_log(
    client: Client, path: str, query: Mapping[str, object], again: str, *, as_json: bool
) -> None:
    """Print the lines of a log as they come, until it ends or somebody presses Ctrl-C.

    `again` is the command that follows it anew, for the error that breaks it off.
    """
    try:
        _follow(client, path, query, again, as_json=as_json)
    except KeyboardInterrupt:
        # The way to end it, and so no failure.
        raise typer.Exit from None


def _follow(
    client: Client, path: str, query: Mapping[str, object], again: str, *, as_json: bool
) -> None:
    """Print lines until the server says that there is nothing to come, also through a restart.

    Raises TagboatError, which names the command `again`, if the server, or its engine, is away for
    longer than that takes.
    """
    last_id, away_since = "", None
    has_answered = False
    while True:
        reason = "the server ended the log, and does not go on with it"
        try:
            if away_since is not None:
                client.find_again()
            for event in client.stream(path, {**query, "follow": "true"}, last_id):
                has_answered = True
                last_id = event.id or last_id
                if event.name == "end":
                    return
                if event.name == "note" and event.data.get("broken"):
                    reason = event.data["text"]
                    # Said once: until it goes on, each further try ends in the same sentence.
                    if away_since is None:
                        show.progress(reason)
                    continue
                away_since = None
                _show_event(event.name, event.data, as_json=as_json)
        except (ServerAwayError, TokenRefusedError) as error:
            # A server makes a new token at each start: a refused one may only be old.
            if not has_answered:
                raise
            reason = f"the log broke off: {error}"
        now = time.monotonic()
        away_since = away_since or now
        if now - away_since > RESTART_WAIT_S:
            raise TagboatError(f"{reason.rstrip('.')}. Follow it again with: {again}")
        time.sleep(POLL_EVERY_S)


def _show_event(name: str, data: ApiObject, *, as_json: bool) -> None:
    if name == "note":
        show.progress(data["text"])
    elif name == "line":
        # One object a line, as programs read a stream; no array would ever be complete.
        show.line(json.dumps(data) if as_json else data["text"])
        # Else a pipe gets it when its buffer is full.
        sys.stdout.flush()
