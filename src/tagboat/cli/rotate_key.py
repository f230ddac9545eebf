"""`tagboat rotate-key`."""

from tagboat.cli import show
from tagboat.cli.place import Place


def rotate_key(place: Place) -> int:
    """Have all that is encrypted in the database encrypted with a new key, while no server runs."""
    from tagboat.data_dir import open_data_dir
    from tagboat.store import rotate_encryption_key as rotate

    settings = place.settings()
    with open_data_dir(settings.data_dir):
        count = rotate(settings.database_url, settings.data_dir)
    show.line(
        f"{count} secrets are encrypted with a new key; back up {settings.data_dir}/encryption.key"
    )
    show.line("Backups of before need the key of before: keep it with them, or delete both.")
    if settings.database_url is not None:
        show.line(
            "Copy the key to the data directories of all other servers on this database before you start them."
        )
    return 0
