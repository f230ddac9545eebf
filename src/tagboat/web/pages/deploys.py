"""The list of deploys, newest first."""

from starlette.responses import Response

from tagboat.core.deploy import DeployStatus
from tagboat.core.errors import InvalidValueError
from tagboat.core.events import EventTopic
from tagboat.operations.queries.catalog import StageFilter
from tagboat.web.deploy_words import deploy_tone, trigger_words
from tagboat.web.paging import PAGE_LENGTH, cut_listing
from tagboat.web.routing import PageRouter
from tagboat.web.visits import LiveFilter, Visit

router = PageRouter()


@router.page("/deploys")
async def deploys_page(visit: Visit) -> Response:
    """Show the deploys of all stages, or of one project or stage, in one state or in any."""
    # Before the list is read, so that nothing is missed.
    last_event = await visit.last_event()
    project, stage = visit.query("project") or None, visit.query("stage") or None
    # An address can be typed or old: an unknown state is named, not ignored.
    status = visit.query("status")
    if status and status not in set(DeployStatus):
        raise InvalidValueError(
            f"there is no state {status!r}; known are {', '.join(DeployStatus)}"
        )
    found = await visit.operations.history.deploys(
        StageFilter(project, stage),
        [DeployStatus(status)] if status else [],
        visit.query("after"),
        # One more than is shown says whether there is a next page.
        PAGE_LENGTH + 1,
    )
    return visit.show(
        "deploys.html",
        {
            "listing": cut_listing(visit, found, lambda view: view.deploy.id),
            "project": project,
            "stage": stage,
            "status": status,
            "statuses": tuple(DeployStatus),
            "tone": deploy_tone,
            "trigger_words": trigger_words,
        },
        live=LiveFilter(last_event, (EventTopic.DEPLOY, EventTopic.STEP)),
    )
