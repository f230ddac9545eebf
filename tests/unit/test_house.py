"""The rules of the code's style, held over the whole package by `tools/measure_style.py`."""

import re
from pathlib import Path

import pytest

from tools import measure_style as style

ROOT = Path(__file__).parents[2]
UNIT_TESTS = Path(__file__).parent
MAX_FUNCTION = 60
P90_FUNCTION = 30
MAX_MODULE = 400
MOST_ONCE = 8.0
COMMENTS = (3.0, 6.0)
# Folders with tests of programs outside the package.
PROGRAMS = ("bench", "demo", "tools")
# Unit tests that belong to no single module, each with its reason.
WITHOUT_MODULE = {
    "deploy/test_deaths.py": "a whole deploy, killed after each change outside",
    "deploy/test_engines.py": "whole deploys on a Docker engine and its swarm",
    "deploy/test_kept_promises.py": "queue and worker: nothing accepted is lost or doubled",
    "deploy/test_masking.py": "all places where a deploy could show secrets",
    "deploy/test_recreate.py": "a whole deploy of an app that cannot run twice",
    "deploy/test_resume.py": "a whole deploy that was cut off and continues",
    "deploy/test_switching.py": "a whole deploy with an ingress",
    "deploy/test_watching.py": "the step `watch` and the watch after it",
    "store/test_commit.py": "the store's transactions when the database refuses",
    "store/test_file_taken_away.py": "the store when its file is deleted",
    "store/test_plans.py": "the query plans of all tables",
    "test_contrib.py": "the files in contrib/",
    "test_docs.py": "the documents",
    "test_docs_commands.py": "the commands in the documents",
    "test_site.py": "the documents as a site",
    "test_house.py": "the style of all modules",
    "test_loaded.py": "the modules that the server loads at start",
    "webhook/formats/test_fixtures.py": "all formats, with recorded calls",
    "webhook/formats/test_formats.py": "all formats, with calls of each sender",
    "webhook/formats/test_order.py": "the order of all formats",
    "webhook/formats/test_senders.py": "all formats, with calls that senders changed",
}


@pytest.fixture(scope="module")
def tree() -> style.Tree:
    return style.measure(ROOT / "src" / "tagboat")


def python_files() -> list[Path]:
    folders = ("src", "tests", "tools", "bench", "demo")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_line_is_longer_than_100_columns() -> None:
    # The formatter does not count pragmas at the end of a line, which cannot be moved.
    long_lines = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in python_files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(re.sub(r"\s+# (noqa|type: ignore|fmt: skip).*", "", line)) > style.LONG_LINE
    ]
    assert long_lines == []


def test_no_top_level_name_is_defined_in_two_modules(tree: style.Tree) -> None:
    assert tree.twice == {}


def test_no_docstring_opens_with_a_pronoun(tree: style.Tree) -> None:
    assert tree.pronouns == []


def test_functions_are_short(tree: style.Tree) -> None:
    assert [place for length, place in tree.functions if length > MAX_FUNCTION] == []
    assert tree.p90 <= P90_FUNCTION


def test_modules_are_short(tree: style.Tree) -> None:
    assert {name: lines for name, lines in tree.modules.items() if lines > MAX_MODULE} == {}


def test_few_private_helpers_are_used_once(tree: style.Tree) -> None:
    assert style.share(len(tree.once), len(tree.functions)) <= MOST_ONCE


def test_comments_are_neither_rare_nor_everywhere(tree: style.Tree) -> None:
    low, high = COMMENTS
    assert low <= style.share(tree.comments, tree.lines) <= high


@pytest.mark.parametrize("path", sorted(UNIT_TESTS.rglob("test_*.py")), ids=lambda path: path.stem)
def test_each_unit_test_has_its_module(path: Path) -> None:
    inner = path.relative_to(UNIT_TESTS)
    if str(inner) in WITHOUT_MODULE:
        return
    room = ROOT if inner.parts[0] in PROGRAMS else ROOT / "src" / "tagboat"
    stem = path.stem.removeprefix("test_")
    module = room / inner.parent / f"{stem}.py"
    package = room / inner.parent / stem / "__init__.py"
    assert module.exists() or package.exists()


def test_each_exception_still_exists() -> None:
    assert [name for name in WITHOUT_MODULE if not (UNIT_TESTS / name).exists()] == []


def test_the_places_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        '"""What it is."""\n\n# Why.\n\n\ndef _once() -> int:\n    return 1\n\n\nX = _once()\n'
    )
    (tmp_path / "b.py").write_text(f'"""Another."""\n\nX = "{"x" * 100}"\n')
    tree = style.measure(tmp_path)
    assert [place.partition(":")[0] for place in tree.once + tree.pronouns] == ["a.py", "a.py"]
    assert (tree.long_lines, tree.twice, tree.comments) == (
        ["b.py:3"],
        {"X": ["a.py", "b.py"]},
        1,
    )


def test_a_folder_without_sources_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no Python and no Go"):
        style.measure(tmp_path)
