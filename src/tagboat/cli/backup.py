"""`tagboat backup` and `tagboat restore`: on the server's machine, without the server."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagboat.cli import show
from tagboat.cli.context import CommandContext, current_context
from tagboat.cli.options import JsonOption
from tagboat.cli.prompts import is_interactive, prompt_new_secret, prompt_secret, read_text_file
from tagboat.core.errors import TagboatError
from tagboat.data_dir import check_data_dir

if TYPE_CHECKING:
    from tagboat.installation.backup import BackupReport
    from tagboat.settings import Settings
    from tagboat.store.snapshot import DatabasePlace

PIPE = "-"
BackupFileArg = Annotated[
    str, typer.Argument(metavar="FILE", help="The backup; - for standard output or input.")
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Read the passphrase from FILE."),
]
BACKUP_HELP = """Write everything that Tagboat knows into one file.

Works while the server runs, and while it does not. The file has the database and the encryption
key. Anybody who has it can read all secrets: keep it safe, or use --encrypt. Not in it: the data in
volumes, images, and the settings in the environment.

\b
Examples:
  tagboat backup /backup/tagboat.tar.gz
  tagboat backup --encrypt tagboat.tar.gz
  tagboat backup - | ssh other 'cat > tagboat.tar.gz'
"""
RESTORE_HELP = """Restore a backup into an empty data directory.

The server must be stopped, and so must the one that the backup was made of. Only the version of
Tagboat that made the backup restores it. Then 'tagboat serve' starts every live stage again. With
PostgreSQL, TAGBOAT_DATABASE_URL names an empty database.

\b
Examples:
  tagboat restore /backup/tagboat.tar.gz
  TAGBOAT_DATA_DIR=/srv/tagboat tagboat restore tagboat.tar.gz
