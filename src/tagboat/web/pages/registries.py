"""Registries: which there are, what they are used for, their test in words, and their forms."""

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from tagboat.api.etags import etag_of
from tagboat.api.registry_schemas import RegistryCreate, RegistryUpdate
from tagboat.core.catalog import RegistryKind
from tagboat.core.errors import ConflictError, TagboatError
from tagboat.core.events import EventTopic
from tagboat.core.principal import Role
from tagboat.core.values import replace
from tagboat.operations.registries import Choice
from tagboat.operations.services import Check
from tagboat.web.form_bodies import VERSION, ChangedMeanwhileError, as_body, check_version
from tagboat.web.forms import NO_ERRORS, NO_FORM, Form, FormErrors, form_errors
from tagboat.web.paging import PAGE_LENGTH, cut_listing
from tagboat.web.registry_words import check_sentence, registry_line
from tagboat.web.routing import PageRouter
from tagboat.web.setting_texts import clean_text
from tagboat.web.visits import LiveFilter, Visit

_REGISTRIES = "/registries"
_NEW_REGISTRY = f"{_REGISTRIES}/new"
_REGISTRY = f"{_REGISTRIES}/{{registry_id}}"
_FIELD_OF_REGISTRY: Mapping[type[TagboatError], str] = {ConflictError: "name"}
_REGISTRY_KINDS = (
    (RegistryKind.OCI.value, "any other (Distribution, GHCR, Docker Hub, Harbor, Quay, ECR …)"),
    (RegistryKind.GITEA.value, "Gitea or Forgejo"),
)

router = PageRouter()


@router.page(_REGISTRIES)
async def registries_page(visit: Visit) -> Response:
    """List the registries."""
    last_event = await visit.last_event()
    found = await visit.operations.registry_use.list(visit.query("after"), PAGE_LENGTH + 1)
    return visit.show(
        "registries.html",
        {
            "listing": cut_listing(visit, found, lambda use: use.registry.name),
            "line": registry_line,
        },
        live=LiveFilter(last_event, (EventTopic.REGISTRY, EventTopic.POLL)),
    )


@router.page(_NEW_REGISTRY, needs=Role.ADMIN)
async def new_registry_page(visit: Visit) -> Response:
    """Show the form for a registry."""
    return _show_new_registry(visit, NO_ERRORS)


@router.order(_NEW_REGISTRY, needs=Role.ADMIN)
async def new_registry_order(visit: Visit) -> Response:
    """Add a registry, then show its page, where it can be tested."""
    try:
        body = as_body(RegistryCreate, _typed_registry(visit.form))
        fields = body.given()
        docker_config = fields.pop("docker_config", None)
        needed = {"name": body.name, "url": body.url, "kind": body.kind}
        made = await visit.operations.registries.create(needed | fields, docker_config)
    except TagboatError as error:
        return _show_new_registry(visit, form_errors(error, _FIELD_OF_REGISTRY))
    return visit.go(f"{_REGISTRIES}/{made.id}", f"{made.name} is added. Test it now.")


@router.page(_REGISTRY)
async def registry_page(visit: Visit) -> Response:
    """Show one registry."""
    return await _show_registry(visit)


@router.order(_REGISTRY, needs=Role.ADMIN)
async def change_registry_order(visit: Visit) -> Response:
    """Change a registry."""
    given = _typed_registry(visit.form)
    present = (await visit.operations.registry_use.get(visit.path("registry_id"))).registry
    # Nobody has touched what differs in blanks and line ends only.
    for name in ("username", "password_command", "ca_cert"):
        if given[name] == clean_text(getattr(present, name)):
            del given[name]
    # An empty user name beside a login from Docker is one that nobody has typed.
    if given.get("docker_config") and not visit.form.text("username"):
        given.pop("username", None)
    # An empty field cannot say it: it leaves the password as it is.
    if visit.form.ticked("forget_password"):
        given["password"] = None
    try:
        fields = as_body(RegistryUpdate, given).given()
        docker_config = fields.pop("docker_config", None)
        changed = await visit.operations.registries.change(
            visit.path("registry_id"), fields, docker_config, check_version(visit.form)
        )
    except ChangedMeanwhileError as error:
        # With the version of now: whoever has compared saves by pressing once more.
        return await _show_registry(visit, form_errors(error, {}), is_stale=True)
    except TagboatError as error:
        return await _show_registry(visit, form_errors(error, _FIELD_OF_REGISTRY))
    return visit.go(f"{_REGISTRIES}/{changed.id}", f"{changed.name} is saved.")


@router.order(f"{_REGISTRY}/test", needs=Role.ADMIN)
async def test_registry_order(visit: Visit) -> Response:
    """Test a registry, and show the result."""
    checks = await visit.operations.registries.test(visit.path("registry_id"))
    # This button is a form of its own, and must not empty the one of the fields.
    return await _show_registry(replace(visit, form=NO_FORM), checks=checks)


@router.order(f"{_REGISTRY}/images", needs=Role.ADMIN)
async def registry_images_order(visit: Visit) -> Response:
    """Ask a registry for its images, and show them."""
    choice = await visit.operations.registries.images(visit.path("registry_id"))
    return await _show_registry(replace(visit, form=NO_FORM), images=choice)


@router.order(f"{_REGISTRY}/delete", needs=Role.ADMIN)
async def delete_registry_order(visit: Visit) -> Response:
    """Delete a registry that no project names."""
    registry = await visit.operations.catalog.registry(visit.path("registry_id"))
    try:
        await visit.operations.registries.delete(registry.id)
    except ConflictError as error:
        return await _show_registry(replace(visit, form=NO_FORM), form_errors(error, {}))
    return visit.go(_REGISTRIES, f"The registry {registry.name} is deleted.")


def _typed_registry(form: Form) -> dict[str, object]:
    """Return the fields as the API has them; an empty password leaves the one that is saved."""
    given: dict[str, object] = {
        "name": form.text("name"),
        "url": form.text("url"),
        "kind": form.text("kind"),
        "username": form.text("username"),
        "password_command": form.text("password_command"),
        "ca_cert": form.text("ca_cert").replace("\r\n", "\n"),
    }
    secrets = {"password": form.exact("password"), "docker_config": form.text("docker_config")}
    return given | {name: value for name, value in secrets.items() if value}


def _show_new_registry(visit: Visit, errors: FormErrors) -> Response:
    return visit.show("registry_new.html", {"kinds": _REGISTRY_KINDS}, errors=errors)


async def _show_registry(
    visit: Visit,
    errors: FormErrors = NO_ERRORS,
    *,
    checks: Sequence[Check] = (),
    images: Choice | None = None,
    is_stale: bool = False,
) -> Response:
    use = await visit.operations.registry_use.get(visit.path("registry_id"))
    present = etag_of(use.registry)
    values = {
        "use": use,
        "line": registry_line(use),
        "kinds": _REGISTRY_KINDS,
        "version": present if is_stale else visit.form.text(VERSION, present),
        "is_stale": is_stale,
        "checks": checks,
        "check_sentence": check_sentence(use.registry, checks),
        "images": images,
    }
    return visit.show("registry.html", values, errors=errors)
