"""The lock files: exact versions with hashes of everything that is installed.

    python tools/lock.py check     print what is not current; exit 1 if anything is
    python tools/lock.py write     write them with uv; --upgrade takes the newest versions that fit

`requirements.lock` has all, `requirements-server.lock` the part of it that runs and builds Tagboat:
what the image and an installed wheel get.

pip installs from it with --require-hashes, so it names no host: any index or mirror will do, since
the hashes decide.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYPROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "requirements.lock"
SERVER_LOCK = ROOT / "requirements-server.lock"
REMEDY = "run `make lock` and commit both lock files"

_DIGEST = re.compile(r"^# dependencies: sha256:([0-9a-f]{64})$", re.MULTILINE)
_PIN = re.compile(
    r"([A-Za-z0-9._-]+)(?:\[[^]]*])?==([^\s;]+)(?:\s*;[^:/]*?)?((?:\s+--hash=sha256:[0-9a-f]{64})*)"
)


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of the lock: its exact version and the number of its hashes."""

    version: str
    hashes: int


def check(pyproject: Mapping[str, Any], lock: str) -> list[str]:
    """Return the faults of the lock, in words; empty if it is current."""
    found = _DIGEST.search(lock)
    complaints = []
    if not found or found[1] != digest(pyproject):
        complaints.append(
            "the dependencies in pyproject.toml are not those that the lock was made from"
        )
    pins, strange = parse(lock)
    complaints += [f"a line that is not a pin with hashes: {line!r}" for line in strange]
    complaints += [
        f"{name}=={pin.version} has no hash" for name, pin in pins.items() if not pin.hashes
    ]
    return complaints + [
        text for wanted in requirements(pyproject) if (text := _unmet(wanted, pins))
    ]


def server_part(pyproject: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return pyproject.toml without what only development needs."""
    return {
        **pyproject,
        "dependency-groups": {"build": pyproject.get("dependency-groups", {}).get("build", [])},
    }


def check_server(pyproject: Mapping[str, Any], server_lock: str, lock: str) -> list[str]:
    """Return the faults of the server's lock, which must be a part of the whole one."""
    whole = parse(lock)[0]
    return check(server_part(pyproject), server_lock) + [
        f"{name}=={pin.version} is not what {LOCK.name} has"
        for name, pin in parse(server_lock)[0].items()
        if whole.get(name) != pin
    ]


def parse(lock: str) -> tuple[dict[str, Pin], list[str]]:
    """Return the pins by canonical name, and all other lines (options, URLs, ranges)."""
    pins: dict[str, Pin] = {}
    strange = []
    uncommented = re.sub(r"^\s*#.*\n?", "", lock, flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", uncommented).splitlines():
        if match := _PIN.fullmatch(line.strip()):
            pins[canonicalize_name(match[1])] = Pin(match[2], match[3].count("--hash="))
        elif line.strip():
            strange.append(line.strip()[:80])
    return pins, strange


def requirements(pyproject: Mapping[str, Any]) -> list[Requirement]:
    """Return the requirements of pyproject.toml: to run, to develop, to build."""
    tables = [
        pyproject["project"]["dependencies"],
        pyproject["build-system"]["requires"],
        *pyproject.get("dependency-groups", {}).values(),
    ]
    return [Requirement(text) for table in tables for text in table]


def digest(pyproject: Mapping[str, Any]) -> str:
    """Return a fingerprint of everything that the lock depends on."""
    tables = [
        pyproject["project"]["requires-python"],
        pyproject["project"]["dependencies"],
        pyproject["build-system"]["requires"],
        pyproject.get("dependency-groups", {}),
        pyproject.get("tool", {}).get("uv", {}),
    ]
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def _unmet(wanted: Requirement, pins: Mapping[str, Pin]) -> str | None:
    pin = pins.get(canonicalize_name(wanted.name))
    if pin is None:
        return f"{wanted.name} is not in the lock"
    return (
        None
        if wanted.specifier.contains(pin.version, prereleases=True)
        else f"{wanted} is locked at {pin.version}"
    )


def write(pyproject: Mapping[str, Any], *, upgrade: bool) -> None:
    """Resolve with uv and write both. Versions that still fit are kept, unless `upgrade`."""
    _resolve(pyproject, LOCK, ["--upgrade"] if upgrade else [])
    _resolve(server_part(pyproject), SERVER_LOCK, [])


def _resolve(pyproject: Mapping[str, Any], lock: Path, more: list[str]) -> None:
    groups = [f"--group={name}" for name in pyproject.get("dependency-groups", {})]
    options = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / lock.name
        # uv keeps the versions that it finds there: for both locks those of the whole one.
        if LOCK.exists():
            shutil.copy(LOCK, draft)
        command = [_uv(), "pip", "compile", PYPROJECT.name, *groups, *options, *more]
        subprocess.run([*command, f"--output-file={draft}"], cwd=ROOT, check=True)
        header = (
            "# Made by `make lock` from pyproject.toml; do not edit.\n"
            f"# dependencies: sha256:{digest(pyproject)}\n"
        )
        lock.write_text(header + draft.read_text())


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def main(arguments: list[str]) -> int:
    """Execute the command; return the exit status."""
    pyproject = tomllib.loads(PYPROJECT.read_text())
    match arguments:
        case ["write", *options] if options in ([], ["--upgrade"]):
            write(pyproject, upgrade=bool(options))
        case ["check"]:
            pass
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    lock, server_lock = (path.read_text() if path.exists() else "" for path in (LOCK, SERVER_LOCK))
    complaints = [f"{LOCK.name}: {fault}" for fault in check(pyproject, lock)] + [
        f"{SERVER_LOCK.name}: {fault}" for fault in check_server(pyproject, server_lock, lock)
    ]
    for complaint in complaints:
        sys.stderr.write(f"{complaint}; {REMEDY}\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
