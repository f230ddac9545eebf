"""An environment with what a user installs, and nothing of what tests and tools need."""

import subprocess
import sys
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_LOCK = _ROOT / "requirements-server.lock"
_PLACE = _ROOT / "build" / "bench-server"


@cache
def installed_tagboat() -> Path:
    """Return the program `tagboat` of that environment, which is made where it is missing or old.

    Libraries take up what else is installed: colours for a log and checks of e-mail addresses are
    two megabytes that no server of a user has.
    """
    made = _PLACE / "made"
    if not made.exists() or made.stat().st_mtime < _LOCK.stat().st_mtime:
        subprocess.run((sys.executable, "-m", "venv", "--clear", str(_PLACE)), check=True)
        pip = (str(_PLACE / "bin" / "python"), "-m", "pip", "install", "--quiet")
        subprocess.run((*pip, "--require-hashes", "-r", str(_LOCK)), check=True)
        subprocess.run(
            (*pip, "--no-deps", "--no-build-isolation", "--editable", str(_ROOT)), check=True
        )
        made.touch()
    return _PLACE / "bin" / "tagboat"
