"""`tagboat serve`. Its options are in main.py: the server runs without loading typer."""

import gc
import sys
from types import ModuleType

from tagboat.cli.context import CommandContext

ABSENT = ("pydantic.v1", "rich")
"""Modules that libraries load wherever they are installed, and do without where they are not.

FastAPI looks for models of pydantic's first version, structlog prints tracebacks in colours.
"""
_UVICORNS_COMMAND = "uvicorn.main"
"""Module that uvicorn imports for its own command line, with click and multiprocessing."""


def serve_command(context: CommandContext) -> int:
    """Run the server until it is stopped; return the exit code."""
    settings = context.settings(dotenv=True)
    leave_out()
    # What is loaded stays: looking for garbage in it takes a fifth of the time of loading.
    gc.disable()
    # Imported after leave_out, which it depends on.
    from tagboat.app import serve

    gc.freeze()
    gc.enable()
    return serve(settings)


def leave_out() -> None:
    """Keep modules from loading that the server never uses: 10 MB."""
    for name in ABSENT:
        # None makes the import fail.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    empty = ModuleType(_UVICORNS_COMMAND)
    # The names that uvicorn takes from it. It is pinned, see http/server.py.
    vars(empty).update(dict.fromkeys(("Server", "main", "run")))
    sys.modules.setdefault(_UVICORNS_COMMAND, empty)
