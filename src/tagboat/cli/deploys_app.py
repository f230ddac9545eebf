"""The commands below `tagboat deploys`."""

from typing import Annotated

import typer

from tagboat.cli import complete
from tagboat.cli.asking import Json, OneProject, add_command, ask

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
Id = Annotated[str, typer.Argument(metavar="DEPLOY", help="The deploy's id.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=200, help="How many.")]


@app.callback()
def newest_deploys(ctx: typer.Context, *, limit: Limit = 20, json: Json = False) -> None:
    """List and show deploys, also those that have ended."""
    if ctx.invoked_subcommand is None:
        list_deploys(limit=limit, json=json)


def list_deploys(
    project: OneProject = None,
    stage: Annotated[
        str | None,
        typer.Argument(metavar="STAGE", help="Only this stage.", autocompletion=complete.stages),
    ] = None,
    *,
    status: Annotated[
        str | None, typer.Option("--status", help="Only queued, running, succeeded, failed …")
    ] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List the newest deploys, of all projects, one, or a stage."""
    from tagboat.cli.deploys import deploys as command

    ask(lambda client: command(client, project, stage, status=status, limit=limit, as_json=json))


add_command(app, list_deploys, "list", "ls")


@app.command("show")
def show_deploy(deploy: Id, *, json: Json = False) -> None:
    """Show one deploy: its steps, its reason, and what its app wrote."""
    from tagboat.cli.deploys import show_deploy as command

    ask(lambda client: command(client, deploy, as_json=json))


@app.command("logs")
def deploy_logs(deploy: Id, *, json: Json = False) -> None:
    """Show the log lines that a failed deploy has kept."""
    from tagboat.cli.deploys import deploy_logs as command

    ask(lambda client: command(client, deploy, as_json=json))
