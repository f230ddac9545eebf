from pathlib import Path

import pytest

from tagboat.cli.secret_values import read_secret
from tagboat.core.errors import TagboatError
from tagboat.core.secret_refs import parse_secret_ref

ENVIRON = {"SET": "value\n", "EMPTY": ""}


def read(text: str, folder: Path, *, is_file: bool = False) -> str | None:
    return read_secret(parse_secret_ref(text), ENVIRON, folder, is_file=is_file)


def test_values_come_from_variables_files_and_commands(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("line\n\n")
    assert read("env:SET", tmp_path) == "value\n"
    assert read("env:EMPTY or keep", tmp_path) == ""
    assert read("file:key", tmp_path) == "line"
    assert read("file:key", tmp_path, is_file=True) == "line\n\n"
    assert read("exec:cat key | head -1", tmp_path) == "line"
    assert [read(text, tmp_path) for text in ("keep", "env:GONE or keep")] == [None, None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("env:GONE", "the variable GONE is not set"),
        ("file:gone", "gone cannot be read (No such file or directory)"),
        ("exec:exit 3", "the command failed with exit code 3"),
        ("exec:true", "the command printed nothing"),
        ("exec:echo", "the command printed nothing"),
        ("exec:printf '\\377'", "not UTF-8"),
        ("exec:yes | head -c 600000", "longer than"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(TagboatError, match=says.replace("(", r"\(").replace(")", r"\)")):
        read(text, tmp_path)


def test_an_empty_secret_is_written_on_purpose(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert [read(text, tmp_path) for text in ("env:EMPTY", "file:empty")] == ["", ""]
    with pytest.raises(TagboatError, match="printed nothing"):
        read("exec:true", tmp_path, is_file=True)
