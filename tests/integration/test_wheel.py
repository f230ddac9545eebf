"""What is installed from the wheel works without a checkout, and needs nothing else."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tagboat import __version__
from tools.install_check import (
    LIST_PACKAGES,
    clean_environ,
    find_pythons,
    install_with_pipx,
    install_with_uv,
    needed_packages,
    try_out,
)
from tools.lock import PYPROJECT
from tools.packages import ROOT, build_packages, build_wheel

PACKAGE = ROOT / "src" / "tagboat"
CONTRIB = ROOT / "contrib"
# A time, in seconds, that is none of those of the files.
EPOCH = 1_750_000_000
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = {version: python for version, python in find_pythons() if python and version != THIS}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("dist"), EPOCH)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The command of an environment that has the wheel and what it needs, installed by uv."""
    return install_with_uv(wheel, sys.executable, tmp_path_factory.mktemp("installed"))


def metadata(wheel: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (one for one in packed.namelist() if one.endswith(".dist-info/METADATA"))
        message = Parser().parsestr(packed.read(name).decode())
    return {key: message.get_all(key, []) for key in message}


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        packed = set(opened.namelist())
    needed = {
        f"tagboat/{path.relative_to(PACKAGE)}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"tagboat/web/static/app.css", "tagboat/api/field_docs.toml"} <= needed
    assert needed - packed == set()
    services = {
        f"share/tagboat/{path.relative_to(CONTRIB)}"
        for path in CONTRIB.rglob("*")
        if path.is_file()
    }
    assert {name.partition(".data/data/")[2] for name in packed} & services == services


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    said = metadata(wheel)
    assert said["Version"] == [__version__]
    versions = {one.rpartition(" ")[2] for one in said["Classifier"] if ":: 3." in one}
    assert versions == {"3.11", "3.12", "3.13", "3.14"}
    assert said["Description-Content-Type"] == ["text/markdown"]


def test_every_package_that_is_imported_is_required_by_name() -> None:
    """Else another package that no longer needs it would take it away."""
    imported = {
        name.partition(".")[0]
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _imports(node)
    }
    owners = importlib.metadata.packages_distributions()
    needed = {
        canonicalize_name(owners[name][0])
        for name in imported - sys.stdlib_module_names - {"tagboat"}
    }
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    required = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    # One release of the first brings the one release of the second that it works with.
    assert needed - required == {"pydantic-core"}


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


def test_an_installed_wheel_has_only_what_the_server_needs(program: Path) -> None:
    python = program.resolve().with_name("python")
    said = subprocess.check_output([python, "-c", LIST_PACKAGES], env=clean_environ(), text=True)
    assert {canonicalize_name(name) for name in said.split()} == needed_packages()


def test_it_serves_its_pages_and_finds_nothing_wrong(
    program: Path, tmp_path: Path, engine_url: str
) -> None:
    trial = try_out(program, tmp_path, engine_url)
    assert trial.version.endswith(__version__)
    assert "<title>" in trial.page
    names = {re.sub(r"^/static/|[?].*", "", path) for path in trial.assets}
    assert any(name.endswith(".css") for name in names), names
    assert any("htmx" in name for name in names), names
    assert all(trial.assets.values())
    assert "All is well." in trial.doctor


@pytest.mark.parametrize("version", [*OTHERS, "pipx"])
def test_it_works_on_each_python_that_is_here_and_by_pipx(
    version: str, wheel: Path, tmp_path: Path, engine_url: str
) -> None:
    if version == "pipx":
        program = install_with_pipx(wheel, sys.executable, tmp_path)
    else:
        program = install_with_uv(wheel, OTHERS[version], tmp_path)
    trial = try_out(program, tmp_path, engine_url)
    assert trial.version.endswith(__version__)
    assert all(trial.assets.values())
    assert "All is well." in trial.doctor


def test_wheel_and_sdist_are_the_same_bytes_each_time(tmp_path: Path, wheel: Path) -> None:
    first = build_packages(ROOT, tmp_path / "first", EPOCH)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", first.sdist], cwd=unpacked, check=True)
    (source,) = unpacked.iterdir()
    for path in source.rglob("*"):
        path.touch()
        path.chmod(path.stat().st_mode & 0o700)
    # From the sdist: what it lacks would be missing in the wheel too.
    second = build_packages(source, tmp_path / "second", EPOCH)
    assert first.wheel.read_bytes() == second.wheel.read_bytes() == wheel.read_bytes()
    assert first.sdist.read_bytes() == second.sdist.read_bytes()
    assert first.wheel.name == f"tagboat-{__version__}-py3-none-any.whl"
