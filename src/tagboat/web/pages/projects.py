"""The list of projects, the page of one, and the orders that it takes."""

from datetime import datetime

from starlette.responses import Response

from tagboat.api.schemas import DeployCreate
from tagboat.core.errors import InvalidValueError, TagboatError
from tagboat.core.events import EventTopic
from tagboat.core.page_port import TagPlace
from tagboat.core.polling import PollReport
from tagboat.core.principal import Role
from tagboat.operations.queries.matrix import ProjectState
from tagboat.web.cell_words import cell_words
from tagboat.web.delivery_words import tag_words
from tagboat.web.form_bodies import as_body
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.messages import Tone
from tagboat.web.paging import PAGE_LENGTH, cut_listing
from tagboat.web.places import deploy_path, project_path
from tagboat.web.rights_words import why_not
from tagboat.web.routing import PageRouter
from tagboat.web.stage_words import lane_steps, project_warnings, split_lane
from tagboat.web.visits import LiveFilter, Visit

_PROJECT_PAGE = "/projects/{project}"
_TAGS_SHOWN = 30
_PROJECT_TOPICS = (
    EventTopic.DEPLOY,
    EventTopic.STEP,
    EventTopic.INSTANCE,
    EventTopic.STAGE,
    EventTopic.PROJECT,
    EventTopic.POLL,
)

router = PageRouter()


@router.page("/projects")
async def projects_page(visit: Visit) -> Response:
    """Show all projects, or those of a name or in a state."""
    last_event = await visit.last_event()
    state = visit.query("state")
    if state and state not in set(ProjectState):
        known = ", ".join(ProjectState)
        raise InvalidValueError(f"there is no state {state!r}; known are {known}")
    found = await visit.operations.project_page.projects(
        visit.query("q"),
        ProjectState(state) if state else None,
        visit.query("after"),
        PAGE_LENGTH,
    )
    return visit.show(
        "projects.html",
        {
            "found": found,
            "q": visit.query("q"),
            "state": state,
            "states": tuple(ProjectState),
            "cell_words": cell_words,
        },
        live=LiveFilter(last_event, _PROJECT_TOPICS),
    )


@router.page(_PROJECT_PAGE)
async def project_page(visit: Visit) -> Response:
    """Show how a tag travels through the stages of a project."""
    return await _show_project_page(visit, NO_ERRORS)


@router.order(f"{_PROJECT_PAGE}/-/poll")
async def poll_order(visit: Visit) -> Response:
    """Ask the registry for new tags."""
    project = await visit.operations.project_page.find_project(visit.path("project"))
    try:
        report = await visit.operations.projects.poll(project.id)
    except TagboatError as error:
        return await _show_project_page(visit, form_errors(error, {}))
    said, tone = poll_words(report)
    return visit.go(project_path(project.name), said, tone)


@router.page(f"{_PROJECT_PAGE}/-/deploy")
async def deploy_tag_page(visit: Visit) -> Response:
    """Ask in which stage a tag is to be deployed."""
    return await _show_deploy_tag_page(visit, NO_ERRORS)


@router.order(f"{_PROJECT_PAGE}/-/deploy")
async def deploy_tag_order(visit: Visit) -> Response:
    """Deploy a tag in a stage."""
    try:
        # The stage is typed or chosen: one that is not there is an error of the form.
        project, stage = await visit.operations.project_page.find_stage(
            visit.path("project"), visit.form.text("stage")
        )
        values = {"tag": visit.form.text("tag"), "note": visit.form.text("note")}
        asked = as_body(DeployCreate, values)
        queued = await visit.operations.deploys.deploy(stage.id, asked.tag, note=asked.note)
    except TagboatError as error:
        return await _show_deploy_tag_page(visit, form_errors(error, {}))
    said = f"{queued.deploy.tag} is queued for {project.name} {stage.name}."
    return visit.go(deploy_path(queued.deploy.id), said, Tone.RUN)


async def _show_project_page(visit: Visit, errors: FormErrors) -> Response:
    # Before what is shown is read, as on every live page: no change falls in between.
    last_event = await visit.last_event()
    page = await visit.operations.project_page.project(visit.path("project"))
    text = visit.query("tag")
    tags = await visit.operations.tags.tags_view(
        page.project.id, text, tag_place(visit.query("after")), _TAGS_SHOWN + 1
    )
    lane, others = split_lane(lane_steps(page.stages))
    return visit.show(
        "project.html",
        {
            "page": page,
            "project": page.project,
            "lane": lane,
            "others": others,
            "warnings": project_warnings(page.stages),
            "tags": cut_listing(
                visit,
                tags,
                lambda view: f"{view.tag.first_seen.isoformat()} {view.tag.tag}",
                _TAGS_SHOWN,
            ),
            "tag_text": text,
            "tag_words": tag_words,
            "why_no_order": why_not(visit.principal, Role.DEPLOYER, page.project.id),
            "why_no_change": why_not(visit.principal, Role.ADMIN),
        },
        live=LiveFilter(last_event, _PROJECT_TOPICS, project=page.project.id),
        errors=errors,
    )


async def _show_deploy_tag_page(visit: Visit, errors: FormErrors) -> Response:
    page = await visit.operations.project_page.project(visit.path("project"))
    tag = visit.form.text("tag") or visit.query("tag")
    return visit.show(
        "deploy_tag.html",
        {
            "project": page.project,
            "tag": tag,
            "stage": visit.query("stage"),
            "lane": lane_steps(page.stages),
            "why_no_order": why_not(visit.principal, Role.DEPLOYER, page.project.id),
        },
        errors=errors,
    )


def poll_words(report: PollReport) -> tuple[str, Tone]:
    """Return what came of a poll, and its colour."""
    if report.error:
        return f"The poll failed: {report.error}", Tone.BAD
    found = len(report.new_tags)
    tags = "no new tag" if not found else "1 new tag" if found == 1 else f"{found} new tags"
    if report.first_poll:
        return f"First poll: {tags} recorded, and nothing is deployed by it.", Tone.OK
    deploys = len(report.deploys)
    queued = f", {deploys} deploy{'' if deploys == 1 else 's'} queued" if deploys else ""
    return f"Polled: {tags}{queued}.", Tone.OK


def tag_place(key: str) -> TagPlace | None:
    """Return the place of a tag in the list, None for the start; raise InvalidValueError."""
    if not key:
        return None
    seen, _, tag = key.partition(" ")
    try:
        place = datetime.fromisoformat(seen), tag
    except ValueError:
        place = None
    # The database compares times with a zone only.
    if place is None or place[0].tzinfo is None:
        raise InvalidValueError("this link is of another list; go back to its first page")
    return place
