"""Accounts, as admins see them."""

from collections.abc import Mapping

from starlette.responses import Response

from tagboat.api.account_schemas import UserCreate, UserUpdate
from tagboat.api.etags import etag_of
from tagboat.core.errors import ConflictError, LastAdminError, TagboatError
from tagboat.core.principal import Role
from tagboat.operations.rights import AccountView
from tagboat.web.form_bodies import VERSION, ChangedMeanwhileError, as_body, check_version
from tagboat.web.forms import NO_ERRORS, Form, FormErrors, form_errors
from tagboat.web.paging import PAGE_LENGTH, cut_listing
from tagboat.web.routing import PageRouter
from tagboat.web.session_words import browser_words, limit_words
from tagboat.web.setting_texts import read_lines
from tagboat.web.visits import Visit

_USERS = "/users"
_NEW_USER = f"{_USERS}/new"
_USER = f"{_USERS}/{{account_id}}"
# In this order: the last admin is a conflict, too.
_FIELD_OF_USER: Mapping[type[TagboatError], str] = {LastAdminError: "role", ConflictError: "name"}

router = PageRouter()


@router.page(_USERS, needs=Role.ADMIN)
async def users_page(visit: Visit) -> Response:
    """List the accounts."""
    found = await visit.operations.accounts.list(visit.query("after"), PAGE_LENGTH + 1)
    listing = cut_listing(visit, found, lambda view: view.account.name_key)
    return visit.show("users.html", {"listing": listing, "limit_words": limit_words})


@router.page(_NEW_USER, needs=Role.ADMIN)
async def new_user_page(visit: Visit) -> Response:
    """Show the form for an account."""
    return _show_new_user(visit, NO_ERRORS)


@router.order(_NEW_USER, needs=Role.ADMIN)
async def new_user_order(visit: Visit) -> Response:
    """Make an account."""
    try:
        body = as_body(
            UserCreate, {**rights_in(visit.form), "password": visit.form.exact("password")}
        )
        made = await visit.operations.accounts.create(
            body.name, Role(body.role), body.password, body.projects
        )
    except TagboatError as error:
        return _show_new_user(visit, form_errors(error, _FIELD_OF_USER))
    return visit.go(_USERS, f"{made.account.name} can sign in now.")


@router.page(_USER, needs=Role.ADMIN)
async def user_page(visit: Visit) -> Response:
    """Show one account, with its sessions."""
    return await _show_user(visit, NO_ERRORS)


@router.order(_USER, needs=Role.ADMIN)
async def change_user_order(visit: Visit) -> Response:
    """Change an account; projects that nobody has touched stay, also where there is none."""
    given = rights_in(visit.form)
    if visit.form.ticked("all_projects"):
        given["projects"] = None
    elif (given["projects"] or []) == read_lines(visit.form.text("was-projects")):
        del given["projects"]
    # Empty, it leaves the password that is on record.
    if password := visit.form.exact("password"):
        given["password"] = password
    try:
        fields = as_body(UserUpdate, given).given()
        fields["role"] = Role(fields["role"])
        changed = await visit.operations.accounts.change(
            visit.path("account_id"), fields, check_version(visit.form)
        )
    except ChangedMeanwhileError as error:
        return await _show_user(visit, form_errors(error, {}), is_stale=True)
    except TagboatError as error:
        return await _show_user(visit, form_errors(error, _FIELD_OF_USER))
    return visit.go(_USERS, f"{changed.account.name} is changed.")


@router.order(f"{_USER}/sign-out", needs=Role.ADMIN)
async def sign_user_out_order(visit: Visit) -> Response:
    """End all sessions of an account."""
    found = await visit.operations.accounts.get(visit.path("account_id"))
    await visit.operations.sessions.sign_out_everywhere(found.account.id)
    return visit.go(f"{_USERS}/{found.account.id}", f"{found.account.name} is signed out.")


@router.order(f"{_USER}/delete", needs=Role.ADMIN)
async def delete_user_order(visit: Visit) -> Response:
    """Delete an account."""
    found = await visit.operations.accounts.get(visit.path("account_id"))
    try:
        await visit.operations.accounts.delete(found.account.id)
    except ConflictError as error:
        return await _show_user(visit, form_errors(error, {}))
    return visit.go(_USERS, f"The account {found.account.name} is deleted.")


def rights_in(form: Form) -> dict[str, object]:
    """Return name, role and projects of a form; the projects are names, one on each line."""
    projects = read_lines(form.text("projects").replace(",", "\n"))
    return {"name": form.text("name"), "role": form.text("role"), "projects": projects or None}


def _show_new_user(visit: Visit, errors: FormErrors) -> Response:
    return visit.show("user_new.html", {}, errors=errors)


async def _show_user(visit: Visit, errors: FormErrors, *, is_stale: bool = False) -> Response:
    found: AccountView = await visit.operations.accounts.get(visit.path("account_id"))
    present = etag_of(found.account)
    values = {
        "found": found,
        # What was typed was made for the version of then, until its author has seen the new one.
        "version": present if is_stale else visit.form.text(VERSION, present),
        "is_stale": is_stale,
        "limit_words": limit_words,
        "sessions": await visit.operations.sessions.list(found.account.id),
        "browser_words": browser_words,
    }
    return visit.show("user.html", values, errors=errors)
