"""`tagboat instances`, and the commands below it."""

from typing import Annotated
from urllib.parse import quote

import typer

from tagboat.cli import complete, show
from tagboat.cli.list_group import ListGroup
from tagboat.cli.logs import (
    FollowOption,
    SinceOption,
    TailOption,
    TimestampsOption,
    follow_log,
    log_query,
    show_log,
)
from tagboat.cli.names import place_filter
from tagboat.cli.options import (
    JsonOption,
    LimitOption,
    OptionalProjectArg,
    OptionalStageArg,
    connect,
)
from tagboat.core.deploy import InstanceState
from tagboat.core.errors import NotFoundError

INSTANCES_LIST_HELP = """List the newest instances, also those that have ended.

\b
  tagboat instances list shop prod --state live
"""
INSTANCES_LOGS_HELP = """Show the last log lines of one instance.

'tagboat logs PROJECT STAGE' finds the instance itself, and follows it through deploys.

\b
  tagboat instances logs 0198c5d2e7a40c6f21b3d9e5 -f
"""
app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def instances_group(
    ctx: typer.Context, *, limit: LimitOption = 20, as_json: JsonOption = False
) -> None:
    """List instances, also ended ones; show their logs."""
    if ctx.invoked_subcommand is None:
        instances_list(limit=limit, as_json=as_json)


@app.command("ls", help=INSTANCES_LIST_HELP, hidden=True)
@app.command("list", help=INSTANCES_LIST_HELP)
def instances_list(
    project: OptionalProjectArg = None,
    stage: OptionalStageArg = None,
    *,
    state: Annotated[
        list[InstanceState] | None,
        typer.Option("--state", metavar="STATE", help=f"Only {', '.join(InstanceState)}."),
    ] = None,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """See INSTANCES_LIST_HELP."""
    client = connect()
    query: dict[str, object] = {"limit": limit, **place_filter(client, project, stage)}
    if state:
        query["state"] = state
    items = client.get("/api/instances", **query)["items"]
    if as_json:
        show.as_json(items)
    elif items:
        show.table(
            ("instance", "project", "stage", "tag", "state", "since", "address"),
            (
                (
                    item["id"],
                    item["project"]["name"],
                    item["stage"]["name"],
                    item["tag"],
                    f"{item['state']} (!)" if item.get("trouble") else item["state"],
                    show.timestamp(item.get("stopped_at") or item["started_at"]),
                    item["address"] or item["url"],
                )
                for item in items
            ),
        )
        for item in items:
            if trouble := item.get("trouble"):
                where = f"{item['project']['name']} {item['stage']['name']} {item['tag']}"
                show.line(f"{where} needs attention: {trouble}")
    else:
        show.line("No instance found.")


@app.command("logs", help=INSTANCES_LOGS_HELP)
def instances_logs(
    instance: Annotated[
        str,
        typer.Argument(
            metavar="INSTANCE", help="The instance's id.", autocompletion=complete.instance_ids
        ),
    ],
    *,
    follow: FollowOption = False,
    tail: TailOption = None,
    since: SinceOption = None,
    timestamps: TimestampsOption = False,
    as_json: JsonOption = False,
) -> None:
    """See INSTANCES_LOGS_HELP."""
    # An instance is known by its id alone: a stage may have had many of one tag.
    client, query = connect(), log_query(tail, since, timestamps=timestamps)
    # A slash that was typed must not become part of the path.
    path = f"/api/instances/{quote(instance, safe='', errors='replace')}/logs"
    try:
        if follow:
            again = f"tagboat instances logs {instance} -f"
            follow_log(client, path, query, again, as_json=as_json)
        else:
            show_log(client.get(path, **query), as_json=as_json)
    except NotFoundError:
        raise NotFoundError(
            f"there is no instance {instance}; 'tagboat instances' shows their ids"
        ) from None
