"""Whether an installed wheel works, without a checkout, on each Python that this machine has.

    python -m tools.install_check

Builds the wheel, installs it with `uv tool install` for each Python from 3.11 to 3.14 that is
found, and once with pipx; then runs it: version, server, pages with their files, doctor. The tests
do the same (tests/integration/test_wheel.py).
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.dockerd import running_engine
from tests.support.ports import free_port
from tools.lock import LOCK, PYPROJECT, parse
from tools.packages import ROOT, build_wheel
from tools.sbom import installed_requires, requirement_graph

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PIPX = "pipx>=1.7"
_READY = re.compile(r"tagboat ready on (http://\S+)")
_ASSET = re.compile(r'(?:href|src)="(/static/[^"]+)"')
_STOPS_WITHIN_S = 120.0
LIST_PACKAGES = (
    "import importlib.metadata as m; print(*(d.metadata['Name'] for d in m.distributions()))"
)


class InstallError(Exception):
    """The installed program does not work; the message has what it said."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was seen of an installed program."""

    version: str
    page: str
    assets: Mapping[str, int]
    doctor: str


def install_with_uv(wheel: Path, python: str, folder: Path) -> Path:
    """Install a wheel by `uv tool install` into `folder`; return the program. `python` is a path.

    Versions are those of the lock. Raises InstallError.
    """
    environ = clean_environ() | {
        "UV_TOOL_DIR": str(folder / "tools"),
        "UV_TOOL_BIN_DIR": str(folder / "bin"),
        "UV_PYTHON_DOWNLOADS": "never",
        # Certificates of the machine, as pip uses them where its owner has added one.
        "UV_NATIVE_TLS": "1",
    }
    pins = _write_pins(folder)
    words = ["tool", "install", "--quiet", "--python", python, "--constraints", str(pins)]
    _run([_uv(), *words, str(wheel)], environ, folder)
    return folder / "bin" / "tagboat"


def install_with_pipx(wheel: Path, python: str, folder: Path) -> Path:
    """Install a wheel by `pipx install` into `folder`; return the program. Raises InstallError."""
    environ = clean_environ() | {
        "PIPX_HOME": str(folder / "pipx"),
        "PIPX_BIN_DIR": str(folder / "bin"),
        "PIPX_MAN_DIR": str(folder / "man"),
    }
    pipx = shutil.which("pipx", path=environ["PATH"])
    command = [pipx] if pipx else [_uv(), "tool", "run", "--quiet", "--from", PIPX, "pipx"]
    pins = _write_pins(folder)
    words = ["install", "--quiet", "--python", python, f"--pip-args=--constraint {pins}"]
    _run([*command, *words, str(wheel)], environ, folder)
    return folder / "bin" / "tagboat"


def try_out(program: Path, folder: Path, engine_url: str) -> Trial:
    """Run an installed program in the empty directory `folder`, and look at all that it shows.

    Raises InstallError if it does not start, a page or a file of it is missing, or `doctor` finds
    anything wrong.
    """
    environ = clean_environ() | {
        "TAGBOAT_DATA_DIR": str(folder / "data"),
        "TAGBOAT_PORT": str(free_port()),
        "TAGBOAT_INGRESS": "none",
        "TAGBOAT_DOCKER_HOST": engine_url,
        "TAGBOAT_POLL_SCHEDULE": "@every 1h",
    }
    version = _run([str(program), "--version"], environ, folder).strip()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [program, "serve"], env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=log
        )
    try:
        # Ends with the line, or with the server.
        said = server.stdout.readline().decode() if server.stdout else ""
        ready = _READY.search(said)
        if ready is None:
            raise InstallError(f"it did not start:\n{(folder / 'log').read_text()}")
        page = _fetch(ready[1] + "/").decode()
        assets = {path: len(_fetch(ready[1] + path)) for path in sorted(set(_ASSET.findall(page)))}
        doctor = _run([str(program), "doctor"], environ, folder)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=_STOPS_WITHIN_S)
    status = server.returncode
    if status != 0:
        raise InstallError(f"it ended with status {status}:\n{(folder / 'log').read_text()}")
    return Trial(version, page, assets, doctor)


def needed_packages() -> set[str]:
    """Return the names of all packages that an environment with the wheel should have."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    wanted = map(Requirement, project["dependencies"])
    return {"tagboat", *requirement_graph(wanted, installed_requires)}


def clean_environ() -> dict[str, str]:
    """Return the environment without what leads to this checkout or to a server of Tagboat."""
    leading = ("TAGBOAT_", "PYTHON", "VIRTUAL_ENV", "UV_", "PIPX_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(leading)}
    venv = str(ROOT / ".venv")
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return environ | {"PATH": os.pathsep.join(one for one in path if not one.startswith(venv))}


def find_pythons() -> Iterator[tuple[str, str | None]]:
    """Yield each version with the path of its interpreter, None where there is none."""
    for version in PYTHONS:
        found = shutil.which(f"python{version}")
        pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        # Where tools/newer-python puts what this release of Debian lacks.
        made = ROOT / "build" / "pythons" / version / "usr" / "bin" / f"python{version}"
        places = [*filter(None, [found]), *map(str, pyenv), str(made)]
        yield version, next((place for place in places if _runs(place, version)), None)


def _runs(python: str, version: str) -> bool:
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    if not Path(python).exists():
        return False
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def _write_pins(folder: Path) -> Path:
    # Without hashes: pip would demand one for the wheel as well.
    pins = folder / "pins.txt"
    pins.write_text(
        "".join(f"{name}=={pin.version}\n" for name, pin in parse(LOCK.read_text())[0].items())
    )
    return pins


def _run(command: list[str], environ: Mapping[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, env=environ, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise InstallError(f"{' '.join(command[:3])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:
        content: bytes = answer.read()
    return content


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def main() -> int:
    """Try all; return the exit status."""
    ways = [(f"uv, Python {name}", install_with_uv, python) for name, python in find_pythons()]
    ways.append(("pipx, this Python", install_with_pipx, sys.executable))
    failed = False
    temporary = tempfile.TemporaryDirectory(prefix="tagboat-install-")
    with temporary as folder, running_engine() as engine_url:
        wheel = build_wheel(ROOT, Path(folder) / "dist")
        for number, (name, install, python) in enumerate(ways):
            place = Path(folder) / str(number)
            place.mkdir()
            if python is None:
                print(f"{name}: not on this machine")
                continue
            began = time.monotonic()
            try:
                trial = try_out(install(wheel, python, place), place, engine_url)
            except InstallError as error:
                failed = True
                print(f"{name}: FAILED: {error}")
            else:
                took, files = time.monotonic() - began, len(trial.assets)
                print(f"{name}: {trial.version}, {files} files of its page ({took:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
