"""Seconds until ready, and memory at rest; compared with a process that only imports."""

import sys
import time
from pathlib import Path

from bench.rig import end, rss_mb, show, start_until, tagboat

ROUNDS = 3
_SETTLE_S = 2.0
"""Seconds that a server may be busy after its start: it gives no sign when that is over."""
_BARE = (
    "import aiodocker, aiohttp, alembic, fastapi, msgspec, sqlalchemy, structlog, uvicorn, "
    "uvloop, signal; "
    "print('ready', flush=True); signal.pause()"
)


def measure(folder: Path, used: Path) -> None:
    """Print both for fresh data directories and for `used`, which has served the load."""
    bare = [_bare() for _ in range(ROUNDS)]
    fresh = [_own(folder / f"fresh{number}") for number in range(ROUNDS)]
    again = [_own(used) for _ in range(ROUNDS)]
    for name, figures in (("fresh", fresh), ("used", again)):
        show(
            f"start to ready, {name} data",
            [x[0] for x in figures],
            "imports alone",
            [x[0] for x in bare],
            "s",
            "< 1.5 s",
        )
        show(
            f"memory at rest, {name} data",
            [x[1] for x in figures],
            "imports alone",
            [x[1] for x in bare],
            "MB",
            "< 90 MB",
        )


def _own(data_dir: Path) -> tuple[float, float]:
    with tagboat(data_dir) as server:
        time.sleep(_SETTLE_S)
        return server.ready_s, rss_mb(server.pid)


def _bare() -> tuple[float, float]:
    process, took = start_until((sys.executable, "-c", _BARE), "ready")
    try:
        return took, rss_mb(process.pid)
    finally:
        end(process)
