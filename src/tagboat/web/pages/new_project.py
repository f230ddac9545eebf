"""A new project by three questions (registry, image, rule), and a quick deploy by image and tag."""

import asyncio
from collections.abc import Mapping

from msgspec import Struct
from starlette.responses import Response

from tagboat.api.run_schemas import RunModel
from tagboat.core.catalog import Project
from tagboat.core.errors import FieldError, InvalidValueError, TagboatError
from tagboat.core.image import ImageName, parse_image_name, parse_image_ref, parse_tag
from tagboat.core.inspection import MAX_PORT, is_healthcheck
from tagboat.core.naming import parse_name
from tagboat.core.principal import Role
from tagboat.core.tags import TagPattern, parse_tag_pattern
from tagboat.operations.queries.image_look import ANSWERS_WITHIN_S, ImageLook
from tagboat.operations.registries import Choice
from tagboat.web.form_bodies import as_body, as_typed
from tagboat.web.forms import NO_ERRORS, Form, FormErrors, form_errors, parsed
from tagboat.web.messages import Tone
from tagboat.web.new_project_words import found_sentences, matches_sentence
from tagboat.web.places import deploy_path, project_path
from tagboat.web.routing import PageRouter
from tagboat.web.setting_texts import read_map
from tagboat.web.visits import Visit

_NEW_PROJECT = "/new-project"
_SHOWN_FIELDS = frozenset(
    {"name", "stage", "tag_pattern", "auto_deploy", "port", "healthcheck", "env", "tag"}
)
_MOST_IMAGES = 100
_MOST_REGISTRIES = 200

router = PageRouter()


class NewProject(Struct, frozen=True):
    """The project, its first stage, and the tag to deploy at once, empty for none."""

    fields: Mapping[str, object]
    stage: Mapping[str, object]
    tag: str


@router.page(_NEW_PROJECT)
async def new_project_page(visit: Visit) -> Response:
    """Ask for registry, image and rule, one after the other."""
    image = visit.query("image")
    if image:
        try:
            name = parse_image_name(image)
        except InvalidValueError as error:
            errors = FormErrors({"image": str(error)}, status=form_errors(error, {}).status)
            return await _show_image(visit, errors)
        return await _show_rule(visit, name, NO_ERRORS)
    if visit.query("registry"):
        return await _show_image(visit, NO_ERRORS)
    return await _show_start(visit, NO_ERRORS)


@router.page(f"{_NEW_PROJECT}/images", needs=Role.ADMIN)
async def images_part(visit: Visit) -> Response:
    """Show the images of a registry, for the page that is open already."""
    return visit.show("new_images.html", await _images(visit))


@router.page(f"{_NEW_PROJECT}/look", needs=Role.ADMIN)
async def look_part(visit: Visit) -> Response:
    """Show what the registry says about an image, for the page that is open already."""
    image = parsed("image", parse_image_name, visit.query("image"))
    look = await visit.operations.image_look.look(
        image, registry_id=visit.query("registry") or None
    )
    return visit.show("new_look.html", _look_values(look, visit.query("tag")))


@router.page(f"{_NEW_PROJECT}/matches", needs=Role.ADMIN)
async def matches_part(visit: Visit) -> Response:
    """Show which tags a rule takes, for the page that is open already."""
    try:
        pattern = parse_tag_pattern(visit.query("tag_pattern"))
    except InvalidValueError as error:
        return visit.show("new_matches.html", {"matches": None, "said": f"{error}."})
    found = await visit.operations.image_look.matches(
        parsed("image", parse_image_name, visit.query("image")),
        pattern,
        visit.query("registry") or None,
    )
    return visit.show("new_matches.html", {"matches": found, "said": matches_sentence(found)})


@router.order(_NEW_PROJECT, needs=Role.ADMIN)
async def new_project_order(visit: Visit) -> Response:
    """Make the project with its first stage, and deploy the tag that was chosen."""
    form, operations = visit.form, visit.operations
    try:
        image = parse_image_name(form.text("image"))
    except InvalidValueError as error:
        errors = FormErrors({"image": str(error)}, status=form_errors(error, {}).status)
        return await _show_image(visit, errors)
    # The button that shows the matches sends the same form, and makes nothing.
    if form.ticked("try"):
        return await _try_rule(visit, image)
    try:
        wanted = read_new_project(form, image)
        made, stages = await operations.projects.create(wanted.fields, [wanted.stage])
    except TagboatError as error:
        errors = form_errors(error, {})
        if not errors.fields.keys() <= _SHOWN_FIELDS:
            # The rule concerns something that this form does not ask for.
            errors = FormErrors(whole=str(error), status=errors.status)
        return await _show_rule(visit, image, errors)
    name = made.project.name
    if not wanted.tag:
        return visit.go(
            project_path(name), f"The project {name} is there. Push a tag, or deploy one."
        )
    # The project stays when its first deploy is refused: nothing has to be typed again.
    try:
        view = await operations.deploys.deploy(stages[0].stage.id, wanted.tag)
    except TagboatError as error:
        return visit.go(
            project_path(name), f"{name} is there, but not deployed: {error}.", Tone.BAD
        )
    return visit.go(
        deploy_path(view.deploy.id), f"{name} is made; {wanted.tag} is queued.", Tone.RUN
    )


