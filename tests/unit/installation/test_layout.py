from pathlib import Path

from tagboat.installation.layout import held_entries, own_entries

OURS = ("tagboat.db", "tagboat.db-wal", "encryption.key", "server.json")
OF_THE_DIRECTORY = ("lock", "replica", "ingress", "backups")
BY_THE_WAY = ("restoring", "restoring.partial", "before-restore-1", ".backup.abc.partial")


def test_what_is_of_the_installation_of_the_directory_and_of_others(tmp_path: Path) -> None:
    for name in (*OURS, *OF_THE_DIRECTORY, *BY_THE_WAY, "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in held_entries(tmp_path)] == sorted((*OURS, "notes.txt"))
    ours = (*OURS, *OF_THE_DIRECTORY, *BY_THE_WAY)
    assert [path.name for path in own_entries(tmp_path)] == sorted(ours)


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert held_entries(tmp_path / "none") == own_entries(tmp_path / "none") == []
