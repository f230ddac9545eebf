"""The bodies of tags: known ones, and those that a poll has just found."""

from datetime import datetime

from tagboat.api.bodies import ResponseModel
from tagboat.api.schemas import RefOut
from tagboat.core.polling import Change
from tagboat.core.push import Outcome, Source


class PolledTagOut(ResponseModel):
    """The outcome for a tag that was new in a poll, or whose digest had changed."""

    tag: str
    change: Change
    stage: RefOut | None
    outcome: Outcome
    reason: str
    deploy: str | None


class PollReportOut(ResponseModel):
    """The result of a poll."""

    first_poll: bool
    new_tags: list[str]
    deploys: list[str]
    tags: list[PolledTagOut]
    error: str | None


class ProjectPollOut(PollReportOut):
    """The result of a poll of one of all projects."""

    project: RefOut


class PollReportsOut(ResponseModel):
    """The results of polls of all projects, in order of name."""

    items: list[ProjectPollOut]


class TagNewsOut(ResponseModel):
    """The outcome for a tag when it was last new or changed."""

    at: datetime
    source: Source
    outcome: Outcome
    reason: str
    deploy: str | None


class KnownTagOut(ResponseModel):
    """A tag that some source has named."""

    tag: str
    digest: str | None
    first_seen: datetime
    source: str
    reason: str
    live_in: list[RefOut]
    last: TagNewsOut | None
