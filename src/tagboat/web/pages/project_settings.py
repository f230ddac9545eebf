"""The settings of a project, its secrets, its new stages, and its deletion."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from tagboat.core.catalog import Stage
from tagboat.core.errors import TagboatError
from tagboat.core.principal import Role
from tagboat.core.tags import parse_tag_pattern
from tagboat.operations.queries.patterns import PatternPreview
from tagboat.web.deletion_words import volumes_left_words
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.messages import Tone
from tagboat.web.pages.stage_settings import preview_of, show_preview_fragment
from tagboat.web.places import project_part, stage_path
from tagboat.web.rights_words import why_not
from tagboat.web.routing import PageRouter
from tagboat.web.secret_forms import secret_edit
from tagboat.web.setting_fields import PROJECT_GROUPS, STAGE_GROUPS, shown_groups
from tagboat.web.setting_forms import (
    new_stage_fields,
    project_edit,
    setting_texts_of,
    settings_errors,
    typed_in,
)
from tagboat.web.visits import Visit

_PROJECT_PART = "/projects/{project}/-"
_REGISTRIES_OFFERED = 200

router = PageRouter()


@router.page(f"{_PROJECT_PART}/settings")
async def project_settings_page(visit: Visit) -> Response:
    """Show the settings of a project."""
    return await _show_project_settings(visit, NO_ERRORS)


@router.order(f"{_PROJECT_PART}/settings", needs=Role.ADMIN)
async def project_settings_order(visit: Visit) -> Response:
    """Save what differs in the form."""
    project = await visit.operations.project_page.find_project(visit.path("project"))
    if not typed_in(visit.form, setting_texts_of(PROJECT_GROUPS, project)):
        return visit.go(project_part(project.name, "settings"), "Nothing was changed.", Tone.PLAIN)
    try:
        saved = await visit.operations.projects.change(project.id, project_edit(visit.form))
    except TagboatError as error:
        return await _show_project_settings(visit, settings_errors(error))
    return visit.go(project_part(saved.project.name, "settings"), "Saved.")


@router.order(f"{_PROJECT_PART}/secrets", needs=Role.ADMIN)
async def project_secrets_order(visit: Visit) -> Response:
    """Set or remove one secret."""
    project = await visit.operations.project_page.find_project(visit.path("project"))
    try:
        said, edit = secret_edit(visit.form)
        await visit.operations.projects.change(project.id, edit)
    except TagboatError as error:
        return await _show_project_settings(visit, settings_errors(error))
    return visit.go(f"{project_part(project.name, 'settings')}#secrets", said)


@router.page(f"{_PROJECT_PART}/stages/new", needs=Role.ADMIN)
async def new_stage_page(visit: Visit) -> Response:
    """Show the form for a new stage."""
    return await _show_new_stage(visit, NO_ERRORS)


@router.order(f"{_PROJECT_PART}/stages/new", needs=Role.ADMIN)
async def new_stage_order(visit: Visit) -> Response:
    """Add a stage; or, asked for a preview, show what its pattern would do."""
    project = await visit.operations.project_page.find_project(visit.path("project"))
    try:
        if visit.form.ticked("preview"):
            preview = await preview_of(visit, project.id, None)
            return await _show_new_stage(visit, NO_ERRORS, preview)
        fields = new_stage_fields(typed_in(visit.form, _new_stage_texts(visit)))
        made = await visit.operations.stages.create(project.id, fields)
    except TagboatError as error:
        return await _show_new_stage(visit, settings_errors(error))
    said = " ".join((f"The stage {made.stage.name} is there.", *made.warnings))
    tone = Tone.WAIT if made.warnings else Tone.OK
    return visit.go(stage_path(project.name, made.stage.name), said, tone)


@router.page(f"{_PROJECT_PART}/pattern")
async def new_pattern_fragment(visit: Visit) -> Response:
    """Show which known tags a pattern of a new stage matches."""
    project = await visit.operations.project_page.find_project(visit.path("project"))
    return await show_preview_fragment(visit, project.id, None)


@router.page(f"{_PROJECT_PART}/delete", needs=Role.ADMIN)
async def delete_project_page(visit: Visit) -> Response:
    """Ask before a project is deleted, and name what goes with it."""
    return await _show_project_deletion(visit, NO_ERRORS)


@router.order(f"{_PROJECT_PART}/delete", needs=Role.ADMIN)
async def delete_project_order(visit: Visit) -> Response:
    """Delete a project, whose name was typed."""
    project = await visit.operations.project_page.find_project(visit.path("project"))
    # Typed, since with the project goes what nobody can bring back.
    if visit.form.text("name") != project.name:
        wrong = {"name": f"type {project.name} to delete it"}
        errors = FormErrors(wrong, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        return await _show_project_deletion(visit, errors)
    try:
        volumes = visit.form.text("volumes") == "delete"
        left = await visit.operations.projects.delete(project.id, volumes=volumes)
    except TagboatError as error:
        return await _show_project_deletion(visit, form_errors(error, {}))
    said = f"The project {project.name} is deleted. {volumes_left_words(left)}"
    return visit.go("/projects", said.strip())


async def _show_project_settings(visit: Visit, errors: FormErrors) -> Response:
    page = await visit.operations.project_page.project(visit.path("project"))
    registries = await visit.operations.catalog.registries("", _REGISTRIES_OFFERED)
    # Of many, the present one must not be missing: a form saved untouched would drop it.
    if page.project.registry_id and page.registry and page.registry not in registries:
        registries = [*registries, page.registry]
    saved = setting_texts_of(PROJECT_GROUPS, page.project)
    found = page.registry.name if page.registry and not page.project.registry_id else "none"
    choices = (
        ("", f"found by the image's host ({found})"),
        *((one.id, one.name) for one in registries),
    )
    return visit.show(
        "project_settings.html",
        {
            "project": page.project,
            "groups": shown_groups(
                PROJECT_GROUPS,
                saved,
                typed_in(visit.form, saved),
                errors.fields,
                {"registry": choices},
            ),
            "lagging": [one for one in page.stages if one.lags],
            "why_no_change": why_not(visit.principal, Role.ADMIN),
            "why_no_order": why_not(visit.principal, Role.DEPLOYER, page.project.id),
        },
        errors=errors,
    )


async def _show_new_stage(
    visit: Visit, errors: FormErrors, preview: PatternPreview | None = None
) -> Response:
    page = await visit.operations.project_page.project(visit.path("project"))
    saved = _new_stage_texts(visit)
    return visit.show(
        "new_stage.html",
        {
            "page": page,
            "project": page.project,
            "groups": shown_groups(STAGE_GROUPS, saved, typed_in(visit.form, saved), errors.fields),
            "preview": preview,
        },
        errors=errors,
    )


async def _show_project_deletion(visit: Visit, errors: FormErrors) -> Response:
    page = await visit.operations.project_page.project(visit.path("project"))
    return visit.show("delete_project.html", {"page": page, "project": page.project}, errors=errors)


def _new_stage_texts(visit: Visit) -> Mapping[str, str]:
    """Return the texts of a stage that nobody has changed yet, without a pattern."""
    blank = Stage(
        id="", project_id="", name="", pattern=parse_tag_pattern("*"), created_at=visit.now
    )
    return {**setting_texts_of(STAGE_GROUPS, blank), "tag_pattern": ""}
