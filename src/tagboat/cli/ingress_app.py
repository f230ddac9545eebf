"""The commands below `tagboat ingress`."""

import typer

from tagboat.cli.asking import Json, Yes
from tagboat.cli.place import this_place

RUN = """Run HAProxy in the foreground, for a service manager.

The server finds it running and leads it, so that restarting or updating the server drops no request. Give both the same
settings. contrib/tagboat-ingress.service is a unit for systemd.
"""
app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def show_ingress(ctx: typer.Context, *, json: Json = False) -> None:
    """Show whether HAProxy runs on this machine; or run or end it."""
    if ctx.invoked_subcommand is None:
        status(json=json)


@app.command()
def status(*, json: Json = False) -> None:
    """Show whether HAProxy runs, where it listens, and what keeps it.

    Exit code 1 if it should run and does not.
    """
    from tagboat.cli.ingress import status as command

    raise typer.Exit(command(this_place(), as_json=json))


@app.command(help=RUN)
def run() -> None:
    """See RUN."""
    from tagboat.cli.ingress import run as command

    raise typer.Exit(command(this_place()))


@app.command()
def stop(*, yes: Yes = False) -> None:
    """End HAProxy, which outlives the server on purpose.

    No stage answers at its address until it runs again. Stop the server first: it would start HAProxy again at once.
    """
    from tagboat.cli.ingress import stop as command

    raise typer.Exit(command(this_place(), sure=yes))
