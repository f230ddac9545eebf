"""The command line: what there is."""

from typing import Annotated

import typer

from tagboat import __version__
from tagboat.cli import (
    complete,
    deliveries_app,
    deploys_app,
    ingress_app,
    projects_app,
    registries_app,
    settings_app,
    stages_app,
    webhook_app,
)
from tagboat.cli.asking import Json, OneProject, Project, StageName, Wait, ask
from tagboat.cli.place import this_place
from tagboat.cli.settings_help import SERVE

HELP = """Push an image, and it is live, or the old one still is.

On the server's machine, as the server's user, no token is needed. Elsewhere set TAGBOAT_URL and TAGBOAT_TOKEN. Every command
has a --help. Exit codes: 0 done, 1 failed, 2 wrong usage.
"""
EXAMPLES = """\b
Examples:
  tagboat serve                           run the server
  tagboat webhook url                     the URL for your forge or CI to call
  tagboat deliveries                      who called it, and what came of it
  tagboat explain git.example.com/app:v1  what a push of it would do, and why
  tagboat deploy app prod v1.2.3 --wait   deploy, and see how it goes
  tagboat rollback app prod               back to what was live before
  tagboat status --json                   what is live where, for programs
  tagboat doctor                          what is wrong, and what to do
"""

app = typer.Typer(
    help=HELP,
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"tagboat {__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _version(wanted=value),
            is_eager=True,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """See HELP."""


@app.command(help=SERVE)
def serve() -> None:
    """See SERVE."""
    from tagboat.cli.serve import serve as command

    raise typer.Exit(command(this_place()))


@app.command("rotate-key")
def rotate_key() -> None:
    """Encrypt everything with a new key, while the server is stopped.

    All secrets in the database are encrypted again in one transaction; cut off at any moment, the old key fits, or the next
    start finds the new one. Stop every server on the database first.
    """
    from tagboat.cli.rotate_key import rotate_key as command

    raise typer.Exit(command(this_place()))


@app.command()
def status(*, json: Json = False) -> None:
    """Show what is live where, and the server's health.

    For every stage: the tags that are live, where they answer, since when, and how the last deploy went. Of previews side by
    side, each has a line.
    """
    from tagboat.cli.status import status as command

    ask(lambda client: command(client, as_json=json))


@app.command()
def images(
    registry: Annotated[
        str,
        typer.Argument(
            metavar="REGISTRY", help="The registry's name.", autocompletion=complete.registries
        ),
    ],
    *,
    json: Json = False,
) -> None:
    """List the images that a registry has.

    Many public ones do not tell theirs.
    """
    from tagboat.cli.registries import images as command

    ask(lambda client: command(client, registry, as_json=json))


@app.command()
def tags(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="Without a tag.", autocompletion=complete.images)
    ],
    *,
    json: Json = False,
) -> None:
    """List the tags that an image has in its registry.

    Any image: it need not be a project's.
    """
    from tagboat.cli.registries import tags as command

    ask(lambda client: command(client, image, as_json=json))


@app.command()
def deploy(
    project: Project,
    stage: StageName,
    tag: Annotated[
        str, typer.Argument(metavar="TAG", help="The tag to deploy.", autocompletion=complete.tags)
    ],
    *,
    wait: Wait = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also if that very digest is live already.")
    ] = False,
    json: Json = False,
) -> None:
    """Deploy a tag to a stage, whatever its pattern says.

    The old instance serves until the new one is healthy; without --wait the command only queues the deploy. With it, it
    goes on through a restart of the server.
    """
    from tagboat.cli.deploy import deploy as command

    ask(lambda client: command(client, project, stage, tag, force=force, wait=wait, as_json=json))


@app.command()
def rollback(
    project: Project,
    stage: StageName,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DEPLOY", help="What the deploy of that id brought."),
    ] = None,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Go back to what was live before in a stage, and hold it.

    The very digest comes back, with the configuration it had. No push undoes that until the stage is released.
    """
    from tagboat.cli.deploy import rollback as command

    ask(lambda client: command(client, project, stage, to=to, wait=wait, as_json=json))


@app.command()
def promote(
    project: Project,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="The stage that it is live in.", autocompletion=complete.stages
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="The stage to deploy it to.", autocompletion=complete.stages
        ),
    ],
    *,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Deploy to a stage the very digest that is live in another."""
    from tagboat.cli.deploy import promote as command

    ask(lambda client: command(client, project, source, target, wait=wait, as_json=json))


@app.command()
def cancel(
    deploy: Annotated[
        str,
        typer.Argument(
            metavar="DEPLOY|PROJECT",
            help="The deploy's id, or a project.",
            autocompletion=complete.projects,
        ),
    ],
    stage: Annotated[
        str | None,
        typer.Argument(
            metavar="STAGE",
            help="With a project: all that is on its way there.",
            autocompletion=complete.stages,
        ),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Cancel a deploy that is queued or running, or all of a stage.

    What was live before keeps serving. With a stage, --json gives a list.
    """
    from tagboat.cli import orders

    if stage is None:
        ask(lambda client: orders.cancel(client, deploy, as_json=json))
    ask(lambda client: orders.cancel_all(client, deploy, stage, as_json=json))


@app.command()
def hold(project: Project, stage: StageName, *, json: Json = False) -> None:
    """Let pushes and polls deploy nothing in a stage.

    What comes is kept for its release; deploys by hand go on.
    """
    from tagboat.cli.orders import hold as command

    ask(lambda client: command(client, project, stage, as_json=json))


@app.command()
def release(
    project: Project,
    stage: StageName,
    *,
    including: Annotated[
        bool, typer.Option("--including", help="Deploy what was taken back as well.")
    ] = False,
    json: Json = False,
) -> None:
    """Let pushes and polls deploy again in a stage.

    The newest that came while it was held is deployed. What failed after it was live, or was rolled back from, stays out
    unless it is asked for with --including.
    """
    from tagboat.cli.orders import release as command

    ask(lambda client: command(client, project, stage, including=including, as_json=json))


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

    ask(lambda client: command(client, project, stage, tail=tail, as_json=json))


@app.command()
def explain(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE:TAG", help="Such as git.example.com/acme/app:v1.2.3.")
    ],
    *,
    json: Json = False,
) -> None:
    """Say what a push would do, and why.

    Nothing is changed. Every stage that was tried is shown, up to the one that matches.
    """
    from tagboat.cli.explain import explain as command

    ask(lambda client: command(client, image, as_json=json))


@app.command()
def poll(project: OneProject = None, *, json: Json = False) -> None:
    """Look for new tags now, of one project or of all.

    The first poll of an image only records its tags. Exit code 1 if any poll failed.
    """
    from tagboat.cli.poll import poll as command

    ask(lambda client: command(client, project, as_json=json))


@app.command()
def doctor(*, json: Json = False) -> None:
    """Look for what is wrong, and say what to do.

    Settings, data directory, free disk, server, database, engine, ingress and registries. Exit code 1 if anything is wrong.
    """
    from tagboat.cli.doctor import doctor as command

    raise typer.Exit(command(this_place(), as_json=json))


app.add_typer(projects_app.app, name="projects")
app.add_typer(stages_app.app, name="stages")
app.add_typer(deploys_app.app, name="deploys")
app.add_typer(settings_app.app, name="settings")
app.add_typer(registries_app.app, name="registries")
app.add_typer(webhook_app.app, name="webhook")
app.add_typer(deliveries_app.app, name="deliveries")
app.add_typer(ingress_app.app, name="ingress")
