"""Compose files that cannot be read; proposals are in tests/integration/."""

import json
from pathlib import Path

import pytest
import typer

from tagboat.cli.import_compose import compose_command
from tagboat.core.errors import TagboatError


@pytest.mark.parametrize(
    ("content", "words", "says"),
    [
        (
            "services:\n  a: {image: 'x:${GONE:?no}'}\n",
            (),
            ":2: services.a.image: the variable GONE",
        ),
        ("services:\n  a:\n   b: [\n", (), "not valid YAML"),
        ("services:\n  a:\n    image: x\n    image: y\n", (), ":4: the key 'image' is there twice"),
        ("services: []\n", (), ":1: there are no services"),
        ("projects: {}\n", (), "there are no services; is it a Compose file?"),
        ("- a\n", (), ":1: must be a map with services"),
        ("services: {a: 1}\n", (), ":1: a must be a map"),
        ("services: {web: {image: x}}\n", ("wev",), "no service wev; did you mean web?"),
        ("services: {web: {build: .}}\n", (), "no service can be carried over"),
        ("services: {web: {image: !!python/object:x y}}\n", (), "tags such as"),
        ("services: {web: {image: x}}\nvolumes: [a]\n", (), ":2: volumes must be a map"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
                for old, new in zip("abcdef", "bcdefg", strict=True)
            )
            + "services: {web: {image: x}}\n",
            (),
            "too long with its anchors",
        ),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    words: tuple[str, ...],
    says: str,
) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(content)
    with pytest.raises(TagboatError) as caught:
        compose_command(str(path), list(words))
    assert says in str(caught.value)
    assert capsys.readouterr().out == ""


def test_a_mistake_in_a_file_of_variables_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("services: {web: {image: x}}\n")
    (tmp_path / ".env").write_text("A=1\n-x\n")
    with pytest.raises(TagboatError, match=r"\.env: line 2 is not NAME=VALUE"):
        compose_command(str(path))


def test_variables_come_from_the_shell_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("services: {web: {image: 'acme/web:${TAG_OF_WEB}-${GONE_BY_NOW}x'}}\n")
    (tmp_path / ".env").write_text("TAG_OF_WEB=file\n")
    monkeypatch.setenv("TAG_OF_WEB", "shell")
    compose_command(str(path))
    shown = capsys.readouterr()
    assert "tag_pattern: shell-x" in shown.out
    assert "the variable GONE_BY_NOW is not set" in shown.err


def test_a_stage_that_cannot_be_is_wrong_usage() -> None:
    with pytest.raises(typer.BadParameter, match="'My Stage' cannot be a name"):
        compose_command("compose.yaml", stage="My Stage")


def test_compose_s_own_name_of_the_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("name: named\nservices: {web: {image: x}, db: {image: y}}\n")
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=_-My.Shop\n")
    compose_command(str(path))
    assert "myshop_default" in capsys.readouterr().out


def test_chosen_services_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("services: {db: {image: 'postgres:16', links: [x]}, web: {image: x, tty: 1}}\n")
    compose_command(str(path), ["db"], stage="live", as_json=True)
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == "  tagboat deploy db live 16 --wait"
    shown = json.loads(printed.out)
    assert shown["document"]["projects"]["db"]["stages"] == {"live": {"tag_pattern": "16"}}
    assert [(note["service"], note["key"]) for note in shown["notes"]] == [("db", "links")]
