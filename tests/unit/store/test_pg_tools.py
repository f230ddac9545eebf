import sys
from pathlib import Path

import pytest

from tagboat.core.errors import StoreUnavailableError
from tagboat.store.pg_tools import DumpProgramError, dump_database

URL = "postgresql://me:p%3Aa%5Css@127.0.0.1:1/tagboat?sslmode=disable"
SPY = """#!{python}
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

if sys.argv[1] == "--version":
    sys.exit(print("pg_dump (PostgreSQL) {major}.4 (Debian)"))
url = sys.argv[-1].removeprefix("--dbname=")
password = Path(parse_qs(urlsplit(url).query)["passfile"][0])
Path("{folder}/words").write_text(" ".join(sys.argv))
Path("{folder}/pass").write_text(f"{{password.stat().st_mode & 0o777:o}} {{password.read_text()}}")
sys.exit("pg_dump: error: no such server\\nmore")
"""


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, major: int = 0) -> None:
    """Let only a `pg_dump` of that version be found; none for 0."""
    if major:
        program = folder / "pg_dump"
        program.write_text(SPY.format(python=sys.executable, major=major, folder=folder))
        program.chmod(0o700)
    monkeypatch.setenv("PATH", str(folder))


def test_one_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch)
    with pytest.raises(DumpProgramError, match="the program pg_dump is not found; install"):
        dump_database(URL, 15, tmp_path / "dump")


def test_one_older_than_the_server_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch, 14)
    with pytest.raises(DumpProgramError, match=r"version 14, .* version 15: .*client-15"):
        dump_database(URL, 15, tmp_path / "dump")


def test_the_password_is_in_a_file_and_the_error_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(tmp_path, monkeypatch, 15)
    with pytest.raises(
        StoreUnavailableError, match="^pg_dump failed: pg_dump: error: no such"
    ) as e:
        dump_database(URL, 15, tmp_path / "dump")
    assert "\n" not in str(e.value)
    words = (tmp_path / "words").read_text()
    assert "p%3Aa" not in words
    assert "sslmode=disable" in words
    assert (tmp_path / "pass").read_text() == "600 *:*:*:*:p\\:a\\\\ss\n"
