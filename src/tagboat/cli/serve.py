"""`tagboat serve`."""

import sys

from tagboat.cli.place import Place


def serve(place: Place) -> int:
    """Run the server until it is told to stop."""
    settings = place.settings(dotenv=True)
    # structlog loads rich wherever it is installed, 6 MB for what the server never does. None says that it is not there.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    from tagboat.app import serve as run

    return run(settings)
