"""`tagboat ingress`: HAProxy on this machine."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tagboat.cli import show
from tagboat.cli.context import CommandContext, current_context
from tagboat.cli.options import JsonOption, YesOption
from tagboat.cli.prompts import confirm
from tagboat.core.errors import TagboatError
from tagboat.data_dir import server_runs

if TYPE_CHECKING:
    from tagboat.settings import Settings

INGRESS_RUN_HELP = """Run HAProxy in the foreground, for a service manager.

The server finds it and updates its routes, so that restarting or updating the server drops no
request. Give both the same settings. contrib/tagboat-ingress.service is a unit for systemd.
"""
app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def ingress_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """Show whether HAProxy runs on this machine; or run or stop it."""
    if ctx.invoked_subcommand is None:
        ingress_status(as_json=as_json)


# As in other groups, although there is one thing to list.
@app.command("ls", hidden=True)
@app.command("list", hidden=True)
@app.command("status")
def ingress_status(*, as_json: JsonOption = False) -> None:
    """Show whether HAProxy runs, where it listens, and what runs it.

    Exit code 1 if it should run and does not.
    """
    from tagboat.ingress.process import running_master
    from tagboat.ingress.run_lock import run_lock_holder, runs_elsewhere
    from tagboat.settings import IngressKind

    settings = _local_settings(current_context())
    directory = _ingress_directory(settings)
    wanted = settings.ingress is IngressKind.HAPROXY
    # HAProxy is looked for itself: the server may be down while it runs.
    elsewhere, runner = runs_elsewhere(directory), run_lock_holder(directory)
    master = _answering_master(directory) if elsewhere else running_master(directory)
    listen = "{}:{}".format(*settings.ingress_listen)
    if as_json:
        show.as_json(
            {
                "ingress": settings.ingress,
                "listen": listen if wanted else None,
                "running": master is not None,
                "pid": master,
                "run_by": runner,
            }
        )
    elif master is not None and wanted:
        by = f"'tagboat ingress run' (process {runner})" if runner else "the server"
        by = "'tagboat ingress run' in another container" if elsewhere else by
        show.line(f"HAProxy runs (process {master}) and listens on {listen}; {by} keeps it running")
    elif master is not None:
        show.line(
            f"HAProxy still runs (process {master}), although the ingress is off; "
            "'tagboat ingress stop' ends it"
        )
    elif wanted:
        starter = "tagboat serve" if settings.starts_ingress else "tagboat ingress run"
        show.line(f"HAProxy does not run; '{starter}' starts it, to listen on {listen}")
    else:
        show.line(settings.why_no_ingress)
    if wanted != (master is not None) or settings.ingress_is_missing:
        raise typer.Exit(1)


@app.command("run", help=INGRESS_RUN_HELP)
def ingress_run() -> None:
    """See INGRESS_RUN_HELP."""
    import asyncio
    import sys

    from tagboat.ingress.config import ConfigInput
    from tagboat.ingress.runner import notify_ready, run_haproxy
    from tagboat.logs import configure_logging
    from tagboat.settings import IngressKind

    context = current_context()
    settings = context.settings()
    if settings.ingress is IngressKind.NONE:
        show.progress(f"tagboat: there is no ingress to run: {settings.why_no_ingress}")
        # 2 is what the unit for systemd does not restart after.
        raise typer.Exit(2)
    # Sockets and routes are for this user alone.
    os.umask(0o077)
    configure_logging(settings.log_format, settings.log_level.number, sys.stderr)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = ConfigInput(listen=settings.ingress_listen, trusted=settings.ingress_trusted)
    asyncio.run(
        run_haproxy(
            _ingress_directory(settings),
            wanted,
            lambda: notify_ready(context.environ.get("NOTIFY_SOCKET")),
        )
    )


@app.command("stop")
def ingress_stop(*, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Stop HAProxy, which keeps running when the server ends.

    No stage answers at its address until it runs again. Stop the server first: it would start
    HAProxy again at once.
    """
    from tagboat.ingress.process import our_processes
    from tagboat.ingress.run_lock import end_ingress, require_runner_here, run_lock_holder
    from tagboat.settings import IngressKind

    settings = _local_settings(current_context())
    directory = _ingress_directory(settings)
    runner = run_lock_holder(directory)
    if not our_processes(directory) and not runner:
        _show_stopped("HAProxy does not run here", ran=False, as_json=as_json)
        return
    require_runner_here(directory)
    if settings.ingress is IngressKind.HAPROXY and server_runs(settings.data_dir):
        raise TagboatError(
            "the server runs and would start HAProxy again at once. Stop it first (Ctrl-C, or "
            "'sudo systemctl stop tagboat'), or set TAGBOAT_INGRESS=none and restart it"
        )
    what = "no stage answers at its address until HAProxy runs again, and open requests are cut off"
    if not yes:
        confirm(f"HAProxy is stopped: {what}.", f"HAProxy would be stopped: {what}")
    end_ingress(directory)
    again = "sudo systemctl start tagboat-ingress" if runner else "tagboat serve"
    said = f"HAProxy is stopped; '{again}' starts it again"
    _show_stopped(said, ran=True, as_json=as_json)


def _show_stopped(said: str, *, ran: bool, as_json: bool) -> None:
    show.as_json({"stopped": ran, "running": False}) if as_json else show.line(said)


def _answering_master(directory: Path) -> int | None:
    """Return the process id that HAProxy's master reports of itself, None if it does not answer."""
    import asyncio

    from tagboat.core.errors import IngressUnavailableError
    from tagboat.ingress.master import Master

    try:
        return asyncio.run(Master(directory).processes()).master
    except IngressUnavailableError:
        return None


def _local_settings(context: CommandContext) -> "Settings":
    if (url := context.remote().url) is not None:
        raise TagboatError(
            f"HAProxy runs on the server's machine. Run this there, without TAGBOAT_URL ({url})"
        )
    return context.settings()


def _ingress_directory(settings: "Settings") -> Path:
    # HAProxy's processes are recognised by the absolute path in their command lines.
    return (settings.data_dir / "ingress").resolve()