"""


def backup_command(
    file: BackupFileArg,
    *,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt the key with a passphrase.")
    ] = False,
    passphrase_file: PassphraseOption = None,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Leave the encryption key out.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """See BACKUP_HELP."""
    from tagboat.core.audit import AuditAction
    from tagboat.installation.backup import BackupOrder, pipe_backup, write_backup
    from tagboat.store.local_audit import record_local_action

    if without_key and (encrypt or passphrase_file):
        raise typer.BadParameter("--without-key leaves nothing to encrypt", param_hint="--encrypt")
    place = database_place(local_settings(current_context(), "A backup is made"))
    if not place.data_dir.exists():
        raise TagboatError(
            f"the data directory {place.data_dir} does not exist; set TAGBOAT_DATA_DIR to that of "
            "the server"
        )
    # Files that SQLite makes next to the database must be the server's own.
    check_data_dir(place.data_dir)
    _prepare_process()
    passphrase = None
    if encrypt or passphrase_file:
        passphrase = prompt_new_secret("passphrase", passphrase_file)
    order = BackupOrder(with_key=not without_key, passphrase=passphrase)
    target = "standard output" if file == PIPE else str(Path(file).resolve())
    with errors_name(target):
        if file != PIPE:
            report = write_backup(place, Path(file), order, replace=force)
        elif sys.stdout.isatty():
            raise TagboatError("a backup is not text: send it to a file or a pipe, or name a FILE")
        else:
            report = pipe_backup(place, sys.stdout.buffer, order)
            sys.stdout.buffer.flush()
    key = {"plain": "with the key", "passphrase": "with the key under a passphrase"}
    note = f"to {target}, {key.get(report.manifest.key, 'without the key')}"
    try:
        record_local_action(place.url, place.data_dir, AuditAction.SERVER_BACKUP, note)
    except TagboatError as error:
        # The backup is whole, and better than none.
        show.progress(f"note: the audit has no entry of this backup: {error}")
    if as_json and file != PIPE:
        outside = [asdict(one) for one in report.outside]
        show.as_json({"file": file, **asdict(report.manifest), "volumes": outside})
        return
    # Standard output may be the backup itself.
    say = show.progress if file == PIPE else show.line
    for line in describe_backup(report, file, place.data_dir):
        say(line)


def describe_backup(report: "BackupReport", file: str, data_dir: Path) -> list[str]:
    """Return lines about a backup: what it has, who can read it, and what it has not."""
    from tagboat.installation.manifest import KeyInBackup

    manifest = report.manifest
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[manifest.database]
    count = f"{report.projects} project{'' if report.projects == 1 else 's'}"
    name = "The backup" if file == PIPE else file
    lines = [f"{name} has the whole database: {count}, {kind}, schema {manifest.schema}."]
    key = data_dir / "encryption.key"
    lines.append(
        {
            KeyInBackup.PLAIN: "It has the encryption key: whoever has the file can read all "
            "secrets. --encrypt protects the key with a passphrase.",
            KeyInBackup.PASSPHRASE: "Its encryption key is protected by the passphrase. Without "
            "that, nobody can restore it: keep it elsewhere.",
            KeyInBackup.ABSENT: "It has no encryption key. Without the key its secrets cannot be "
            f"read, and it cannot be restored: keep a copy of {key} elsewhere.",
        }[manifest.key]
    )
    if report.outside:
        lines.append("Not in it is the data in these volumes:")
        lines += [
            f"  {one.volume} ({one.project} {one.stage}, {one.path})" for one in report.outside
        ]
    return lines


def restore_command(
    file: BackupFileArg,
    *,
    passphrase_file: PassphraseOption = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="FILE", help="The key of a backup without one."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also if the directory is not empty; keep what is there."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """See RESTORE_HELP."""
    from tagboat.installation.archive import open_backup
    from tagboat.installation.restore import KeySources, restore_backup

    place = database_place(local_settings(current_context(), "A backup is restored"))
    _prepare_process()
    if file == PIPE and is_interactive():
        raise TagboatError("standard input is a terminal: name the FILE of the backup")

    def ask_passphrase() -> str:
        if file == PIPE and passphrase_file is None:
            raise TagboatError("its key is encrypted: name --passphrase-file")
        return prompt_secret("passphrase of the backup", passphrase_file)

    keys = KeySources(ask_passphrase, read_text_file(key_file) if key_file else None)
    name = "the backup" if file == PIPE else file
    stream = nullcontext(sys.stdin.buffer) if file == PIPE else Path(file).open("rb")  # noqa: SIM115
    with stream as source, open_backup(source, name) as backup, errors_name(str(place.data_dir)):
        done = restore_backup(place, backup, keys, replace=force)
    aside = None if done.aside is None else str(done.aside)
    if as_json:
        show.as_json(
            {
                "data_dir": str(place.data_dir),
                "installation": done.manifest.installation,
                "made_at": done.manifest.made_at,
                "kept_aside": aside,
                "adopted": [asdict(one) for one in done.adopted],
            }
        )
        return
    show.line(f"{name}, made at {done.manifest.made_at}, is restored into {place.data_dir}.")
    if aside:
        show.line(f"What was there before is kept in {aside}. Delete it when it is not needed.")
    others = " other" if done.adopted else ""
    show.line(
        f"'tagboat serve' starts every{others} live stage again. The data in volumes was not in the"
        " backup, nor were settings in the environment."
    )
    if done.adopted:
        show.line(
            "These are live in containers that 'tagboat adopt' took over, and Tagboat did not make."
            " It does not make them again: where such a container is gone, deploy its tag."
        )
    for one in done.adopted:
        show.line(f"  tagboat deploy {one.project} {one.stage} {one.tag} --wait")


@contextmanager
def errors_name(place: str) -> Iterator[None]:
    """Put `place` into an OSError that names no file, such as one of writing to a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or place
        raise


def local_settings(context: CommandContext, what: str) -> "Settings":
    """Return the settings of the server here. Raises TagboatError where TAGBOAT_URL is set."""
    if (url := context.remote().url) is not None:
        raise TagboatError(
            f"{what} on the server's machine. Run this there, without TAGBOAT_URL ({url})"
        )
    return context.settings()


def database_place(settings: "Settings") -> "DatabasePlace":
    """Return where the server here has its data."""
    from tagboat.store.snapshot import DatabasePlace

    return DatabasePlace(settings.database_url, settings.data_dir)


def _prepare_process() -> None:
    """Make files private, and a SIGTERM clean up like Ctrl-C."""
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
