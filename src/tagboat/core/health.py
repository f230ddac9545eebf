"""Health checks of instances, and what the engine reports about live ones."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

REQUEST_TIMEOUT_S = 5
NOBODY_LISTENS = "nothing listens on the port yet"
REFUSED = "connection refused"
"""The answer of a probe at a port where no app accepted the connection.

The engine's proxy may have accepted it in its place.
"""
CLOSED = "it closed the connection without an answer"
"""The same, to a probe that has sent a request; or the app has hung up."""


class Manner(Struct, frozen=True, kw_only=True):
    """The manner of a health check in HTTP: as a request that comes through the front.

    `host` is the Host header, `proto` (`http` or `https`) the X-Forwarded-Proto; connecting and
    answering may take `limit_s` seconds together.
    """

    host: str = "localhost"
    proto: str = "http"
    limit_s: float = REQUEST_TIMEOUT_S


class TestRun(Struct, frozen=True):
    """The outcome of one run of an image's HEALTHCHECK.

    `said` is one line of what it wrote, or why it could not run.
    """

    __test__ = False  # pytest: not a class of tests

    passed: bool
    said: str = ""


class Trouble(StrEnum):
    """The trouble of a live instance that needs a person."""

    NONE = ""
    DOWN = "down"
    PAUSED = "paused"
    CRASH_LOOP = "crash_loop"
    UNHEALTHY = "unhealthy"


class Vitals(Struct, frozen=True, kw_only=True):
    """The last status of a live instance, and the trouble that follows from it.

    `restarts` is how often the engine has restarted its container; `crashes` are those restarts
    that followed one another without a longer pause, the last of them seen at `crashed_at`.
    `health` is as in `WorkloadStatus`. `detail` says what is wrong, and what to do; `changed_at`
    is when `trouble` last changed.
    """

    instance_id: str
    running: bool
    restarting: bool
    paused: bool
    restarts: int
    health: str | None
    crashes: int = 0
    crashed_at: datetime | None = None
    trouble: Trouble = Trouble.NONE
    detail: str = ""
    changed_at: datetime
