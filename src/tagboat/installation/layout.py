"""The entries of a data directory, as far as Tagboat makes them."""

from pathlib import Path

from tagboat.data_dir import RESTORING, SERVER_FILE
from tagboat.store.database import DATABASE_FILE
from tagboat.store.rotation import KEY_FILE, NEXT_KEY_FILE

BACKUPS_FOLDER = "backups"
ASIDE_PREFIX = "before-restore-"
_OF_THE_DIRECTORY = frozenset({"lock", "replica", "ingress", BACKUPS_FOLDER, "lost+found"})
"""Entries that belong to the directory, and not to the installation that it holds."""
_MADE_BY_US = frozenset(
    {
        *("lock", "replica", "replica.new", "ingress", BACKUPS_FOLDER, RESTORING),
        *(f"{DATABASE_FILE}{end}" for end in ("", "-wal", "-shm", "-journal")),
        *(KEY_FILE, f"{KEY_FILE}.new", NEXT_KEY_FILE, f"{NEXT_KEY_FILE}.new"),
        *(SERVER_FILE, f"{SERVER_FILE}.new"),
    }
)


def held_entries(data_dir: Path) -> list[Path]:
    """Return the entries of the installation that a data directory holds, by name."""
    if not data_dir.exists():
        return []
    return sorted(
        path
        for path in data_dir.iterdir()
        if path.name not in _OF_THE_DIRECTORY and not is_by_the_way(path)
    )


def is_by_the_way(path: Path) -> bool:
    """Return whether an entry is what a restore or a backup has put aside or left unfinished."""
    return path.name.startswith((RESTORING, ASIDE_PREFIX)) or path.name.endswith(".partial")


def own_entries(data_dir: Path) -> list[Path]:
    """Return the entries of a data directory that Tagboat has made, by name."""
    if not data_dir.exists():
        return []
    return sorted(
        path for path in data_dir.iterdir() if path.name in _MADE_BY_US or is_by_the_way(path)
    )