@router.order(f"{_NEW_PROJECT}/quick")
async def quick_order(visit: Visit) -> Response:
    """Deploy an image by its tag, with its project where there is none yet."""
    try:
        ref = parsed("quick", parse_image_ref, visit.form.text("quick"))
        queued = await visit.operations.quick_deploys.deploy(ref)
    except FieldError as error:
        errors = FormErrors({"quick": str(error)}, status=form_errors(error, {}).status)
        return await _show_start(visit, errors)
    except TagboatError as error:
        return await _show_start(visit, form_errors(error, {}))
    view = queued.view
    made = f"The project {view.project.name} is made. " if queued.created else ""
    said = f"{made}{view.deploy.tag} is queued in {view.project.name} {view.stage.name}."
    return visit.go(deploy_path(view.deploy.id), said, Tone.RUN)


def read_new_project(form: Form, image: ImageName) -> NewProject:
    """Return what the form asks for. Raises FieldError and RefusedFieldsError.

    Without a port or health check, those of the image are taken.
    """
    fields: dict[str, object] = {
        "image": image,
        "name": parsed("name", parse_name, form.text("name")),
    }
    if form.text("registry"):
        fields["registry_id"] = form.text("registry")
    port, healthcheck = form.number("port"), form.text("healthcheck")
    if port is not None:
        if not 0 <= port <= MAX_PORT:
            raise FieldError("port", f"must be 0 to {MAX_PORT}")
        fields["port"] = port
    if healthcheck:
        if not is_healthcheck(healthcheck):
            raise FieldError("healthcheck", "must be a path such as /health, or the word image")
        fields["healthcheck"] = healthcheck
    if env := parsed("env", read_map, form.text("env")):
        fields["env"] = as_body(RunModel, {"env": env}, as_typed).env
    stage: dict[str, object] = {
        "name": parsed("stage", parse_name, form.text("stage")),
        "pattern": parsed("tag_pattern", parse_tag_pattern, form.text("tag_pattern")),
        "auto_deploy": form.ticked("auto_deploy"),
    }
    tag = form.text("tag")
    return NewProject(fields, stage, parsed("tag", parse_tag, tag) if tag else "")


async def _try_rule(visit: Visit, image: ImageName) -> Response:
    """Show the form as it was typed, with the tags that its rule takes."""
    try:
        pattern = parsed("tag_pattern", parse_tag_pattern, visit.form.text("tag_pattern"))
    except FieldError as error:
        return await _show_rule(visit, image, form_errors(error, {}))
    return await _show_rule(visit, image, NO_ERRORS, pattern)


async def _show_start(visit: Visit, errors: FormErrors) -> Response:
    registries = await visit.operations.catalog.registries("", _MOST_REGISTRIES)
    return visit.show(
        "new_project.html",
        {"here": _NEW_PROJECT, "step": 1, "registries": registries},
        errors=errors,
    )


async def _show_image(visit: Visit, errors: FormErrors) -> Response:
    registry_id = visit.query("registry") or visit.form.text("registry")
    registry = await visit.operations.catalog.registry(registry_id) if registry_id else None
    values: dict[str, object] = {"choice": None, "q": visit.query("q")}
    # The registry may be slow: with JavaScript, the page does not wait for it. Nor is it asked for
    # somebody who is only told why not.
    if visit.query("list") and visit.may(Role.ADMIN):
        values = await _images(visit)
    return visit.show(
        "new_project.html",
        {
            "here": _NEW_PROJECT,
            "step": 2,
            "registry": registry,
            "image": visit.query("image"),
            **values,
        },
        errors=errors,
    )


async def _show_rule(
    visit: Visit, image: ImageName, errors: FormErrors, pattern: TagPattern | None = None
) -> Response:
    twin: Project | None = await visit.operations.image_look.project_of(image)
    registry = visit.query("registry") or visit.form.text("registry")
    values: dict[str, object] = {"look": None, "found": (), "tag": "", "matches": None, "said": ""}
    # An image has one project: where there is one, nothing else needs to be asked.
    asks = pattern is not None or visit.query("look")
    if twin is None and asks and visit.may(Role.ADMIN):
        rule = {} if pattern is None else {"pattern": pattern}
        look = await visit.operations.image_look.look(image, registry_id=registry or None, **rule)
        values = _look_values(look, visit.form.text("tag"))
        values |= {"matches": look.matches, "said": matches_sentence(look.matches)}
    return visit.show(
        "new_project.html",
        {
            "here": _NEW_PROJECT,
            "step": 3,
            "image": image,
            "registry": registry,
            "twin": twin,
            **values,
        },
        errors=errors,
    )


async def _images(visit: Visit) -> dict[str, object]:
    """Return the images of the registry asked for that contain the text `q`."""
    text = visit.query("q")
    try:
        # A person waits; the registry client would try for longer.
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            choice = await visit.operations.registries.images(visit.query("registry"))
    except TimeoutError:
        choice = Choice(error=f"the registry did not answer within {ANSWERS_WITHIN_S:g} s")
    # Names of images are in lower case.
    found = [name for name in choice.items if text.lower() in name]
    return {
        "choice": choice,
        "images": found[:_MOST_IMAGES],
        "more": max(0, len(found) - _MOST_IMAGES),
        "registry_id": visit.query("registry"),
        "q": text,
    }


def _look_values(look: ImageLook, tag: str) -> dict[str, object]:
    newest = look.matches.newest
    return {
        "look": look,
        "found": found_sentences(look),
        "tag": tag or (newest[0] if newest else ""),
    }
