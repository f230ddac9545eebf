"""`tagboat serve`. Its options are in main.py: the server runs without loading typer."""

import sys

from tagboat.cli.context import CommandContext


def serve_command(context: CommandContext) -> int:
    """Run the server until it is stopped; return the exit code."""
    settings = context.settings(dotenv=True)
    # structlog loads rich wherever it is installed, 6 MB that the server never uses. None in
    # sys.modules makes the import fail.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    # Imported after the line above, which it depends on.
    from tagboat.app import serve

    return serve(settings)
