"""A stage: what serves, what was, and the orders that it takes."""

import asyncio

from starlette.responses import Response

from tagboat.api.schemas import DeployCreate, RollbackCreate
from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import TagboatError
from tagboat.core.events import EventTopic
from tagboat.core.principal import Role
from tagboat.web.deploy_words import step_sentence, trigger_words
from tagboat.web.form_bodies import as_body
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.messages import Tone
from tagboat.web.paging import cut_listing
from tagboat.web.places import deploy_path, stage_path
from tagboat.web.rights_words import why_not
from tagboat.web.routing import PageRouter
from tagboat.web.stage_words import (
    ending_tone,
    health_words,
    hold_sentence,
    pending_title,
    promote_sources,
    stage_sentence,
    stage_tone,
    waiting_words,
)
from tagboat.web.visits import LiveFilter, Visit

_STAGE_PAGE = "/projects/{project}/{stage}"
_PERIODS_SHOWN = 20
# The ingress may hang; the numbers are nice to have.
_COUNTED_WITHIN_S = 0.5
_STAGE_TOPICS = (
    EventTopic.DEPLOY,
    EventTopic.STEP,
    EventTopic.INSTANCE,
    EventTopic.STAGE,
    EventTopic.PROJECT,
    EventTopic.DELIVERY,
)

router = PageRouter()


@router.page(_STAGE_PAGE)
async def stage_page(visit: Visit) -> Response:
    """Show a stage."""
    return await _show_stage_page(visit, NO_ERRORS)


@router.page(f"{_STAGE_PAGE}/requests")
async def requests_fragment(visit: Visit) -> Response:
    """Show how many requests the ingress has counted: asked after the page is there."""
    _, stage = await _stage_asked_for(visit)
    # The ingress may hang; the page has been there for a while then.
    try:
        async with asyncio.timeout(_COUNTED_WITHIN_S):
            counts = await visit.operations.machine.answers_of(stage.id)
    except TimeoutError:
        counts = None
    return visit.show("stage_requests.html", {"counts": counts})


@router.order(f"{_STAGE_PAGE}/deploy")
async def deploy_order(visit: Visit) -> Response:
    """Deploy a tag; with `force` even if nothing differs from what is live."""
    _, stage = await _stage_asked_for(visit)
    form = visit.form
    try:
        asked = as_body(DeployCreate, {"tag": form.text("tag"), "note": form.text("note")})
        queued = await visit.operations.deploys.deploy(
            stage.id, asked.tag, force=form.ticked("force"), note=asked.note
        )
    except TagboatError as error:
        return await _show_stage_page(visit, form_errors(error, {}))
    return visit.go(deploy_path(queued.deploy.id), f"{queued.deploy.tag} is queued.", Tone.RUN)


@router.order(f"{_STAGE_PAGE}/hold")
async def hold_order(visit: Visit) -> Response:
    """Let pushes and polls deploy nothing in the stage."""
    project, stage = await _stage_asked_for(visit)
    await visit.operations.deploys.hold(stage.id)
    said = f"{stage.name} is held: pushes wait until it is released."
    return visit.go(stage_path(project.name, stage.name), said, Tone.WAIT)


@router.order(f"{_STAGE_PAGE}/release")
async def release_order(visit: Visit) -> Response:
    """Let pushes and polls deploy in the stage again, beginning with what waits."""
    project, stage = await _stage_asked_for(visit)
    including = visit.form.ticked("including")
    released, queued = await visit.operations.deploys.release(stage.id, including=including)
    came = {0: "Nothing was queued.", 1: "1 deploy is queued."}
    said = came.get(len(queued), f"{len(queued)} deploys are queued.")
    if released.stage.stopped:
        said = f"It is still stopped: tagboat start {project.name} {stage.name}"
    return visit.go(stage_path(project.name, stage.name), f"{stage.name} is released. {said}")


@router.order(f"{_STAGE_PAGE}/restart")
async def restart_order(visit: Visit) -> Response:
    """Deploy what is live again, with the saved settings."""
    _, stage = await _stage_asked_for(visit)
    try:
        queued = await visit.operations.lifecycle.restart(stage.id)
    except TagboatError as error:
        return await _show_stage_page(visit, form_errors(error, {}))
    said = f"{', '.join(one.deploy.tag for one in queued)} is started again."
    return visit.go(deploy_path(queued[-1].deploy.id), said, Tone.RUN)


