"""The documents name what exists, and all that they have to name."""

import re
from pathlib import Path

import pytest

from tagboat import variables

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").rglob("*.md"),
    ],
)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)\)")
_FOLDERS = ("src", "tests", "docs", "demo", "tools", "bench", "contrib", ".ci")
_PATH = re.compile(
    rf"(?:(?:{'|'.join(map(re.escape, _FOLDERS))})/[\w./-]*|[\w.-]+\.(?:md|toml|lock))"
)
_VARIABLE = re.compile(r"\bTAGBOAT_[A-Z_]+\b")


def _paths(text: str) -> set[str]:
    named = {code for code in _CODE.findall(text) if _PATH.fullmatch(code)}
    return named | {link for link in _LINK.findall(text) if "://" not in link}


def _variables(text: str) -> set[str]:
    return set(_VARIABLE.findall(text))


def _settings_variables() -> set[str]:
    return _variables(Path(variables.__file__).read_text()) | {
        f"{name}_FILE" for name in variables.SECRETS
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_named_exists(document: Path) -> None:
    missing = {
        path
        for path in _paths(document.read_text())
        if not (ROOT / path).exists() and not (document.parent / path).exists()
    }
    assert not missing


def test_paths_are_found_in_code_and_links() -> None:
    text = (
        "see `src/tagboat/core/`, `core`, `v1.toml.x`, [this](LICENSE), "
        "[that](https://example.com/x.md) and `gone.md`"
    )
    assert _paths(text) == {"src/tagboat/core/", "LICENSE", "gone.md"}


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_documents_name_paths_at_all(name: str) -> None:
    assert _paths((ROOT / name).read_text())


def test_every_setting_is_in_the_table_of_settings() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    table = text.partition("| variable |")[2].partition("\n\n")[0]
    assert _settings_variables() - _variables(table) == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_names_a_setting_that_does_not_exist(document: Path) -> None:
    assert _variables(document.read_text()) - _settings_variables() == set()


def test_every_room_is_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [
        path.name for path in (ROOT / "src/tagboat").iterdir() if (path / "__init__.py").exists()
    ]
    assert [room for room in rooms if f"`src/tagboat/{room}/`" not in text] == []
