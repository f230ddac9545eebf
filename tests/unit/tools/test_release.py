"""Cutting the changelog, and what a release must have."""

import hashlib
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from tools.lock import PYPROJECT
from tools.packages import ROOT
from tools.release import (
    CHANGELOG,
    NAMING,
    VERSION_FILE,
    ReleaseError,
    absolute_links,
    check_next,
    checksums,
    cut,
    section_of,
    version_in,
    with_home,
)

LOG = """# Changelog

## [Unreleased]

### Added

- A thing.

## [0.1.0] - 2026-11-01

- The first one.
"""
TODAY = date(2026, 12, 1)
HOME = "https://git.example.com/acme/tagboat/src/tag/v0.2.0"


def test_what_is_unreleased_becomes_the_versions_section() -> None:
    log = cut(LOG, "0.2.0", TODAY)
    assert section_of(log, "0.2.0") == "### Added\n\n- A thing."
    assert section_of(log, "0.1.0") == "- The first one."
    assert log.index("## [Unreleased]") < log.index("## [0.2.0] - 2026-12-01")
    with pytest.raises(ReleaseError, match="nothing under"):
        cut(log, "0.3.0", TODAY)


@pytest.mark.parametrize(
    ("log", "version", "says"),
    [
        (LOG, "0.1.0", "has a section for 0.1.0 already"),
        ("# Changelog\n", "0.2.0", "has no section"),
    ],
)
def test_a_changelog_that_cannot_be_cut(log: str, version: str, says: str) -> None:
    with pytest.raises(ReleaseError, match=says):
        cut(log, version, TODAY)


def test_a_section_without_a_date_is_none() -> None:
    assert section_of("## [0.2.0]\n\n- Soon.\n", "0.2.0") is None
    assert section_of("## [0.2.0-rc1] - 2026-12-01\n", "0.2.0") is None


@pytest.mark.parametrize("version", ["0.1.0", "0.1.1", "1.0.0rc1"])
def test_the_first_release_may_have_the_version_of_before(version: str) -> None:
    check_next(version, "0.1.0", is_cut=False)


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("0.1.0", "does not come after"),
        ("0.0.9", "does not come after"),
        ("v0.2.0", "written 0.2.0"),
        ("0.2.0-rc1", "written 0.2.0rc1"),
        ("next", "is not a version"),
    ],
)
def test_a_version_that_cannot_follow(version: str, says: str) -> None:
    with pytest.raises(ReleaseError, match=says):
        check_next(version, "0.1.0", is_cut=True)


def test_the_version_is_in_one_place() -> None:
    assert version_in((ROOT / VERSION_FILE).read_text())
    assert "version" in tomllib.loads(PYPROJECT.read_text())["project"]["dynamic"]
    with pytest.raises(ReleaseError, match="names no version"):
        version_in("")
    assert (ROOT / CHANGELOG).read_text().count("## [Unreleased]\n") == 1


@pytest.mark.parametrize("name", NAMING)
def test_the_documents_name_the_files_of_this_version(name: str) -> None:
    named = re.findall(r"\btagboat-([\w.]+)-(?:py3|image)", (ROOT / name).read_text())
    assert set(named) == {version_in((ROOT / VERSION_FILE).read_text())}


def test_links_of_the_readme_lead_to_the_repository() -> None:
    text = "[a](docs/a.md#b) ![p](docs/p.webp) [x](https://example.com/x) [y](#y) [m](mailto:a@b)"
    assert absolute_links(text, HOME + "/") == (
        f"[a]({HOME}/docs/a.md#b) ![p]({HOME.replace('/src/', '/raw/')}/docs/p.webp) "
        "[x](https://example.com/x) [y](#y) [m](mailto:a@b)"
    )


@pytest.mark.parametrize(
    "home",
    [HOME, "https://git.example.com/acme/tagboat/-/blob/v1"],
)
def test_the_packages_name_the_repository(home: str) -> None:
    urls = tomllib.loads(with_home(PYPROJECT.read_text(), home))["project"]["urls"]
    assert urls == {
        "Repository": "https://git.example.com/acme/tagboat",
        "Changelog": f"{home}/CHANGELOG.md",
    }


def test_checksums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    assert checksums([tmp_path / "b", tmp_path / "a"]).splitlines() == [
        f"{hashlib.sha256(b'one').hexdigest()}  a",
        f"{hashlib.sha256(b'two').hexdigest()}  b",
    ]
