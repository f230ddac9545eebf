"""`tagboat rotate-key`."""

from tagboat.cli import show
from tagboat.cli.context import current_context
from tagboat.cli.options import JsonOption


def rotate_key_command(*, as_json: JsonOption = False) -> None:
    """Encrypt all secrets with a new key. Stop the server first.

    All secrets in the database are encrypted again in one transaction. If it is interrupted at
    any moment, the old key still works, or the next start finds the new one. First stop every
    server that uses the database.
    """
    from tagboat.data_dir import open_data_dir
    from tagboat.store import rotate_encryption_key

    settings = current_context().settings()
    # Its lock keeps a server from starting in the middle.
    with open_data_dir(settings.data_dir):
        count = rotate_encryption_key(settings.database_url, settings.data_dir)
    if as_json:
        show.as_json({"secrets": count, "key": str(settings.data_dir / "encryption.key")})
        return
    show.line(
        f"{count} secrets are encrypted with a new key. Back up {settings.data_dir}/encryption.key"
    )
    show.line("Older backups need the old key: keep it with them, or delete both.")
    if settings.database_url is not None:
        show.line(
            "Copy the key to the data directories of all other servers on this database before "
            "you start them."
        )
