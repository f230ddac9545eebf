"""Poll state, which survives a restart, and the reports of polls."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from tagboat.core.catalog import Stage
from tagboat.core.push import PushVerdict


class PollState(Struct, frozen=True, kw_only=True):
    """The poll state of one project.

    `first_done` is True after a poll that saw all its tags. `error` is the reason why the last poll
    failed, or the registry's refusal of a single tag; None if there was none.
    """

    project_id: str
    first_done: bool = False
    last_at: datetime | None = None
    error: str | None = None


class RegistryBackoff(Struct, frozen=True, kw_only=True):
    """The failures of one registry host. Scheduled polls wait until `retry_at`.

    Until `refused_until` (its `Retry-After`) manual polls wait as well.
    """

    host: str
    failures: int = 0
    error: str = ""
    retry_at: datetime | None = None
    refused_until: datetime | None = None


class Change(StrEnum):
    """The reason why a poll looks at a tag.

    `new`: it was not known. `changed`: its digest changed, and it is live or named by a pattern.
    """

    # Both values are part of the API's answers.
    NEW = "new"
    CHANGED = "changed"


class TagReport(Struct, frozen=True, kw_only=True):
    """The outcome of one poll for a new or changed tag.

    `stage` is the one whose pattern matches, None if none matches or no stage was tried.
    """

    tag: str
    change: Change
    stage: Stage | None = None
    verdict: PushVerdict


class PollReport(Struct, frozen=True, kw_only=True):
    """The outcome of one poll of a project. `deploys` are ids; on an `error` all lists are empty.

    `tags` has every new or changed tag, the deployed ones last. If there is none, `error` can also
    be the registry's refusal of a single tag.
    """

    first_poll: bool
    new_tags: tuple[str, ...] = ()
    deploys: tuple[str, ...] = ()
    tags: tuple[TagReport, ...] = ()
    error: str | None = None
