"""One deploy: how it goes, its log, what it changes, and the orders that it takes."""

import asyncio

from msgspec import Struct
from starlette.responses import Response

from tagboat.api.schemas import RollbackCreate
from tagboat.core.deploy import DeployStatus
from tagboat.core.errors import TagboatError
from tagboat.core.events import EventTopic
from tagboat.core.principal import Role
from tagboat.operations.queries.comparisons import Comparison
from tagboat.operations.queries.deploy_page import SurroundedDeploy
from tagboat.web.deploy_words import (
    deploy_sentence,
    deploy_title,
    deploy_tone,
    duration_of,
    step_words,
    trigger_words,
)
from tagboat.web.error_pages import sentence_of
from tagboat.web.form_bodies import as_body
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.messages import Tone
from tagboat.web.places import deploy_path
from tagboat.web.routing import PageRouter
from tagboat.web.visits import LiveFilter, Visit

_DEPLOY = "/deploys/{deploy_id}"
# As much as a person scrolls through; the page of logs has all.
_LOG_LINES = 200
_LOG_WITHIN_S = 1.0
# The page is needed at night, while the engine may be what hangs.
_CHANGES_WITHIN_S = 0.25
_DEPLOY_TOPICS = (EventTopic.DEPLOY, EventTopic.STEP, EventTopic.LOG, EventTopic.INSTANCE)

router = PageRouter()


class ShownLog(Struct, frozen=True):
    """A log with the name of its side, `new` or `old`; `why` says why it is empty."""

    side: str
    text: str
    why: str = ""


@router.page(_DEPLOY)
async def deploy_page(visit: Visit) -> Response:
    """Show a deploy."""
    return await _show_deploy_page(visit, NO_ERRORS)


@router.order(f"{_DEPLOY}/cancel")
async def cancel_order(visit: Visit) -> Response:
    """Cancel a deploy that is queued or running."""
    deploy_id = visit.path("deploy_id")
    try:
        view = await visit.operations.deploys.cancel(deploy_id)
    except TagboatError as error:
        return await _show_deploy_page(visit, form_errors(error, {}))
    # A running one takes a moment: its worker has to bring back what served.
    said = "It is being taken back." if view.deploy.cancelling else "It is cancelled."
    return visit.go(deploy_path(deploy_id), said)


@router.order(f"{_DEPLOY}/rollback")
async def rollback_order(visit: Visit) -> Response:
    """Go back to what served before the deploy, and hold its stage."""
    view = await visit.operations.history.deploy(visit.path("deploy_id"))
    try:
        # What the page has shown: meanwhile something else may have gone live.
        wanted = {"to": visit.form.text("to") or None, "note": visit.form.text("note")}
        asked = as_body(RollbackCreate, wanted)
        queued = await visit.operations.deploys.rollback(view.stage.id, asked.to, asked.note)
    except TagboatError as error:
        return await _show_deploy_page(visit, form_errors(error, {}))
    said = f"Rolling back to {queued.deploy.tag}. The stage {view.stage.name} is held."
    return visit.go(deploy_path(queued.deploy.id), said, Tone.RUN)


@router.order(f"{_DEPLOY}/again")
async def again_order(visit: Visit) -> Response:
    """Deploy the same tag in the same stage once more."""
    view = await visit.operations.history.deploy(visit.path("deploy_id"))
    try:
        queued = await visit.operations.deploys.deploy(view.stage.id, view.deploy.tag)
    except TagboatError as error:
        return await _show_deploy_page(visit, form_errors(error, {}))
    return visit.go(deploy_path(queued.deploy.id), f"{view.deploy.tag} is queued.", Tone.RUN)


async def _show_deploy_page(visit: Visit, errors: FormErrors) -> Response:
    # Before the page is read: what happens in between comes as an event.
    last_event = await visit.last_event()
    page = await visit.operations.deploy_page.read(visit.path("deploy_id"))
    # Both ask the engine: together they take as long as the slower one.
    log, changes = await asyncio.gather(
        _read_log(visit, page), _read_changes(visit, page.view.deploy.id)
    )
    deploy = page.view.deploy
    may = visit.may(Role.DEPLOYER, page.view.project.id)
    # A control that would be refused is left out; the operation checks it all the same.
    is_open = not deploy.status.final
    return visit.show(
        "deploy.html",
        {
            "page": page,
            "deploy": deploy,
            "title": deploy_title(page),
            "sentence": deploy_sentence(page),
            "tone": deploy_tone(deploy),
            "cause": trigger_words(deploy.trigger),
            "lasted": duration_of(deploy, visit.now),
            "steps": [step_words(step, visit.now) for step in deploy.steps],
            "log": log,
            "changes": changes,
            "can_cancel": may and is_open and not deploy.cancelling,
            # What is not live any more has been gone back from already.
            "can_roll_back": may and page.is_live and page.before is not None,
            "can_repeat": may
            and deploy.status in {DeployStatus.FAILED, DeployStatus.CANCELLED}
            and not page.is_live,
        },
        live=LiveFilter(last_event, _DEPLOY_TOPICS, deploy=deploy.id),
        errors=errors,
    )


async def _read_log(visit: Visit, page: SurroundedDeploy) -> ShownLog:
    """Return the log that was asked for, else that of the new container, kept or still running."""
    deploy, old = page.view.deploy, page.before
    # In the address, so that the side can be shared, and stays when the page is read again.
    side = visit.query("log")
    if side not in {"new", "old"}:
        # Before anything was started, the log of what serves says more than none.
        begins_old = page.instance is None and not deploy.log and not deploy.status.final
        side = "old" if begins_old and old else "new"
    instance = old if side == "old" else page.instance
    if side == "new" and not page.has_container:
        # A container that is gone has left at most the lines that its deploy kept.
        why = "" if deploy.log else "The new container has left no log."
        if page.instance is None and not deploy.log:
            why = "No container has been started."
        return ShownLog(side, deploy.log, why)
    if instance is None:
        return ShownLog(side, "", "Nothing was live before.")
    try:
        async with asyncio.timeout(_LOG_WITHIN_S):
            logs = visit.operations.logs
            lines = await logs.instance(instance.id, logs.window(_LOG_LINES, None))
    except TimeoutError:
        return ShownLog(side, "", "The engine did not answer in time. Reload the page.")
    except TagboatError as error:
        return ShownLog(side, "", sentence_of(str(error)))
    text = "\n".join(line.text for line in lines)
    return ShownLog(side, text, "" if lines else "It has written nothing yet.")


async def _read_changes(visit: Visit, deploy_id: str) -> Comparison | None:
    """Return what the deploy changes; None where the images cannot be compared soon enough."""
    try:
        async with asyncio.timeout(_CHANGES_WITHIN_S):
            return await visit.operations.comparisons.deploy(deploy_id)
    except (TimeoutError, TagboatError):
        return None
