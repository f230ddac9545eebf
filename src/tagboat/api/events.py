"""Events as they happen, as server-sent events (WHATWG HTML, section 9.2)."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from msgspec import field
from pydantic import BeforeValidator

from tagboat.api.answers import Responses, problems
from tagboat.api.filters import Only
from tagboat.api.services import Services
from tagboat.api.values import IdFilter, in_digits
from tagboat.core.events import Event, EventTopic
from tagboat.core.ports import Reader
from tagboat.http.event_hub import EventFilter
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.queries.deploys import resolve

EVENTS_PATH = "/api/events"
# The largest number of a column of the database: a larger one is refused before it gets there.
_LARGEST_ID = 2**63 - 1
_EVENTS_DESCRIPTION = (
    "A stream of server-sent events. `id` identifies the event, `event` is its topic, and `data` is"
    " JSON: `id`, `topic`, `subject` (the id of what changed, or the name of a setting), `at`,"
    " `project`, `stage` and `deploy` (ids, or null), then the new state by topic:"
    " `deploy`: status, reason, tag, digest, trigger, and receipt where that has changed: about"
    " once a second while the new instance is watched, and at the end;"
    " `step`: name, status, detail (the subject is the deploy);"
    " `log`: text, the lines added to the log of the deploy;"
    " `instance`: state, tag, digest, container, url, and trouble and detail where the engine"
    " reported on it;"
    " `stage`: name, held, stopped, deleted; `project` and `registry`: name, deleted;"
    " `delivery`: sender, status; `poll`: error."
    " The event `reset` says that the events after the given id are not kept any more: read the"
    " state again, and go on from here. A comment is sent every 15 seconds. A stream ends when its"
    " reader is too slow, and when the server stops: connect again with the last id."
)
_stream: Responses = {
    200: {"description": _EVENTS_DESCRIPTION, "content": {"text/event-stream": {}}},
    **problems(422),
}


class NamedFilter(EventFilter, frozen=True):
    """The events of what does not exist yet: an event that has its name tells its id.

    `project` and `stage` are such names, or ids.
    """

    found: dict[EventTopic, str] = field(default_factory=dict)
    """The ids that were told, by `PROJECT` and `STAGE`."""

    def matches(self, event: Event) -> bool:
        """Return True where the stream wants the event."""
        name = event.state.get("name")
        if event.topic is EventTopic.PROJECT and name == self.project:
            self.found.setdefault(EventTopic.PROJECT, event.subject)
        project = self.found.get(EventTopic.PROJECT, self.project)
        is_of_it = project is None or event.project_id == project
        if event.topic is EventTopic.STAGE and name == self.stage and is_of_it:
            self.found.setdefault(EventTopic.STAGE, event.subject)
        stage = self.found.get(EventTopic.STAGE, self.stage)
        return EventFilter(self.topics, project, stage, self.deploy).matches(event)


router = APIRouter(prefix=EVENTS_PATH, tags=["events"])


@router.get("", response_class=StreamingResponse, responses=_stream)
async def follow_events(
    services: Services,
    only: Only,
    topics: Annotated[
        list[EventTopic], Query(alias="topic", description="Only of these topics.")
    ] = [],  # noqa: B006 - never changed
    deploy: Annotated[IdFilter | None, Query(description="Only of the deploy of this id.")] = None,
    last_event_id: Annotated[
        int | None,
        Query(
            ge=0,
            le=_LARGEST_ID,
            description="As the header `Last-Event-ID`, for clients that cannot set it.",
        ),
    ] = None,
    resume_after: Annotated[
        int | None,
        BeforeValidator(in_digits),
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=_LARGEST_ID,
            description="The last id seen: the stream goes on after it. 0 is all that is kept.",
        ),
    ] = None,
) -> StreamingResponse:
    """Follow what changes: from now on, or from where an earlier stream ended."""
    # The header is what browsers send as they connect again: it is newer than the address.
    after = resume_after if resume_after is not None else last_event_id

    # Read here, not in the stream: without the database the answer is a 503, not a broken 200.
    def begin(reader: Reader) -> tuple[EventFilter, int]:
        # Nothing has the id of what was deleted, but events do.
        named = resolve(reader, only)
        project = resolve(reader, StageFilter(only.project)) or only
        wanted = (
            NamedFilter(frozenset(topics), project.project, only.stage, deploy)
            if named is None
            else EventFilter(frozenset(topics), named.project, named.stage, deploy)
        )
        return wanted, reader.last_event_id() if after is None else after

    wanted, start = await services.store.read(begin)
    return StreamingResponse(
        services.events.follow(wanted, start),
        media_type="text/event-stream",
        # nginx would hold events back until its buffer is full.
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )
