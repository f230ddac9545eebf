"""The sheet of a promotion: what will change, before it is ordered."""

from starlette.responses import Response

from tagboat.api.schemas import PromoteCreate
from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import ConflictError, TagboatError
from tagboat.core.principal import Role
from tagboat.operations.queries.comparisons import Comparison
from tagboat.web.form_bodies import as_body
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.messages import Tone
from tagboat.web.places import deploy_path
from tagboat.web.rights_words import why_not
from tagboat.web.routing import PageRouter
from tagboat.web.stage_words import promote_sources
from tagboat.web.visits import Visit

_PROMOTE = "/projects/{project}/{stage}/promote"
# A page does not wait for a registry: what is missing by then can be asked for once more.
_DESCRIBED_WITHIN_S = 0.25

router = PageRouter()


@router.page(_PROMOTE)
async def promote_page(visit: Visit) -> Response:
    """Show what a promotion from the stage `from` would change; without one, ask which."""
    return await _show_promote_page(visit, visit.query("from"), NO_ERRORS)


@router.order(_PROMOTE)
async def promote_order(visit: Visit) -> Response:
    """Deploy the digest that was shown, if it is still live in the other stage."""
    form = visit.form
    _, stage = await _stage_called(visit, visit.path("stage"))
    try:
        _, source = await _stage_called(visit, form.text("from"))
        # What was shown is what is promoted: the other stage may serve something else by now.
        asked = as_body(PromoteCreate, {"from": source.id, "note": form.text("note")})
        queued = await visit.operations.deploys.promote(
            stage.id, source.id, asked.note, form.text("digest") or None
        )
    except TagboatError as error:
        return await _show_promote_page(visit, form.text("from"), form_errors(error, {}))
    said = f"{queued.deploy.tag} of {source.name} is queued for {stage.name}."
    return visit.go(deploy_path(queued.deploy.id), said, Tone.RUN)


async def _show_promote_page(visit: Visit, from_name: str, errors: FormErrors) -> Response:
    detail = await visit.operations.project_page.stage(
        visit.path("project"), visit.path("stage"), "", 1
    )
    comparison: Comparison | None = None
    refused = ""
    if from_name:
        _, source = await _stage_called(visit, from_name)
        # By a link on the page itself, for whoever wants to wait for the rest.
        within_s = None if visit.query("wait") else _DESCRIBED_WITHIN_S
        try:
            comparison = await visit.operations.comparisons.promotion(
                detail.stage.id, source.id, within_s
            )
        except ConflictError as error:
            refused = str(error)
    return visit.show(
        "promote.html",
        {
            "project": detail.project,
            "stage": detail.stage,
            "from_name": from_name,
            "comparison": comparison,
            "refused": refused,
            "sources": promote_sources(detail),
            "why_no_order": why_not(visit.principal, Role.DEPLOYER, detail.project.id),
        },
        errors=errors,
    )


async def _stage_called(visit: Visit, stage: str) -> tuple[Project, Stage]:
    return await visit.operations.project_page.find_stage(visit.path("project"), stage)
