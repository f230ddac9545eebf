"""The palette: what a few words lead to, and the orders that can be given by them."""

from collections.abc import Sequence
from typing import cast

import msgspec
from starlette.responses import Response

from tagboat.api.schemas import RollbackCreate
from tagboat.core.errors import NotFoundError, TagboatError
from tagboat.core.principal import Principal, Role
from tagboat.core.values import replace
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.views import StageView
from tagboat.web.form_bodies import as_body
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.messages import Tone
from tagboat.web.order_words import order_words
from tagboat.web.places import deploy_path, stage_path
from tagboat.web.routing import PageRouter
from tagboat.web.suggestions import (
    ORDER_PATH,
    Suggestion,
    project_text,
    suggestions,
    tag_text,
)
from tagboat.web.typed_commands import TypedCommand, Verb, command_line, typed_command, whole_order
from tagboat.web.visits import Visit

router = PageRouter()


class TypedOrder(msgspec.Struct, frozen=True):
    """An order that was typed: its words, its stage, and where a promotion comes from."""

    command: TypedCommand
    target: StageView
    source: StageView | None


@router.page("/find")
async def find_page(visit: Visit) -> Response:
    """Show what the words lead to, as links."""
    # PostgreSQL refuses a NUL in a text.
    text = visit.request.query_params.get("q", "").replace("\0", "")
    return visit.show("find.html", {"q": text, "found": await _suggestions(visit, text)})


@router.page("/find.json")
async def find_suggestions(visit: Visit) -> Response:
    """Answer the palette while somebody types."""
    # With the blank at its end, which says that the next word begins.
    text = visit.request.query_params.get("q", "").replace("\0", "")
    content = msgspec.json.encode({"suggestions": await _suggestions(visit, text)})
    return Response(content, media_type="application/json")


@router.page(ORDER_PATH, needs=Role.DEPLOYER)
async def order_page(visit: Visit) -> Response:
    """Ask before an order is carried out."""
    # Also with JavaScript: a word too few must not deploy something else.
    return await _show_order(visit, visit.query("q"), NO_ERRORS)


@router.order(ORDER_PATH)
async def typed_order(visit: Visit) -> Response:
    """Carry out the order that was typed."""
    text = visit.form.text("q")
    order = await _order(visit, text)
    try:
        path = await _carry_out(visit, order)
    except TagboatError as error:
        return await _show_order(visit, text, form_errors(error, {}))
    return visit.go(path, order_words(order.command).done, Tone.OK)


async def _suggestions(visit: Visit, text: str) -> list[Suggestion]:
    command = typed_command(text)
    finds = await visit.operations.finder.read(project_text(command), tag_text(command))
    # The role of the page has let a principal in.
    return suggestions(command, finds, cast("Principal", visit.principal).role)


async def _order(visit: Visit, text: str) -> TypedOrder:
    """Return the order; raise InvalidValueError or NotFoundError for what cannot be one."""
    command = whole_order(text)
    project, first, *rest = command.words
    if command.verb is Verb.PROMOTE:
        source = await _named_stage(visit, project, first)
        return TypedOrder(command, await _named_stage(visit, project, rest[0]), source)
    return TypedOrder(command, await _named_stage(visit, project, first), None)


async def _named_stage(visit: Visit, project: str, stage: str) -> StageView:
    found = await visit.operations.catalog.stages(StageFilter(project, stage), None, 1)
    if not found:
        raise NotFoundError(f"there is no stage {stage[:80]} in a project {project[:80]}")
    return found[0]


async def _show_order(visit: Visit, text: str, errors: FormErrors) -> Response:
    order = await _order(visit, text)
    says, back_to = order_words(order.command), ""
    if order.command.verb is Verb.ROLLBACK:
        # A form that comes back has been shown with its deploy.
        preview = await visit.operations.project_page.rollback(
            order.target.project.name, order.target.stage.name, visit.form.text("to") or None
        )
        if preview.target is None:
            reason = preview.reason if errors is NO_ERRORS else ""
            says = replace(says, sentence=reason, button="")
        else:
            tag, back_to = preview.target.tag, preview.target.deploy_id
            sentence = says.sentence.replace("What was live before", tag, 1)
            says = replace(says, sentence=sentence, button=f"Roll back to {tag}")
    return visit.show(
        "order.html",
        {
            "order": order,
            "q": text,
            "back_to": back_to,
            "says": says,
            "command": command_line(order.command.verb, *order.command.words),
            "takes_note": order.command.verb in {Verb.DEPLOY, Verb.ROLLBACK, Verb.PROMOTE},
        },
        errors=errors,
    )


async def _carry_out(visit: Visit, order: TypedOrder) -> str:
    """Carry out an order; return the page that shows what comes of it."""
    deploys, stage_id = visit.operations.deploys, order.target.stage.id
    lifecycle = visit.operations.lifecycle
    # By the rule of the API: all notes are kept and shown alike.
    wanted = {"to": visit.form.text("to") or None, "note": visit.form.text("note")}
    asked = as_body(RollbackCreate, wanted)
    note = asked.note
    queued: Sequence[str] = ()
    match order.command.verb:
        case Verb.DEPLOY:
            tag = order.command.words[-1]
            queued = [(await deploys.deploy(stage_id, tag, note=note)).deploy.id]
        case Verb.ROLLBACK:
            queued = [(await deploys.rollback(stage_id, asked.to, note)).deploy.id]
        case Verb.PROMOTE if order.source is not None:
            queued = [(await deploys.promote(stage_id, order.source.stage.id, note)).deploy.id]
        case Verb.RESTART:
            queued = [one.deploy.id for one in await lifecycle.restart(stage_id)]
        case Verb.START:
            queued = (await lifecycle.start(stage_id)).deploys
        case Verb.STOP:
            await lifecycle.stop(stage_id)
        case Verb.HOLD:
            await deploys.hold(stage_id)
        case Verb.RELEASE:
            await deploys.release(stage_id, including=False)
        case _:
            await deploys.cancel_all(stage_id)
    if queued:
        return deploy_path(queued[-1])
    return stage_path(order.target.project.name, order.target.stage.name)
