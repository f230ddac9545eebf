"""The settings of a stage with the preview of its pattern, its secrets, and its deletion."""

from starlette.responses import Response

from tagboat.core.errors import FieldError, InvalidTagPatternError, InvalidValueError, TagboatError
from tagboat.core.principal import Role
from tagboat.core.tags import parse_tag_pattern
from tagboat.operations.queries.patterns import PatternPreview
from tagboat.operations.views import StageView
from tagboat.web.deletion_words import volumes_left_words
from tagboat.web.error_pages import sentence_of
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.messages import Tone
from tagboat.web.places import project_path, stage_path
from tagboat.web.rights_words import why_not
from tagboat.web.routing import PageRouter
from tagboat.web.secret_forms import secret_edit
from tagboat.web.setting_fields import STAGE_GROUPS, shown_groups
from tagboat.web.setting_forms import (
    setting_texts_of,
    settings_errors,
    stage_edit,
    typed_in,
)
from tagboat.web.setting_texts import read_whole
from tagboat.web.stage_words import pending_title
from tagboat.web.visits import Visit

_STAGE_PART = "/projects/{project}/{stage}"

router = PageRouter()


@router.page(f"{_STAGE_PART}/settings")
async def stage_settings_page(visit: Visit) -> Response:
    """Show the settings of a stage."""
    return await _show_stage_settings(visit, NO_ERRORS)


@router.order(f"{_STAGE_PART}/settings", needs=Role.ADMIN)
async def stage_settings_order(visit: Visit) -> Response:
    """Save what differs in the form; or, asked for a preview, show what its pattern would do."""
    project, stage = await visit.operations.project_page.find_stage(
        visit.path("project"), visit.path("stage")
    )
    path = f"{stage_path(project.name, stage.name)}/settings"
    try:
        if visit.form.ticked("preview"):
            preview = await preview_of(visit, project.id, stage.id)
            return await _show_stage_settings(visit, NO_ERRORS, preview)
        # Saved without a change, it would be an entry in the audit that says nothing.
        if not typed_in(visit.form, setting_texts_of(STAGE_GROUPS, stage)):
            return visit.go(path, "Nothing was changed.", Tone.PLAIN)
        saved = await visit.operations.stages.change(stage.id, stage_edit(visit.form))
    except TagboatError as error:
        return await _show_stage_settings(visit, settings_errors(error))
    said, tone = saved_words(saved)
    # By its new name: the form may have changed that.
    return visit.go(f"{stage_path(project.name, saved.stage.name)}/settings", said, tone)


@router.page(f"{_STAGE_PART}/pattern")
async def pattern_fragment(visit: Visit) -> Response:
    """Show which known tags a pattern matches, and which pushes would have gone elsewhere."""
    project, stage = await visit.operations.project_page.find_stage(
        visit.path("project"), visit.path("stage")
    )
    return await show_preview_fragment(visit, project.id, stage.id)


@router.order(f"{_STAGE_PART}/secrets", needs=Role.ADMIN)
async def stage_secrets_order(visit: Visit) -> Response:
    """Set or remove one secret."""
    project, stage = await visit.operations.project_page.find_stage(
        visit.path("project"), visit.path("stage")
    )
    try:
        said, edit = secret_edit(visit.form)
        await visit.operations.stages.change(stage.id, edit)
    except TagboatError as error:
        return await _show_stage_settings(visit, settings_errors(error))
    return visit.go(f"{stage_path(project.name, stage.name)}/settings#secrets", said)


@router.page(f"{_STAGE_PART}/delete", needs=Role.ADMIN)
async def delete_stage_page(visit: Visit) -> Response:
    """Ask before a stage is deleted, and name what goes with it."""
    return await _show_stage_deletion(visit, NO_ERRORS)


@router.order(f"{_STAGE_PART}/delete", needs=Role.ADMIN)
async def delete_stage_order(visit: Visit) -> Response:
    """Delete a stage."""
    project, stage = await visit.operations.project_page.find_stage(
        visit.path("project"), visit.path("stage")
    )
    try:
        # The word itself, not a tick: what an app wrote must not be lost by a stray click.
        volumes = visit.form.text("volumes") == "delete"
        left = await visit.operations.stages.delete(stage.id, volumes=volumes)
    except TagboatError as error:
        return await _show_stage_deletion(visit, form_errors(error, {}))
    said = f"The stage {stage.name} is deleted. {volumes_left_words(left)}"
    return visit.go(project_path(project.name), said.strip())


async def show_preview_fragment(visit: Visit, project_id: str, stage_id: str | None) -> Response:
    """Return the preview of the pattern in the address; why it cannot be read is a part of it."""
    wrong, preview = "", None
    try:
        preview = await preview_of(visit, project_id, stage_id)
    except InvalidValueError as error:
        wrong = str(error)
    return visit.show("pattern_preview.html", {"preview": preview, "wrong": wrong})


async def preview_of(visit: Visit, project_id: str, stage_id: str | None) -> PatternPreview:
    """Return the effect of the pattern that is typed; raise FieldError where it cannot be read."""

    # A button sends the whole form, a preview while typing only what it needs, in the address.
    def given(name: str) -> str:
        return visit.form.text(name) or visit.query(name)

    try:
        pattern = parse_tag_pattern(given("tag_pattern"))
    except InvalidTagPatternError as error:
        raise FieldError("tag_pattern", str(error)) from None
    try:
        position = read_whole(given("position")) if given("position") else None
    except InvalidValueError as error:
        raise FieldError("position", str(error)) from None
    return await visit.operations.patterns.preview_pattern(
        project_id, stage_id, pattern, position, given("name") or None
    )


def saved_words(saved: StageView) -> tuple[str, Tone]:
    """Return what was saved and what to know about it, and the colour."""
    notes = [sentence_of(note) for note in saved.warnings]
    if saved.preview is not None and saved.preview.summary:
        notes.append(sentence_of(saved.preview.summary))
    return " ".join(["Saved.", *notes]), Tone.WAIT if notes else Tone.OK


async def _show_stage_settings(
    visit: Visit, errors: FormErrors, preview: PatternPreview | None = None
) -> Response:
    detail = await visit.operations.project_page.stage(
        visit.path("project"), visit.path("stage"), "", 1
    )
    saved = setting_texts_of(STAGE_GROUPS, detail.stage)
    return visit.show(
        "stage_settings.html",
        {
            "detail": detail,
            "project": detail.project,
            "stage": detail.stage,
            "groups": shown_groups(STAGE_GROUPS, saved, typed_in(visit.form, saved), errors.fields),
            "preview": preview,
            "pending_title": pending_title(len(detail.pending.changes)),
            "why_no_change": why_not(visit.principal, Role.ADMIN),
            "why_no_order": why_not(visit.principal, Role.DEPLOYER, detail.project.id),
        },
        errors=errors,
    )


async def _show_stage_deletion(visit: Visit, errors: FormErrors) -> Response:
    detail = await visit.operations.project_page.stage(
        visit.path("project"), visit.path("stage"), "", 1
    )
    return visit.show(
        "delete_stage.html",
        {"detail": detail, "project": detail.project, "stage": detail.stage},
        errors=errors,
    )
