"""`tagboat deploys`, and the commands below it."""

from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.comparison import show_comparison_table
from tagboat.cli.deploy_progress import step_duration
from tagboat.cli.deploy_receipt import show_receipt_table
from tagboat.cli.fields import show_fields
from tagboat.cli.list_group import ListGroup
from tagboat.cli.names import call_deploy, place_filter
from tagboat.cli.options import (
    DeployArg,
    JsonOption,
    LimitOption,
    OptionalProjectArg,
    OptionalStageArg,
    connect,
)
from tagboat.core.deploy import DeployStatus

app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def deploys_group(
    ctx: typer.Context, *, limit: LimitOption = 20, as_json: JsonOption = False
) -> None:
    """List and show deploys, also those that have ended."""
    if ctx.invoked_subcommand is None:
        deploys_list(limit=limit, as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def deploys_list(
    project: OptionalProjectArg = None,
    stage: OptionalStageArg = None,
    *,
    status: Annotated[
        list[DeployStatus] | None,
        typer.Option("--status", metavar="STATUS", help=f"Only {', '.join(DeployStatus)}."),
    ] = None,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """List the newest deploys, of all projects, one, or a stage."""
    client = connect()
    query: dict[str, object] = {"limit": limit, **place_filter(client, project, stage)}
    if status:
        query["status"] = status
    items = client.get("/api/deploys", **query)["items"]
    if as_json:
        show.as_json(items)
    elif items:
        show.table(
            ("deploy", "project", "stage", "tag", "status", "by", "when", "why"),
            (
                (
                    item["id"],
                    item["project"]["name"],
                    item["stage"]["name"],
                    item["tag"],
                    item["status"],
                    item["trigger"],
                    show.timestamp(item["created_at"]),
                    # The reason of a cancelled one is the same word.
                    item["reason"] if item["reason"] != item["status"] else None,
                )
                for item in items
            ),
        )
    else:
        show.line("No deploy found.")


@app.command("show")
def deploys_show(deploy: DeployArg, *, as_json: JsonOption = False) -> None:
    """Show one deploy: its steps, its reason and its log."""
    found = call_deploy(deploy, connect().get)
    if as_json:
        show.as_json(found)
        return
    show_fields(found, without=("steps", "log", "receipt"))
    show.line("")
    show.table(
        ("step", "status", "took", "detail"),
        (
            (step["name"], step["status"], step_duration(step), step["detail"])
            for step in found["steps"]
        ),
    )
    if receipt := found.get("receipt"):
        show.line("\nreceipt:")
        show_receipt_table(receipt)
    if found["log"]:
        show.line(f"\nlog:\n{found['log'].rstrip()}")


@app.command("changes")
def deploys_changes(deploy: DeployArg, *, as_json: JsonOption = False) -> None:
    """Show what a deploy changes, or has changed.

    Commits, environment, image and configuration.
    """
    found = call_deploy(deploy, lambda path: connect().get(f"{path}/changes"))
    if as_json:
        show.as_json(found)
    else:
        show_comparison_table(found)


@app.command("logs")
def deploys_logs(deploy: DeployArg, *, as_json: JsonOption = False) -> None:
    """Show the log lines that a failed deploy has kept."""
    found = call_deploy(deploy, connect().get)
    if as_json:
        show.as_json({"lines": found["log"].splitlines()})
    elif found["log"]:
        show.line(found["log"].rstrip())
    else:
        where = f"{found['project']['name']} {found['stage']['name']}"
        show.progress(f"deploy {deploy} has kept no log; 'tagboat logs {where}' shows what runs")
