"""The choice between light and dark: a cookie, so that pages come in the right colours at once."""

from starlette.responses import Response

from tagboat.web.routing import PageRouter
from tagboat.web.security import own_path
from tagboat.web.visits import THEME_COOKIE, THEMES, Visit

_A_YEAR_S = 365 * 86400

router = PageRouter()


@router.order("/theme", needs=None)
async def choose_theme(visit: Visit) -> Response:
    """Remember the colours that a browser wants, and go back to the page."""
    # `next` comes from a form, and forms can be forged: it leads to this site or nowhere.
    response = visit.go(own_path(visit.form.text("next")))
    theme = visit.form.text("theme")
    # Not HttpOnly: it is no secret, and a script may want to read it.
    if theme in THEMES:
        response.set_cookie(THEME_COOKIE, theme, max_age=_A_YEAR_S, samesite="lax")
    return response
