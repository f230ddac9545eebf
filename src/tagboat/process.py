"""The process of a server or an edge: what both begin with, and how both say why they cannot."""

import os
import resource
import sys
from collections.abc import Callable

from tagboat.core.errors import TagboatError
from tagboat.logs import LogCall, configure_logging
from tagboat.settings import Settings


def run_process(settings: Settings, work: Callable[[LogCall], int]) -> int:
    """Prepare this process and do its `work`; return the exit code, 1 if that raises TagboatError.

    `work` gets the function that logs calls.
    """
    # The data directory may exist already, readable for all.
    os.umask(0o077)
    # The soft limit is for programs that use select(); this one takes what the system allows.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    log_call = configure_logging(settings.log_format, settings.log_level.number, sys.stderr)
    try:
        return work(log_call)
    except TagboatError as error:
        print(f"tagboat: {error}", file=sys.stderr)  # noqa: T201 - for the person who starts it
        return 1
