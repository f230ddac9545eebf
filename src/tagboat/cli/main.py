"""The command line: what there is, and how failures are told."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer

from tagboat import __version__
from tagboat.cli.client import Client
from tagboat.cli.place import Place
from tagboat.core.errors import TagboatError

HELP = """Push an image, and it is live, or the old one still is.

On the server's machine no token is needed: the server leaves word in its data directory. Elsewhere set TAGBOAT_URL and
TAGBOAT_TOKEN. Exit codes: 0 done, 1 failed, 2 wrong usage.
"""
EXAMPLES = """\b
Examples:
  tagboat serve                                 run the server
  tagboat webhook url                           the secret URL to give to your forge, registry or CI
  tagboat explain git.example.com/acme/app:v1   what a push of that would do, and why
  tagboat deploy app prod v1.2.3 --wait         deploy, and see how it goes
  tagboat rollback app prod                     back to what was live before; the stage is held then
  tagboat status --json                         what is live where, for programs
  tagboat doctor                                what is wrong, and what to do about it
"""

app = typer.Typer(help=HELP, epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
webhook = typer.Typer(help="Show the webhook's secret URL, or make a new one.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(webhook, name="webhook")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")]
StageName = Annotated[str, typer.Argument(metavar="STAGE", help="The stage's name.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit 1 unless it succeeds.")]


def run() -> None:
    """Run the command line and end the process: 0 done, 1 failed, 2 usage. A failure is one line on stderr."""
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    try:
        try:
            app(prog_name="tagboat")
        finally:
            sys.stdout.flush()
    except TagboatError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _leave_stdout()
        sys.exit(1)
    except OSError as error:
        _leave_stdout()
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")


def _fail(words: str) -> NoReturn:
    print(f"tagboat: {' '.join(words.split())}", file=sys.stderr)  # noqa: T201 - how failures are told
    sys.exit(1)


def _leave_stdout() -> None:
    """Let what is still to be written go nowhere: Python would try again at its end, and complain."""
    with _nowhere() as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _nowhere() -> TextIO:
    """What stands in for a stream that is closed."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _place() -> Place:
    try:
        return Place(os.environ, Path.cwd(), sys.stderr.isatty())
    except FileNotFoundError:
        raise TagboatError("the working directory is gone; change to another one") from None


def _ask(command: Callable[[Client], int]) -> NoReturn:
    """Run a command against the server and end with its exit code."""
    place = _place()
    raise typer.Exit(command(Client(place.server(), place.server)))


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
    """Run the server until it is told to stop.

    Settings come from the environment and from .env; README.md lists them.
    """
    from tagboat.cli.serve import serve as command

    raise typer.Exit(command(_place()))


@app.command()
def status(*, json: Json = False) -> None:
    """Show what is live where, and the server's health.

    For every stage: the tags that are live, where they answer, since when, and how the last deploy went. Of previews side by
    side, each has a line.
    """
    from tagboat.cli.status import status as command

    _ask(lambda client: command(client, as_json=json))


@app.command()
def projects(*, json: Json = False) -> None:
    """List the projects, their stages and last polls."""
    from tagboat.cli.projects import projects as command

    _ask(lambda client: command(client, as_json=json))


@app.command()
def deploy(
    project: Project,
    stage: StageName,
    tag: Annotated[str, typer.Argument(metavar="TAG", help="The tag to deploy.")],
    *,
    wait: Wait = False,
    force: Annotated[bool, typer.Option("--force", help="Also if that very digest is live already.")] = False,
    json: Json = False,
) -> None:
    """Deploy a tag to a stage, whatever its pattern says.

    The old instance serves until the new one is healthy; without --wait the command only queues the deploy. With it, it
    goes on through a restart of the server.
    """
    from tagboat.cli.deploy import deploy as command

    _ask(lambda client: command(client, project, stage, tag, force=force, wait=wait, as_json=json))


