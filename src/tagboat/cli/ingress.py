"""`tagboat ingress`, and `run` and `stop` below it: HAProxy on this machine."""

import os
import signal
import time
from pathlib import Path

from tagboat.cli import show
from tagboat.cli.given import confirm
from tagboat.cli.place import Place
from tagboat.core.errors import TagboatError
from tagboat.data_dir import server_runs
from tagboat.ingress.process import end_haproxy, our_processes, running_master
from tagboat.ingress.run_lock import run_lock_holder
from tagboat.settings import IngressKind, Settings

_ENDS_S = 20.0


def status(place: Place, *, as_json: bool) -> int:
    """Show whether HAProxy runs, where it listens and what keeps it running; 1 if it should run and does not."""
    settings = _settings(place)
    directory = _directory(settings)
    wanted = settings.ingress is IngressKind.HAPROXY
    master, runner = running_master(directory), run_lock_holder(directory)
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
        keeper = f"'tagboat ingress run' (process {runner})" if runner else "the server"
        show.line(
            f"HAProxy runs (process {master}) and listens on {listen}; {keeper} keeps it running"
        )
    elif master is not None:
        show.line(
            f"HAProxy still runs (process {master}), though there is to be no ingress; 'tagboat ingress stop' ends it"
        )
    elif wanted:
        show.line(f"HAProxy does not run; 'tagboat serve' starts it, to listen on {listen}")
    else:
        show.line(settings.why_no_ingress)
    return 0 if wanted == (master is not None) and not settings.ingress_is_missing else 1


def run(place: Place) -> int:
    """Run HAProxy in the foreground until told to stop."""
    import asyncio
    import sys

    from tagboat.ingress.config import ConfigInput
    from tagboat.ingress.runner import notify_ready, run_haproxy
    from tagboat.logs import configure_logging

    settings = place.settings()
    if settings.ingress is IngressKind.NONE:
        show.progress(f"tagboat: there is no ingress to run: {settings.why_no_ingress}")
        return 2
    os.umask(0o077)
    configure_logging(settings.log_format, settings.log_level.number, sys.stderr)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = ConfigInput(listen=settings.ingress_listen, trusted=settings.ingress_trusted)
    asyncio.run(
        run_haproxy(
            _directory(settings), wanted, lambda: notify_ready(place.environ.get("NOTIFY_SOCKET"))
        )
    )
    return 0


def stop(place: Place, *, sure: bool) -> int:
    """End HAProxy, with the requests that go through it. Raises TagboatError while a server would start it again at once."""
    settings = _settings(place)
    directory = _directory(settings)
    runner = run_lock_holder(directory)
    found = our_processes(directory)
    if not found and not runner:
        show.line("no HAProxy runs here")
        return 0
    if settings.ingress is IngressKind.HAPROXY and server_runs(settings.data_dir):
        raise TagboatError(
            "the server runs and would start HAProxy again at once: stop the server first (Ctrl-C, or 'sudo systemctl stop "
            "tagboat'), or set TAGBOAT_INGRESS=none and restart it, which ends HAProxy"
        )
    what = "no stage answers at its address until HAProxy runs again, and requests under way are cut off"
    if not sure:
        confirm(f"HAProxy is ended: {what}.", f"HAProxy would be ended: {what}")
    if runner:
        _end_runner(runner, directory)
    end_haproxy(directory)
    again = "sudo systemctl start tagboat-ingress" if runner else "tagboat serve"
    show.line(f"HAProxy is ended; '{again}' starts it again")
    return 0


def _end_runner(pid: int, directory: Path) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise TagboatError(
            f"'tagboat ingress run' (process {pid}) belongs to another user: run this as that user, or end its service with "
            "'sudo systemctl stop tagboat-ingress'"
        ) from None
    end = time.monotonic() + _ENDS_S
    while run_lock_holder(directory) and time.monotonic() < end:
        time.sleep(0.05)


def _settings(place: Place) -> Settings:
    if (url := place.remote().url) is not None:
        raise TagboatError(
            f"HAProxy runs on the server's machine: run this there, without TAGBOAT_URL ({url})"
        )
    return place.settings()


def _directory(settings: Settings) -> Path:
    return (settings.data_dir / "ingress").resolve()
