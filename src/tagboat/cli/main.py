"""Table of contents of the command line."""

from typing import Annotated

import typer

from tagboat import __version__
from tagboat.cli import (
    deliveries,
    deploys,
    env,
    import_compose,
    ingress,
    instances,
    projects,
    registries,
    secrets,
    settings,
    stages,
    tokens,
    users,
    volumes,
    webhook,
)
from tagboat.cli.adopt import adopt_command
from tagboat.cli.audit import audit_command
from tagboat.cli.backup import BACKUP_HELP, RESTORE_HELP, backup_command, restore_command
from tagboat.cli.cancel import cancel_command
from tagboat.cli.config_file import apply_command, diff_command, export_command
from tagboat.cli.context import current_context
from tagboat.cli.deploy import deploy_command, promote_command, rollback_command
from tagboat.cli.doctor import doctor_command
from tagboat.cli.edge import EDGE_HELP
from tagboat.cli.explain import explain_command
from tagboat.cli.hold import hold_command, release_command
from tagboat.cli.images import images_command, tags_command
from tagboat.cli.lifecycle import restart_command, start_command, stop_command
from tagboat.cli.login import login_command, logout_command
from tagboat.cli.logs import logs_command
from tagboat.cli.plain_errors import PlainErrorGroup
from tagboat.cli.poll import poll_command
from tagboat.cli.rotate_key import rotate_key_command
from tagboat.cli.run import run_command
from tagboat.cli.serve_help import SERVE_HELP
from tagboat.cli.status import status_command
from tagboat.cli.uninstall import UNINSTALL_HELP, uninstall_command
from tagboat.cli.whoami import whoami_command

PROGRAM_HELP = """Push an image: it goes live, or the old version stays.

On the server's machine, as the server's user, no token is needed. Elsewhere use 'tagboat login',
or set TAGBOAT_URL and TAGBOAT_TOKEN. Every command has a --help. Exit codes: 0 done, 1 failed, 2
wrong usage.
"""
PROGRAM_EXAMPLES = """\b
Examples:
  tagboat serve                           run the server
  tagboat webhook url                     the URL for your forge or CI to call
  tagboat deliveries                      calls of that URL, and their results
  tagboat explain git.example.com/app:v1  what a push of it would do, and why
  tagboat deploy app prod v1.2.3 --wait   deploy, and follow it to the end
  tagboat env set app prod LEVEL=debug    set a variable of one stage
  tagboat rollback app prod               back to what was live before
  tagboat status --json                   what is live where, for programs
  tagboat doctor                          problems, and what to do about them
"""

# Neither help nor errors by rich, which would load at each start.
app = typer.Typer(
    cls=PlainErrorGroup,
    help=PROGRAM_HELP,
    epilog=PROGRAM_EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"tagboat {__version__}")
        raise typer.Exit


@app.callback()
def tagboat_group(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _show_version(wanted=value),
            is_eager=True,
            help="Show the version.",
        ),
    ] = False,
) -> None:
    """See PROGRAM_HELP."""


@app.command("serve", help=SERVE_HELP)
def _serve_lazily() -> None:
    # typer must not be loaded when the server runs, see entry.py.
    from tagboat.cli.serve import serve_command

    raise typer.Exit(serve_command(current_context()))


@app.command("edge", help=EDGE_HELP)
def _edge_lazily() -> None:
    from tagboat.cli.edge import edge_command

    raise typer.Exit(edge_command(current_context()))


# In the order of `tagboat --help`.
app.command("rotate-key")(rotate_key_command)
app.command("status")(status_command)
app.command("images")(images_command)
app.command("tags")(tags_command)
app.command("deploy")(deploy_command)
app.command("rollback")(rollback_command)
app.command("promote")(promote_command)
app.command("cancel")(cancel_command)
app.command("hold")(hold_command)
app.command("release")(release_command)
app.command("restart")(restart_command)
app.command("stop")(stop_command)
app.command("start")(start_command)
# `-h` may be an option of the command that is run.
app.command("run", context_settings={"help_option_names": ["--help"]})(run_command)
app.command("logs")(logs_command)
app.command("explain")(explain_command)
app.command("poll")(poll_command)
app.command("audit")(audit_command)
app.command("export")(export_command)
app.command("diff")(diff_command)
app.command("apply")(apply_command)
app.command("adopt")(adopt_command)
app.add_typer(import_compose.app, name="import")
app.command("doctor")(doctor_command)
app.command("backup", help=BACKUP_HELP)(backup_command)
app.command("restore", help=RESTORE_HELP)(restore_command)
app.command("uninstall", help=UNINSTALL_HELP)(uninstall_command)
app.add_typer(projects.app, name="projects")
app.add_typer(stages.app, name="stages")
app.add_typer(env.app, name="env")
app.add_typer(secrets.app, name="secrets")
app.add_typer(deploys.app, name="deploys")
app.add_typer(instances.app, name="instances")
app.add_typer(volumes.app, name="volumes")
app.add_typer(settings.app, name="settings")
app.add_typer(registries.app, name="registries")
app.add_typer(webhook.app, name="webhook")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(ingress.app, name="ingress")
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="tokens")
app.command("login")(login_command)
app.command("logout")(logout_command)
app.command("whoami")(whoami_command)

program = typer.main.get_command(app)
"""The command line as a whole. Built once: that takes longer than most commands do."""