@app.command()
def rollback(
    project: Project,
    stage: StageName,
    *,
    to: Annotated[str | None, typer.Option("--to", metavar="DEPLOY", help="What the deploy of that id brought.")] = None,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Go back to what was live before in a stage, and hold it.

    The very digest comes back, with the configuration it had. No push undoes that until the stage is released.
    """
    from tagboat.cli.deploy import rollback as command

    _ask(lambda client: command(client, project, stage, to=to, wait=wait, as_json=json))


@app.command()
def promote(
    project: Project,
    source: Annotated[str, typer.Argument(metavar="FROM", help="The stage that it is live in.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The stage to deploy it to.")],
    *,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Deploy to a stage the very digest that is live in another."""
    from tagboat.cli.deploy import promote as command

    _ask(lambda client: command(client, project, source, target, wait=wait, as_json=json))


@app.command()
def cancel(
    deploy: Annotated[str, typer.Argument(metavar="DEPLOY|PROJECT", help="The deploy's id, or a project.")],
    stage: Annotated[str | None, typer.Argument(metavar="STAGE", help="With a project: all that is on its way there.")] = None,
    *,
    json: Json = False,
) -> None:
    """Cancel a deploy that is queued or running, or all of a stage.

    What was live before keeps serving. With a stage, --json gives a list.
    """
    from tagboat.cli import orders

    if stage is None:
        _ask(lambda client: orders.cancel(client, deploy, as_json=json))
    _ask(lambda client: orders.cancel_all(client, deploy, stage, as_json=json))


@app.command()
def hold(project: Project, stage: StageName, *, json: Json = False) -> None:
    """Let pushes and polls deploy nothing in a stage.

    What comes is kept for its release; deploys by hand go on.
    """
    from tagboat.cli.orders import hold as command

    _ask(lambda client: command(client, project, stage, as_json=json))


@app.command()
def release(project: Project, stage: StageName, *, json: Json = False) -> None:
    """Let pushes and polls deploy again in a stage.

    The newest that came while it was held is deployed.
    """
    from tagboat.cli.orders import release as command

    _ask(lambda client: command(client, project, stage, as_json=json))


@app.command()
def logs(
    project: Project,
    stage: StageName,
    *,
    tail: Annotated[int, typer.Option("--tail", min=1, max=10000, help="How many lines.")] = 100,
    json: Json = False,
) -> None:
    """Show the last log lines of what runs in a stage.

    Where nothing runs: those that the last failed deploy has left.
    """
    from tagboat.cli.logs import logs as command

    _ask(lambda client: command(client, project, stage, tail=tail, as_json=json))


@app.command()
def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE:TAG", help="Such as git.example.com/acme/app:v1.2.3.")],
    *,
    json: Json = False,
) -> None:
    """Say what a push would do, and why.

    Nothing is changed. Every stage that was tried is shown, up to the one that matches.
    """
    from tagboat.cli.explain import explain as command

    _ask(lambda client: command(client, image, as_json=json))


@app.command()
def poll(
    project: Annotated[str | None, typer.Argument(metavar="PROJECT", help="Only this one.")] = None, *, json: Json = False
) -> None:
    """Look for new tags now, of one project or of all.

    The first poll of an image only records its tags. Exit code 1 if any poll failed.
    """
    from tagboat.cli.poll import poll as command

    _ask(lambda client: command(client, project, as_json=json))


@webhook.command("url")
def webhook_url(*, json: Json = False) -> None:
    """Show the secret URL for your forge, registry or CI."""
    from tagboat.cli.webhook import webhook_url as command

    _ask(lambda client: command(client, as_json=json))


@webhook.command("regenerate")
def webhook_regenerate(*, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, json: Json = False) -> None:
    """Make a new URL; the old one stops working at once."""
    from tagboat.cli.webhook import webhook_regenerate as command

    _ask(lambda client: command(client, sure=yes, as_json=json))


@app.command()
def doctor(*, json: Json = False) -> None:
    """Look for what is wrong, and say what to do.

    Settings, data directory, free disk, server, database, engine and registries. Exit code 1 if anything is wrong.
    """
    from tagboat.cli.doctor import doctor as command

    raise typer.Exit(command(_place(), as_json=json))
