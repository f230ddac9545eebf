"""The commands below `tagboat settings`."""

from typing import Annotated

import typer

from tagboat.cli.asking import Json, add_list, ask

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Such as poll_schedule.")]


def _list(*, json: bool) -> None:
    from tagboat.cli.settings import settings as command

    ask(lambda client: command(client, as_json=json))


@app.callback()
def list_settings(ctx: typer.Context, *, json: Json = False) -> None:
    """Show and change what can be set while the server runs."""
    if ctx.invoked_subcommand is None:
        _list(json=json)


add_list(app, _list, "List the settings and their values.")


@app.command("get")
def get_setting(name: Name, *, json: Json = False) -> None:
    """Show one setting's value."""
    from tagboat.cli.settings import get as command

    ask(lambda client: command(client, name, as_json=json))


@app.command("set")
def set_setting(
    name: Name,
    value: Annotated[
        str,
        typer.Argument(metavar="VALUE", help="JSON, such as false, 14 or '[\"a/*\"]'; or a text."),
    ],
    *,
    json: Json = False,
) -> None:
    """Change one setting; it holds from now on."""
    from tagboat.cli.settings import put as command

    ask(lambda client: command(client, name, value, as_json=json))
