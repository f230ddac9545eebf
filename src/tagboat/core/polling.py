"""Poll state: kept between polls, so that a restart neither repeats nor forgets; poll reports."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tagboat.core.catalog import Stage
from tagboat.core.push import PushVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PollState:
    """The state of one project. `first_done` is whether a poll has ever seen all its tags.

    `error` is why the last poll failed, or what the registry refused, such as one tag of many.
    """

    project_id: str
    first_done: bool = False
    last_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryBackoff:
    """The failures of one registry host. Scheduled polls wait until `retry_at`.

    Until `refused_until` (its `Retry-After`) manual polls wait as well.
    """

    host: str
    failures: int = 0
    error: str = ""
    retry_at: datetime | None = None
    refused_until: datetime | None = None


class Change(StrEnum):
    """Reason why a tag is news to a poll.

    It was not known before, or its digest changed while it is live or named by a pattern.
    """

    NEW = "new"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagReport:
    """The outcome of one poll for a tag that was news.

    `stage` is the one whose pattern matches, None if none does or was tried.
    """

    tag: str
    change: Change
    stage: Stage | None = None
    verdict: PushVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PollReport:
    """The outcome of one poll of a project. `deploys` are ids; on an `error` all lists are empty.

    `tags` has every tag that was news, the deployed ones last. Without news, `error` is also what
    the registry refused, such as one tag of many.
    """

    first_poll: bool
    new_tags: tuple[str, ...] = ()
    deploys: tuple[str, ...] = ()
    tags: tuple[TagReport, ...] = ()
    error: str | None = None
