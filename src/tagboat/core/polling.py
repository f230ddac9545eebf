"""What is remembered between polls, so that a restart neither repeats nor forgets."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PollState:
    """Of one project. `first_done` is whether a poll has ever succeeded; `error` is why the last one did not."""

    project_id: str
    first_done: bool = False
    last_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryBackoff:
    """Of one registry host. Scheduled polls wait until `retry_at`; until `refused_until` (its `Retry-After`) all do."""

    host: str
    failures: int = 0
    error: str = ""
    retry_at: datetime | None = None
    refused_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollReport:
    """What one poll of a project came to. `deploys` are ids; on an `error` both lists are empty."""

    first_poll: bool
    new_tags: tuple[str, ...] = ()
    deploys: tuple[str, ...] = ()
    error: str | None = None
