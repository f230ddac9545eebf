"""The command line: what there is, and how failures are told."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tagboat import __version__
from tagboat.cli.client import Client
from tagboat.cli.place import Place
from tagboat.core.errors import TagboatError

HELP = """Push an image, and it is live, or the old one still is.

On the server's machine no token is needed. Elsewhere set TAGBOAT_URL and TAGBOAT_TOKEN.

Examples:

  tagboat serve                            run the server

  tagboat webhook url                      the secret URL for your forge

  tagboat explain git.example.com/a/b:v1   what a push would do, and why

  tagboat deploy app prod v1.2.3 --wait    deploy, and see how it goes

  tagboat doctor                           what is wrong, and the mend
"""

app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
webhook = typer.Typer(help="The webhook's secret URL.", no_args_is_help=True)
app.add_typer(webhook, name="webhook")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")]
StageName = Annotated[str, typer.Argument(metavar="STAGE", help="The stage's name.")]


def run() -> None:
    """Run the command line. Every failure is one line on stderr; exit codes are 0 done, 1 failed, 2 usage."""
    try:
        app()
    except TagboatError as error:
        print(f"tagboat: {error}", file=sys.stderr)  # noqa: T201 - how failures are told
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read has seen enough; there must be nothing left to flush into the void.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _place() -> Place:
    return Place(os.environ, Path.cwd(), sys.stderr.isatty())


def _ask(command: Callable[[Client], int]) -> None:
    """Run a command against the server and end with its exit code."""
    raise typer.Exit(command(Client(_place().server())))


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"tagboat {__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=lambda value: _version(wanted=value), is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """See HELP."""


@app.command()
def serve() -> None:
    """Run the server. Settings come from the environment and from .env; README.md lists them."""
    from tagboat.cli.serve import serve as command

    raise typer.Exit(command(_place()))


@app.command()
def status(*, json: Json = False) -> None:
    """Show the server's health, what is live in every stage, and how the last deploy went."""
    from tagboat.cli.status import status as command

    _ask(lambda client: command(client, as_json=json))


@app.command()
def projects(*, json: Json = False) -> None:
    """List the projects."""
    from tagboat.cli.status import projects as command

    _ask(lambda client: command(client, as_json=json))


@app.command()
def deploy(
    project: Project,
    stage: StageName,
    tag: Annotated[str, typer.Argument(metavar="TAG", help="The tag to deploy.")],
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit 1 unless it succeeds.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if that very digest is live already.")] = False,
    json: Json = False,
) -> None:
    """Deploy a tag in a stage."""
    from tagboat.cli.deploy import deploy as command

    _ask(lambda client: command(client, project, stage, tag, force=force, wait=wait, as_json=json))


@app.command()
def logs(
    project: Project,
    stage: StageName,
    *,
    tail: Annotated[int, typer.Option("--tail", min=1, max=10000, help="How many lines.")] = 100,
    json: Json = False,
) -> None:
    """Show the last log lines of what runs in a stage."""
    from tagboat.cli.deploy import logs as command

    _ask(lambda client: command(client, project, stage, tail=tail, as_json=json))


@app.command()
def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE:TAG", help="Such as git.example.com/acme/app:v1.2.3.")],
    *,
    json: Json = False,
) -> None:
    """Say what a push of an image would do, and why; nothing is changed."""
    from tagboat.cli.news import explain as command

    _ask(lambda client: command(client, image, as_json=json))


@app.command()
def poll(
    project: Annotated[str | None, typer.Argument(metavar="[PROJECT]", help="Only this one.")] = None, *, json: Json = False
) -> None:
    """Poll the registries now, for one project or all."""
    from tagboat.cli.news import poll as command

    _ask(lambda client: command(client, project, as_json=json))


@webhook.command("url")
def webhook_url(*, json: Json = False) -> None:
    """Show the secret URL to give to your forge, registry or CI."""
    from tagboat.cli.news import webhook_url as command

    _ask(lambda client: command(client, as_json=json))


@webhook.command("regenerate")
def webhook_regenerate(*, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, json: Json = False) -> None:
    """Make a new secret URL; the old one stops working at once."""
    from tagboat.cli.news import webhook_regenerate as command

    _ask(lambda client: command(client, sure=yes, as_json=json))


@app.command()
def doctor(*, json: Json = False) -> None:
    """Check engine, database, registries and free disk, and say what to do."""
    from tagboat.cli.doctor import doctor as command

    raise typer.Exit(command(_place(), as_json=json))
