"""Print the table of `measure_style.py` for Tagboat and four projects that are easy to read.

    python -m tools.compare_style [NAME=FOLDER...]

The newest releases of Python projects come by pip, Go's by its module proxy, each as this machine
is set up for them, and nothing is installed. NAME=FOLDER names sources that are here already, such
as a checkout. A project that cannot be had is named below the table, with the reason.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tools.measure_style import Tree, measure, print_table
from tools.packages import ROOT

PEERS = ("kamal-proxy", "procrastinate", "healthchecks", "httpx")
GO_MODULES = {"kamal-proxy": "github.com/basecamp/kamal-proxy"}


class PeerError(Exception):
    """A project cannot be had; the message is the reason."""


def fetch(name: str, folder: Path) -> Path:
    """Fetch the newest release of a project into `folder`; return its sources. Raises PeerError."""
    if module := GO_MODULES.get(name):
        words = ["go", "mod", "download", "-json", "-modcacherw", f"{module}@latest"]
        try:
            done = subprocess.run(
                words, cwd=folder, capture_output=True, text=True, timeout=300, check=False
            )
            found = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise PeerError(f"{' '.join(words[:3])}: {error}") from None
        if "Dir" not in found:
            raise PeerError(" ".join(str(found.get("Error")).split()))
        return Path(found["Dir"])
    # A wheel, so that no program of theirs is run.
    words = ["pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", "."]
    done = subprocess.run(
        [sys.executable, "-m", *words, name],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    wheel = next(folder.glob(f"{name}-*.whl"), None)
    if wheel is None:
        raise PeerError((done.stderr.strip().splitlines() or ["pip says nothing"])[-1])
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    return folder / name


def main() -> None:
    """Fetch, measure, print."""
    here = dict(word.split("=", 1) for word in sys.argv[1:])
    if unknown := here.keys() - set(PEERS):
        raise SystemExit(f"not one of {', '.join(PEERS)}: {', '.join(sorted(unknown))}")
    trees, missing = [measure(ROOT / "src" / "tagboat")], []
    with tempfile.TemporaryDirectory(prefix="tagboat-style-") as folder:
        for name in PEERS:
            try:
                sources = Path(here[name]) if name in here else fetch(name, Path(folder))
            except PeerError as error:
                missing.append(f"{name} could not be fetched: {error}")
            else:
                tree = measure(sources)
                trees.append(Tree(**{**vars(tree), "name": name}))
    print_table(trees)
    for line in missing:
        print(f"\n{line}")


if __name__ == "__main__":
    main()
