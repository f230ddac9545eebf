"""The files of other projects are those that were recorded."""

import importlib.util
import re
import shutil
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

_spec = importlib.util.spec_from_file_location("vendor_web", ROOT / "tools" / "vendor_web.py")
assert _spec is not None
assert _spec.loader is not None
vendor = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(vendor)

RECORD = tomllib.loads(vendor.RECORD.read_text())


@pytest.fixture
def static(tmp_path: Path) -> Path:
    return Path(shutil.copytree(vendor.STATIC, tmp_path / "static"))


def test_every_file_is_as_recorded() -> None:
    assert vendor.check(RECORD, vendor.STATIC) == []


def test_every_package_has_its_licence_and_integrity() -> None:
    for package in RECORD["package"]:
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"])
        licences = [name for name in package["files"] if name.endswith(".LICENSE.txt")]
        assert len(licences) == 1, package["name"]


def test_a_changed_file_is_found(static: Path) -> None:
    (static / "vendor" / "htmx.min.js").write_text("changed")
    assert vendor.check(RECORD, static) == [
        "vendor/htmx.min.js is not the file that was recorded",
    ]


def test_a_file_that_nobody_recorded_is_found(static: Path) -> None:
    (static / "vendor" / "more.js").write_text("more")
    assert vendor.check(RECORD, static) == ["vendor/more.js is not recorded"]


def test_an_icon_that_is_not_in_the_sprite_is_found(static: Path) -> None:
    assert vendor.check({**RECORD, "icons": ["no-such"]}, static) == ["icons.svg has no no-such"]


def test_every_icon_in_the_templates_exists() -> None:
    templates = sorted((vendor.WEB / "templates").glob("*.html"))
    used = {
        name
        for path in templates
        for name in re.findall(r'ui\.icon\("([a-z0-9-]+)"', path.read_text())
    }
    assert used - set(RECORD["icons"]) == set()
