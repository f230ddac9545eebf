"""The settings that change while the server runs, each with its effect."""

from starlette.responses import Response

from tagboat.api.etags import etag_of
from tagboat.api.settings_schemas import SettingsUpdate
from tagboat.api.views import show_settings
from tagboat.core.errors import TagboatError
from tagboat.core.principal import Role
from tagboat.web.form_bodies import (
    VERSION,
    ChangedMeanwhileError,
    as_body,
    check_version,
    whole_or_text,
)
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.routing import PageRouter
from tagboat.web.setting_texts import read_lines
from tagboat.web.visits import Visit

_ADDRESS = "/settings"
_NUMBERS = (
    "max_projects",
    "deliveries_keep_days",
    "deliveries_keep",
    "images_keep",
    "history_keep_days",
    "audit_keep_days",
    "backups_keep",
)

router = PageRouter()


@router.page(_ADDRESS)
async def settings_page(visit: Visit) -> Response:
    """Show the settings; only an admin can change them."""
    return await _show_settings(visit, NO_ERRORS)


@router.order(_ADDRESS, needs=Role.ADMIN)
async def change_settings_order(visit: Visit) -> Response:
    """Change the settings that differ; they hold from now on."""
    operations, form = visit.operations, visit.form
    try:
        present = show_settings(await operations.settings.read())
        images = read_lines(form.text("auto_create_images"))
        # Nobody has touched a list that is empty on purpose: no image at all.
        stays_empty = present.auto_create_images == [] and not form.ticked("any_image")
        typed = {
            "poll_schedule": form.text("poll_schedule"),
            "auto_create": form.ticked("auto_create"),
            "auto_create_images": images or ([] if stays_empty else None),
            **{name: whole_or_text(form.text(name)) for name in _NUMBERS},
        }
        given = as_body(SettingsUpdate, typed).given()
        # A new schedule makes the poller plan anew: only what differs is changed.
        changed = {name: value for name, value in given.items() if value != getattr(present, name)}
        await operations.settings.change(changed, check_version(form))
    except ChangedMeanwhileError as error:
        return await _show_settings(visit, form_errors(error, {}), is_stale=True)
    except TagboatError as error:
        return await _show_settings(visit, form_errors(error, {}))
    said = "The settings are saved, and hold from now on." if changed else "Nothing has changed."
    return visit.go(_ADDRESS, said)


async def _show_settings(visit: Visit, errors: FormErrors, *, is_stale: bool = False) -> Response:
    config = await visit.operations.settings.read()
    present = etag_of(config)
    values = {
        "config": config,
        "version": present if is_stale else visit.form.text(VERSION, present),
        "is_stale": is_stale,
    }
    return visit.show("settings.html", values, errors=errors)
