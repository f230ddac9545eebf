"""The process of a server or an edge: what both begin with, and how both say why they cannot."""

import os
import resource
import signal
import sys
from collections.abc import Callable

from tagboat.core.errors import TagboatError
from tagboat.logs import LogCall, configure_logging
from tagboat.settings import Settings


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that are to stop this process in good order."""
    stops = (signal.SIGTERM, signal.SIGINT)
    # Who began it with `nohup` wants it to outlive the terminal.
    is_deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return stops if is_deaf else (*stops, signal.SIGHUP)


def run_process(settings: Settings, work: Callable[[LogCall], int]) -> int:
    """Prepare this process and do its `work`; return the exit code, 1 if that raises TagboatError.

    `work` gets the function that logs calls.
    """
    # The data directory may exist already, readable for all.
    os.umask(0o077)
    # The soft limit is for programs that use select(); this one takes what the system allows.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # By default they end a process, at once. Not SIG_IGN, which each child would inherit.
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    log_call = configure_logging(settings.log_format, settings.log_level.number, sys.stderr)
    try:
        return work(log_call)
    except TagboatError as error:
        print(f"tagboat: {error}", file=sys.stderr)  # noqa: T201 - for the person who starts it
        return 1
