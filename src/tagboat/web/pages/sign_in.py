"""Signing in and out, and the first account by the set-up link."""

from http import HTTPStatus
from urllib.parse import urlencode

from starlette.responses import Response

from tagboat.core.errors import ConflictError, FieldError, TagboatError, TooManyAttemptsError
from tagboat.core.values import replace
from tagboat.http.forgery import check_origin
from tagboat.http.session_cookie import CSRF, csrf_token
from tagboat.operations.sessions import SignedIn
from tagboat.web.forms import NO_ERRORS, NO_FORM, FormErrors, form_errors, read_form
from tagboat.web.kept_forms import KeptForm, kept_in
from tagboat.web.messages import Tone
from tagboat.web.routing import PageRouter
from tagboat.web.security import own_path
from tagboat.web.visits import OIDC_START, SIGN_IN, Visit

_SETUP = "/setup/{token}"
_NOT_THE_SAME = FormErrors(
    {"repeated": "is not the same password"}, status=HTTPStatus.UNPROCESSABLE_ENTITY
)
SESSION_ENDED = FormErrors(
    whole="Your session has ended. Sign in again: what you typed is kept.",
    status=HTTPStatus.UNAUTHORIZED,
)

router = PageRouter()


@router.page(SIGN_IN, needs=None)
async def sign_in_page(visit: Visit) -> Response:
    """Show the form for signing in; who is signed in goes on at once."""
    wanted = own_path(visit.query("next"))
    if visit.principal is not None:
        return visit.go(wanted)
    return await show_sign_in(visit, wanted, NO_ERRORS)


@router.order(SIGN_IN, needs=None)
async def sign_in_order(visit: Visit) -> Response:
    """Begin a session, and go to the page that was asked for, or on with a form that was kept."""
    wanted, kept = own_path(visit.form.text("next")), kept_in(visit.form)
    try:
        begun = await visit.operations.sessions.sign_in(
            visit.form.text("name"),
            visit.form.exact("password"),
            address=visit.remote_address,
            user_agent=visit.user_agent,
            # The session before ends: nobody keeps what was put into the browser by others.
            previous=visit.site.authenticator.cookie.read(visit.request.scope),
        )
    except TagboatError as error:
        response = await show_sign_in(visit, wanted, form_errors(error, {}), kept)
        add_retry_after(response, error)
        return response
    if kept is None:
        return enter(visit, begun, wanted)
    visit.request.scope[CSRF] = csrf_token(begun.cookie)
    response = replace(visit, principal=begun.principal, form=NO_FORM).show(
        "kept.html", {"kept": kept}
    )
    response.raw_headers.append(visit.site.authenticator.cookie.set_header(begun.cookie))
    return response


@router.notice("/kept")
async def show_kept_form(visit: Visit) -> Response:
    """Show a form that was kept, for who has signed in in another window."""
    # It changes nothing, but what it shows is a click away from being sent.
    check_origin(visit.request.scope, visit.site.hosts)
    kept = kept_in(await read_form(visit.request))
    if kept is None:
        return visit.go("/")
    if visit.principal is None:
        return await show_sign_in(visit, "/", SESSION_ENDED, kept)
    return visit.show("kept.html", {"kept": kept})


@router.order("/sign-out", needs=None)
async def sign_out_order(visit: Visit) -> Response:
    """End the session of this browser."""
    provider_url = None
    if visit.principal is not None and visit.principal.session_id is not None:
        leave = visit.operations.single_sign_on.sign_out
        provider_url = await leave(visit.principal.session_id)
    if provider_url is None:
        response = visit.go(SIGN_IN, "You are signed out.")
    else:
        # A page, not a redirect: the policy of pages lets forms lead to this host only.
        provider = visit.operations.single_sign_on.provider_name
        values = {"provider": provider, "provider_url": provider_url}
        response = replace(visit, principal=None).show("signing_out.html", values)
    response.raw_headers.append(visit.site.authenticator.cookie.clear_header())
    # Pages that the browser still has in memory are of no use to the next person.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.page(_SETUP, needs=None)
async def setup_page(visit: Visit) -> Response:
    """Show the form for the first account; a link that does not hold is 404."""
    # Before the form is shown: who comes too late is told so at once.
    await visit.operations.accounts.check_setup_link(visit.path("token"))
    return visit.show("setup.html", {})


@router.order(_SETUP, needs=None)
async def setup_order(visit: Visit) -> Response:
    """Make the first account, an admin, and sign it in."""
    password = visit.form.exact("password")
    # Only the browser knows both; the operation takes one.
    if password != visit.form.exact("repeated"):
        return visit.show("setup.html", {}, errors=_NOT_THE_SAME)
    try:
        begun = await visit.operations.accounts.set_up(
            visit.path("token"),
            visit.form.text("name"),
            password,
            address=visit.remote_address,
            user_agent=visit.user_agent,
        )
    except (FieldError, ConflictError) as error:
        return visit.show("setup.html", {}, errors=form_errors(error, {ConflictError: "name"}))
    return enter(visit, begun, "/", f"Welcome, {begun.principal.name}.")


async def show_sign_in(
    visit: Visit, wanted: str, errors: FormErrors, kept: KeptForm | None = None
) -> Response:
    """Return the page for signing in, which leads to the page `wanted`, or on with a kept form."""
    single_sign_on = visit.operations.single_sign_on
    needed = single_sign_on.has_passwords and await visit.operations.accounts.setup_needed()
    way = f"{OIDC_START}?{urlencode({'next': wanted})}" if wanted != "/" else OIDC_START
    values = {
        "wanted": wanted,
        "kept": kept,
        "setup_needed": needed,
        "has_passwords": single_sign_on.has_passwords,
        "provider": single_sign_on.provider_name,
        "provider_way": way,
    }
    # Nothing of another form may fill the fields of this one.
    shown = visit if kept is None else replace(visit, form=NO_FORM)
    return shown.show("sign_in.html", values, errors=errors)


def add_retry_after(response: Response, error: TagboatError) -> None:
    """Add when to try again to the answer to a sign-in that comes too fast."""
    # For programs; the sentence on the page says it to people.
    if isinstance(error, TooManyAttemptsError):
        response.headers["Retry-After"] = str(max(1, round(error.wait_s)))


def enter(visit: Visit, begun: SignedIn, path: str, said: str = "") -> Response:
    """Return the way to a page, with the cookie of a session that has just begun."""
    response = visit.go(path, said, Tone.OK)
    response.raw_headers.append(visit.site.authenticator.cookie.set_header(begun.cookie))
    return response
