"""Wheel and sdist, the same bytes for the same files.

Files get the time of SOURCE_DATE_EPOCH, as https://reproducible-builds.org/specs/source-date-epoch
has it, and the modes 644 or 755.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Packages:
    """The files that were built."""

    wheel: Path
    sdist: Path


def build_packages(source: Path, target: Path, epoch: int) -> Packages:
    """Build both from the tree `source` into `target`; `epoch` is the time of files in seconds."""
    _hatchling(source, target, epoch, "-t", "wheel", "-t", "sdist")
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return Packages(wheel, sdist)


def build_wheel(source: Path, target: Path, epoch: int = 0) -> Path:
    """Build the wheel only, which is faster; return its path."""
    _hatchling(source, target, epoch, "-t", "wheel")
    (wheel,) = target.glob("*.whl")
    return wheel


def _hatchling(source: Path, target: Path, epoch: int, *kinds: str) -> None:
    # Files in a ZIP cannot be older than 1980.
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(max(epoch, 315_532_800))}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *kinds, "-d", str(target)],
        cwd=source,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"the packages cannot be built:\n{done.stdout}{done.stderr}")
