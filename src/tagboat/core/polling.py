"""What is remembered between polls, so that a restart neither repeats nor forgets."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tagboat.core.catalog import Stage
from tagboat.core.push import PushVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PollState:
    """Of one project. `first_done` is whether a poll has ever seen all its tags.

    `error` is why the last one failed, or what the registry kept from it, such as one tag of many.
    """

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


class Change(StrEnum):
    """Why a tag is news to a poll: it was not known before, or it is live or named by a pattern and its digest changed."""

    NEW = "new"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagReport:
    """What one poll did about a tag that was news. `stage` is the one whose pattern matches, None where none was tried."""

    tag: str
    change: Change
    stage: Stage | None = None
    verdict: PushVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PollReport:
    """What one poll of a project came to. `deploys` are ids; on an `error` all lists are empty.

    `tags` has every tag that was news, those that were deployed last. `error` is also what the registry kept from the poll,
    such as one tag of many, where there was no news besides.
    """

    first_poll: bool
    new_tags: tuple[str, ...] = ()
    deploys: tuple[str, ...] = ()
    tags: tuple[TagReport, ...] = ()
    error: str | None = None
