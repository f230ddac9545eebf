"""The commands below `tagboat webhook`."""

from typing import Annotated

import typer

from tagboat.cli import complete
from tagboat.cli.asking import Json, OneProject, Project, Yes, ask

app = typer.Typer(
    help="Show the webhook's secret URL, make a new one, or make others for one project's image each.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
HookName = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.", autocompletion=complete.hooks)]


@app.command("url")
def url(*, json: Json = False) -> None:
    """Show the secret URL for your forge, registry or CI."""
    from tagboat.cli.webhook import webhook_url as command

    ask(lambda client: command(client, as_json=json))


@app.command("regenerate")
def regenerate(*, yes: Yes = False, json: Json = False) -> None:
    """Make a new URL; the old one stops working at once."""
    from tagboat.cli.webhook import webhook_regenerate as command

    ask(lambda client: command(client, sure=yes, as_json=json))


@app.command("list")
def list_hooks(project: OneProject = None, *, json: Json = False) -> None:
    """List the webhook URLs that take one project's image only, without their secrets."""
    from tagboat.cli.webhook import webhook_list as command

    ask(lambda client: command(client, project, as_json=json))


@app.command("add")
def add(
    project: Project,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it, such as the sender's name.")],
    *,
    json: Json = False,
) -> None:
    """Make a URL that takes news of one project's image only, and show it.

    It is shown this once.
    """
    from tagboat.cli.webhook import webhook_add as command

    ask(lambda client: command(client, project, name, as_json=json))


@app.command("rotate")
def rotate(project: Project, name: HookName, *, yes: Yes = False, json: Json = False) -> None:
    """Make a new URL of that name; the old one stops working at once."""
    from tagboat.cli.webhook import webhook_rotate as command

    ask(lambda client: command(client, project, name, sure=yes, as_json=json))


@app.command("revoke")
def revoke(project: Project, name: HookName, *, yes: Yes = False, json: Json = False) -> None:
    """Let a URL be unknown from now on."""
    from tagboat.cli.webhook import webhook_revoke as command

    ask(lambda client: command(client, project, name, sure=yes, as_json=json))
