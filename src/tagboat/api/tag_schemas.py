"""What the API says of tags: those that are known, and those that a poll has just found."""

from datetime import datetime

from tagboat.api.bodies import Answer
from tagboat.api.schemas import Named
from tagboat.core.polling import Change
from tagboat.core.push import Outcome, Source


class PolledTag(Answer):
    """What a poll did about a tag that was news: one never seen before, or a known one whose digest changed.

    `stage` is the one whose pattern matches; `recorded`: made known and not deployed.
    """

    tag: str
    change: Change
    stage: Named | None
    outcome: Outcome
    reason: str
    deploy: str | None


class PollOutcome(Answer):
    """What one poll came to; `deploys` are ids. `tags` has every tag that was news, those that were deployed last.

    `error` is also what the registry kept from the poll, such as one tag of many, where there was no news besides; else that
    is on the project only.
    """

    first_poll: bool
    new_tags: list[str]
    deploys: list[str]
    tags: list[PolledTag]
    error: str | None


class TagNews(Answer):
    """What was done about a tag when it was news."""

    at: datetime
    source: Source
    outcome: Outcome
    reason: str
    deploy: str | None


class KnownTag(Answer):
    """A tag that some source has named.

    `reason` says what would be done about it as things stand, `last` what was done when it was last news; null: not on record.
    """

    tag: str
    digest: str | None
    first_seen: datetime
    source: str
    reason: str
    last: TagNews | None
