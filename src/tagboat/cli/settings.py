"""`tagboat settings`, and `get` and `set` below it."""

from typing import Annotated

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.fields import parse_value
from tagboat.cli.list_group import ListGroup
from tagboat.cli.options import JsonOption, connect
from tagboat.core.errors import NotFoundError

app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)
SettingArg = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Such as poll_schedule.", autocompletion=complete.setting_names
    ),
]


@app.callback()
def settings_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """Show and change the settings that need no restart."""
    if ctx.invoked_subcommand is None:
        settings_list(as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def settings_list(*, as_json: JsonOption = False) -> None:
    """List the settings and their values."""
    found = connect().get("/api/settings")
    if as_json:
        show.as_json(found)
    else:
        rows = ((name, _format_setting(value)) for name, value in found.items())
        show.table(("setting", "value"), rows)


@app.command("get")
def settings_get(name: SettingArg, *, as_json: JsonOption = False) -> None:
    """Show the value of one setting."""
    found = _settings_with(connect(), name)
    if as_json:
        show.as_json({name: found[name]})
    else:
        show.line(_format_setting(found[name]))


# Otherwise the parser takes the value -1 for an option.
@app.command("set", context_settings={"ignore_unknown_options": True})
def settings_set(
    name: SettingArg,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", help="JSON, such as false, -1 or '[\"a/*\"]'; or a string."
        ),
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Change one setting; it takes effect at once."""
    parsed = parse_value(value)
    if value.startswith("-") and isinstance(parsed, str):
        raise typer.BadParameter(f"no such option: {value}", param_hint="VALUE")
    client = connect()
    # A misspelt name would be refused as well, but without the list of names.
    _settings_with(client, name)
    saved = client.patch("/api/settings", {name: parsed})
    if as_json:
        show.as_json(saved)
    else:
        show.line(f"{name} is {_format_setting(saved[name])}")


def _settings_with(client: Client, name: str) -> ApiObject:
    """Return all settings. Raises NotFoundError that lists them if `name` is not one."""
    found = client.get("/api/settings")
    if name not in found:
        raise NotFoundError(f"there is no setting {name!r}; there are: {', '.join(found)}")
    return found


def _format_setting(value: object) -> str:
    return value if isinstance(value, str) else show.compact(value)
