"""The commands below `tagboat deliveries`."""

from typing import Annotated

import typer

from tagboat.cli import complete
from tagboat.cli.asking import Json, ask

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
Id = Annotated[
    str, typer.Argument(metavar="ID", help="The delivery's id.", autocompletion=complete.deliveries)
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=200, help="How many.")]


@app.callback()
def list_deliveries(
    ctx: typer.Context,
    *,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List the newest calls of the webhook and what came of them.

    Of each: who called, how it was answered, and why, in a sentence.
    """
    if ctx.invoked_subcommand is None:
        newest(limit=limit, json=json)


@app.command("ls", hidden=True)
@app.command("list")
def newest(*, limit: Limit = 20, json: Json = False) -> None:
    """List the newest calls, as without a command."""
    from tagboat.cli.deliveries import deliveries as command

    ask(lambda client: command(client, limit=limit, as_json=json))


@app.command("show")
def show(delivery: Id, *, json: Json = False) -> None:
    """Show one call whole: what was sent, and what came of it."""
    from tagboat.cli.deliveries import show_delivery as command

    ask(lambda client: command(client, delivery, as_json=json))


@app.command("redeliver")
def redeliver(delivery: Id, *, json: Json = False) -> None:
    """Take one call in once more, as if it came now."""
    from tagboat.cli.deliveries import redeliver as command

    ask(lambda client: command(client, delivery, as_json=json))
