"""The sign-in at the OpenID provider: the way there, the way back, and its notice of an end."""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, RedirectResponse, Response

from tagboat.core.errors import (
    ForbiddenError,
    IdentityError,
    IdentityProviderError,
    IdentityRejectedError,
    NotFoundError,
    TooManyAttemptsError,
)
from tagboat.core.oidc import ProviderAnswer, SignInAttempt
from tagboat.web.forms import FormErrors, read_form, status_of
from tagboat.web.oidc_cookie import OidcCookie
from tagboat.web.pages.sign_in import add_retry_after, enter, show_sign_in
from tagboat.web.routing import PageRouter
from tagboat.web.security import own_path
from tagboat.web.visits import OIDC_CALLBACK, OIDC_START, Visit

_NOTICE = "/oidc/backchannel-logout"
_MAX_CODE = 4_096
_OTHER_BROWSER = (
    "This sign-in was started in another browser or window, took longer than ten minutes, or has "
    "ended already. Sign in again."
)
_SAID_BY_PROVIDER = {
    "access_denied": "{who} did not let you in, or you did not agree there. Sign in again, or ask "
    "an administrator of {who}.",
    "temporarily_unavailable": "{who} is not available. Try again in a moment.",
    "server_error": "{who} reports a fault of its own. Try again in a moment.",
    "invalid_scope": "{who} does not know a scope that Tagboat asks for. An administrator can "
    "change TAGBOAT_OIDC_SCOPES.",
    "unauthorized_client": "{who} does not allow Tagboat this sign-in. An administrator of {who} "
    "must allow the authorization code flow to this client.",
}

router = PageRouter()


@router.page(OIDC_START, needs=None)
async def start_page(visit: Visit) -> Response:
    """Send the browser to the provider, with a cookie that knows the attempt."""
    wanted = own_path(visit.query("next"))
    public = visit.site.hosts.public_url
    # The provider sends it back to the public URL, where the cookie of another host is unknown.
    # Once: a front that does not pass the host on would send it round for ever.
    is_elsewhere = visit.request.url.hostname != urlsplit(public).hostname
    if is_elsewhere and not visit.query("moved"):
        there = public + visit.address(next=wanted, moved="yes")
        return RedirectResponse(there, HTTPStatus.SEE_OTHER)
    attempt = SignInAttempt.begin()
    try:
        url = await visit.operations.single_sign_on.start(attempt)
    except IdentityError as error:
        return await _fail(visit, wanted, str(error), status_of(error))
    response = RedirectResponse(url, HTTPStatus.SEE_OTHER)
    response.raw_headers.append(_cookie(visit).set_header(attempt, wanted))
    return response


@router.page(OIDC_CALLBACK, needs=None)
async def callback_page(visit: Visit) -> Response:
    """Begin a session for the person whom the provider has sent back."""
    single_sign_on = visit.operations.single_sign_on
    who = single_sign_on.provider_name
    if who is None:
        raise NotFoundError("there is no OpenID provider to sign in at")
    kept = _cookie(visit).read(visit.request)
    if kept is None or not kept[0].owns(visit.query("state")):
        # Else a link of somebody could sign one in as that somebody.
        return await _fail(visit, "/", _OTHER_BROWSER, HTTPStatus.BAD_REQUEST)
    attempt, wanted = kept
    code = visit.query("code")
    # Only known errors are shown: `error_description` is a text that anybody can put into a link.
    if not 0 < len(code) <= _MAX_CODE:
        unknown = "{who} sent no code. Sign in again."
        said = _SAID_BY_PROVIDER.get(visit.query("error"), unknown).format(who=who)
        return await _fail(visit, wanted, said, HTTPStatus.FORBIDDEN)
    try:
        begun = await single_sign_on.finish(
            ProviderAnswer(code=code, issuer=visit.request.query_params.get("iss")),
            attempt,
            address=visit.remote_address,
            user_agent=visit.user_agent,
            previous=visit.site.authenticator.cookie.read(visit.request.scope),
        )
    except (IdentityError, ForbiddenError, TooManyAttemptsError) as error:
        response = await _fail(visit, wanted, str(error), status_of(error))
        add_retry_after(response, error)
        return response
    response = enter(visit, begun, wanted)
    response.raw_headers.append(_cookie(visit).clear_header())
    return response


@router.notice(_NOTICE)
async def end_sessions_notice(visit: Visit) -> Response:
    """End the sessions that the provider's signed token names (Back-Channel Logout 1.0)."""
    form = await read_form(visit.request)
    try:
        await visit.operations.single_sign_on.end_as_told(form.text("logout_token"))
    except IdentityRejectedError as error:
        said = {"error": "invalid_request", "error_description": str(error)}
        return JSONResponse(said, HTTPStatus.BAD_REQUEST)
    except IdentityProviderError as error:
        # The provider may try again: its keys could not be read.
        said = {"error": "temporarily_unavailable", "error_description": str(error)}
        return JSONResponse(said, HTTPStatus.SERVICE_UNAVAILABLE)
    return Response(status_code=HTTPStatus.OK)


def _cookie(visit: Visit) -> OidcCookie:
    return OidcCookie(visit.site.authenticator.cookie.secure)


async def _fail(visit: Visit, wanted: str, said: str, status: HTTPStatus) -> Response:
    """Return the page for signing in with the reason; the attempt has ended."""
    sentence = said[:1].upper() + said[1:]
    if not sentence.endswith((".", "!", "?")):
        sentence += "."
    response = await show_sign_in(visit, wanted, FormErrors(whole=sentence, status=status))
    response.raw_headers.append(_cookie(visit).clear_header())
    return response
