"""The page of a sign-in link: a button, so that a preview of the link does not use it up."""

from starlette.responses import Response

from tagboat.web.pages.sign_in import enter
from tagboat.web.routing import PageRouter
from tagboat.web.visits import SIGN_IN, Visit

_SIGN_IN_LINK = f"{SIGN_IN}/{{token}}"

router = PageRouter()


@router.page(_SIGN_IN_LINK, needs=None)
async def sign_in_link_page(visit: Visit) -> Response:
    """Show whom the link signs in; one that does not hold is 404."""
    account = await visit.operations.sign_in_links.find(visit.path("token"))
    return visit.show("sign_in_link.html", {"account": account})


@router.order(_SIGN_IN_LINK, needs=None)
async def sign_in_link_order(visit: Visit) -> Response:
    """Sign the holder of the link in, once."""
    begun = await visit.operations.sign_in_links.use(
        visit.path("token"),
        address=visit.remote_address,
        user_agent=visit.user_agent,
        previous=visit.site.authenticator.cookie.read(visit.request.scope),
    )
    return enter(visit, begun, "/", f"Welcome, {begun.principal.name}.")
