"""One's own account: the password, and the browsers that are signed in."""

from http import HTTPStatus

from starlette.responses import Response

from tagboat.core.errors import FieldError, ForbiddenError, TooManyAttemptsError
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.routing import PageRouter
from tagboat.web.session_words import browser_words
from tagboat.web.visits import SIGN_IN, Visit

_OWN_ACCOUNT = "/account"

router = PageRouter()


@router.page(_OWN_ACCOUNT)
async def account_page(visit: Visit) -> Response:
    """Show one's own account."""
    return await _show_account(visit, NO_ERRORS)


@router.order(f"{_OWN_ACCOUNT}/password", needs=Role.VIEWER)
async def own_password_order(visit: Visit) -> Response:
    """Change one's own password; the other sessions end."""
    _own_account(visit)
    new = visit.form.exact("new")
    # Typed unseen: a slip would lock the person out.
    if new != visit.form.exact("repeated"):
        differs = {"repeated": "is not the same password"}
        return await _show_account(
            visit, FormErrors(differs, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        )
    try:
        await visit.operations.accounts.change_own_password(visit.form.exact("current"), new)
    except (FieldError, TooManyAttemptsError) as error:
        return await _show_account(visit, form_errors(error, {TooManyAttemptsError: "current"}))
    return visit.go(_OWN_ACCOUNT, "Your password is changed. Your other sessions have ended.")


@router.order(f"{_OWN_ACCOUNT}/sessions/{{session_id}}/end", needs=Role.VIEWER)
async def end_session_order(visit: Visit) -> Response:
    """End one of one's own sessions."""
    await visit.operations.sessions.sign_out(visit.path("session_id"))
    return visit.go(_OWN_ACCOUNT, "That browser is signed out.")


@router.order(f"{_OWN_ACCOUNT}/sign-out-everywhere", needs=Role.VIEWER)
async def sign_out_everywhere_order(visit: Visit) -> Response:
    """End all of one's own sessions, this one too."""
    await visit.operations.sessions.sign_out_everywhere(_own_account(visit)[0])
    response = visit.go(SIGN_IN, "You are signed out everywhere.")
    # The session has ended; without its cookie, the browser does not offer it any more.
    response.raw_headers.append(visit.site.authenticator.cookie.clear_header())
    return response


async def _show_account(visit: Visit, errors: FormErrors) -> Response:
    account_id, principal = _own_account(visit)
    me = await visit.operations.accounts.me()
    values = {
        "me": me,
        "sessions": await visit.operations.sessions.list(account_id),
        "this_session": principal.session_id,
        "browser_words": browser_words,
        "provider": visit.operations.single_sign_on.provider_name,
        "has_passwords": visit.operations.single_sign_on.has_passwords,
    }
    return visit.show("account.html", values, errors=errors)


def _own_account(visit: Visit) -> tuple[str, Principal]:
    """Return the id of the account that asks; raise ForbiddenError for a token."""
    found = visit.principal
    if found is None or found.id is None or found.kind is not PrincipalKind.ACCOUNT:
        raise ForbiddenError("only an account has this page: a token is no person")
    return found.id, found
