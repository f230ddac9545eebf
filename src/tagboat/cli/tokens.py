"""`tagboat tokens`, and the commands below it."""

from typing import Annotated, Literal

import typer

from tagboat.cli import complete, show
from tagboat.cli.list_group import ListGroup
from tagboat.cli.names import find_token
from tagboat.cli.options import JsonOption, YesOption, connect
from tagboat.cli.prompts import confirm
from tagboat.cli.users import LimitedProjectsOption, show_limit

app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)
TokenRoleWord = Literal["metrics", "viewer", "deployer", "admin"]


@app.callback()
def tokens_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """List the tokens of programs."""
    if ctx.invoked_subcommand is None:
        tokens_list(as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def tokens_list(*, as_json: JsonOption = False) -> None:
    """List the tokens, without their secrets."""
    items = connect().items("/api/tokens")
    if as_json:
        show.as_json(items)
    elif items:
        show.table(
            ("name", "role", "expires", "last use", "projects"),
            (
                (
                    item["name"],
                    item["role"],
                    show.timestamp(item["expires_at"]) or "never",
                    show.timestamp(item["used_at"]),
                    show_limit(item),
                )
                for item in items
            ),
        )
    else:
        show.line("There is no token yet; 'tagboat tokens create NAME' makes one.")


@app.command("add", hidden=True)
@app.command("create")
def tokens_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as ci.")],
    *,
    role: Annotated[
        TokenRoleWord,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="metrics (reads /metrics), viewer, deployer or admin.",
        ),
    ] = "deployer",
    projects: LimitedProjectsOption = None,
    days: Annotated[
        int | None,
        typer.Option(
            "--expires-in", metavar="DAYS", min=1, max=3650, help="Days that it holds (for ever)."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token, and show it, this once.

    Give it to a program as TAGBOAT_TOKEN, or in the header Authorization: Bearer TOKEN.
    """
    body = {"name": name, "role": role, "projects": projects or None, "expires_in_days": days}
    made = connect().post("/api/tokens", body)
    if as_json:
        show.as_json(made)
        return
    # Not on stdout, where a script wants the token alone.
    show.progress("Save it now: it is not shown again.")
    show.line(made["token"])


@app.command("remove", hidden=True)
@app.command("delete")
def tokens_delete(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The token's name.", autocompletion=complete.token_names
        ),
    ],
    *,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a token; it opens nothing from then on."""
    client = connect()
    found = find_token(client, name)
    if not yes:
        confirm(
            f"The token {found['name']} is deleted.", f"the token {found['name']} would be deleted"
        )
    client.delete(f"/api/tokens/{found['id']}")
    if as_json:
        show.as_json(found)
    else:
        show.line(f"the token {found['name']} is deleted")
