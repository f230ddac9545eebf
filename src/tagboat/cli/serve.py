"""`tagboat serve`."""

from tagboat.cli.place import Place


def serve(place: Place) -> int:
    """Run the server until it is told to stop."""
    settings = place.settings()
    from tagboat.main import serve as run

    return run(settings)