@router.order(f"{_STAGE_PAGE}/stop")
async def stop_order(visit: Visit) -> Response:
    """End all instances of the stage, and keep it stopped."""
    project, stage = await _stage_asked_for(visit)
    try:
        await visit.operations.lifecycle.stop(stage.id)
    except TagboatError as error:
        return await _show_stage_page(visit, form_errors(error, {}))
    said = f"{stage.name} is stopped: pushes wait until it is started."
    return visit.go(stage_path(project.name, stage.name), said, Tone.WAIT)


@router.order(f"{_STAGE_PAGE}/start")
async def start_order(visit: Visit) -> Response:
    """Deploy what was live last again."""
    project, stage = await _stage_asked_for(visit)
    try:
        started = await visit.operations.lifecycle.start(stage.id)
    except TagboatError as error:
        return await _show_stage_page(visit, form_errors(error, {}))
    said = f"{stage.name}: {started.reason}."
    if not started.deploys:
        return visit.go(stage_path(project.name, stage.name), said)
    return visit.go(deploy_path(started.deploys[-1]), said, Tone.RUN)


@router.page(f"{_STAGE_PAGE}/rollback")
async def rollback_page(visit: Visit) -> Response:
    """Ask before going back to what was live."""
    return await _show_rollback_page(visit, NO_ERRORS)


@router.order(f"{_STAGE_PAGE}/rollback")
async def rollback_stage_order(visit: Visit) -> Response:
    """Go back to what a deploy brought, and hold the stage."""
    _, stage = await _stage_asked_for(visit)
    form = visit.form
    try:
        wanted = {"to": form.text("to") or None, "note": form.text("note")}
        asked = as_body(RollbackCreate, wanted)
        queued = await visit.operations.deploys.rollback(stage.id, asked.to, asked.note)
    except TagboatError as error:
        return await _show_rollback_page(visit, form_errors(error, {}))
    said = f"Rolling back to {queued.deploy.tag}. The stage {stage.name} is held."
    return visit.go(deploy_path(queued.deploy.id), said, Tone.RUN)


async def _stage_asked_for(visit: Visit) -> tuple[Project, Stage]:
    return await visit.operations.project_page.find_stage(
        visit.path("project"), visit.path("stage")
    )


async def _show_stage_page(visit: Visit, errors: FormErrors) -> Response:
    # Before what is shown is read: a change in between is shown twice, and never missed.
    last_event = await visit.last_event()
    detail = await visit.operations.project_page.stage(
        # One more than is shown tells if there is another page.
        visit.path("project"),
        visit.path("stage"),
        visit.query("after"),
        _PERIODS_SHOWN + 1,
    )
    cell, stage = detail.cell, detail.stage
    return visit.show(
        "stage.html",
        {
            "detail": detail,
            "project": detail.project,
            "stage": stage,
            "cell": cell,
            "tone": stage_tone(cell),
            "sentence": stage_sentence(cell, visit.now),
            "held": hold_sentence(stage, cell.waiting, visit.now),
            "waiting": waiting_words(cell.waiting),
            "health": health_words,
            "history": cut_listing(
                visit, detail.history.periods, lambda one: one.instance.id, _PERIODS_SHOWN
            ),
            "ending_tone": ending_tone,
            "trigger_words": trigger_words,
            "step_sentence": step_sentence,
            "pending_title": pending_title(len(detail.pending.changes)),
            "sources": promote_sources(detail),
            "why_no_order": why_not(visit.principal, Role.DEPLOYER, detail.project.id),
            "why_no_change": why_not(visit.principal, Role.ADMIN),
        },
        # Of the whole project: what its other stages serve can be promoted.
        live=LiveFilter(last_event, _STAGE_TOPICS, project=detail.project.id),
        errors=errors,
    )


async def _show_rollback_page(visit: Visit, errors: FormErrors) -> Response:
    """Show what a rollback brings back: what the deploy `to` brought, else what was before."""
    # A refused order comes as a form, the first look as a link.
    wanted = visit.form.text("to") or visit.query("to")
    preview = await visit.operations.project_page.rollback(
        visit.path("project"), visit.path("stage"), wanted or None
    )
    return visit.show(
        "rollback.html",
        {
            "preview": preview,
            "project": preview.project,
            "stage": preview.stage,
            "why_no_order": why_not(visit.principal, Role.DEPLOYER, preview.project.id),
        },
        errors=errors,
    )
