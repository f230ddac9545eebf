"""The pages as one ASGI application: session, role and form are checked before a page is made."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, compile_path
from starlette.types import ASGIApp

from tagboat.core.errors import ForbiddenError, InvalidValueError, TagboatError
from tagboat.core.values import replace
from tagboat.http.authentication import capped
from tagboat.http.forgery import check_change, check_origin
from tagboat.http.identification import PRINCIPAL
from tagboat.http.session_cookie import CSRF
from tagboat.web import live, theme
from tagboat.web.assets import STATIC_PATH, Assets
from tagboat.web.error_pages import error_page
from tagboat.web.forms import Form, read_form, status_of
from tagboat.web.kept_forms import keep_form
from tagboat.web.pages import (
    account,
    audit,
    connect,
    deliveries,
    deploy,
    deploys,
    explain,
    find,
    logs,
    new_project,
    oidc,
    overview,
    project_settings,
    projects,
    promote,
    registries,
    server,
    settings,
    sign_in,
    sign_in_link,
    stage,
    stage_settings,
    tokens,
    users,
)
from tagboat.web.routing import PageRoute, PageRouter
from tagboat.web.security import PageHeaders
from tagboat.web.services import WebServices
from tagboat.web.templates import PageTemplates
from tagboat.web.visits import SIGN_IN, Visit

# A tuple, not a search of the folder: what the server answers can be read here.
ROUTERS: tuple[PageRouter, ...] = (
    overview.router,
    deploys.router,
    deploy.router,
    deliveries.router,
    explain.router,
    connect.router,
    new_project.router,
    logs.router,
    registries.router,
    settings.router,
    server.router,
    users.router,
    tokens.router,
    audit.router,
    account.router,
    # `/-/` belongs to projects, and is tried before a stage of that name would be.
    projects.router,
    project_settings.router,
    stage.router,
    stage_settings.router,
    promote.router,
    find.router,
    sign_in.router,
    sign_in_link.router,
    oidc.router,
    live.router,
    theme.router,
)
# In the scope of a request: who sends it has been asked, with or without an answer.
_ASKED = "tagboat.web.asked"
_STATIC = Path(__file__).parent / "static"

log = structlog.get_logger("tagboat.web")


def build_web(services: WebServices) -> ASGIApp:
    """Join the pages, the static files, and the pages of errors."""
    assets = Assets(_STATIC)
    pages = Pages(services, PageTemplates(assets))
    app = Starlette(
        routes=[
            Route(STATIC_PATH + "{hash}/{name:path}", assets.serve),
            *pages.routes(),
        ],
        exception_handlers={HTTPException: pages.http_error},
    )
    # Starlette would name the scheme and host of this server, which stands behind another one.
    app.router.redirect_slashes = False
    return PageHeaders(app)


class Pages:
    """Serves the routes of all routers."""

    def __init__(self, services: WebServices, templates: PageTemplates) -> None:
        self._services = services
        self._templates = templates

    def routes(self) -> Iterator[Route]:
        """Yield the routes for Starlette."""
        for router in ROUTERS:
            for route in router.routes:
                yield Route(route.path, self._endpoint(route), methods=[route.method])

    async def http_error(self, request: Request, error: Exception) -> Response:
        """Answer an address or method that does not exist."""
        # Starlette hands over nothing else; its type says Exception.
        if not isinstance(error, HTTPException):
            raise error
        if (
            error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
            and request.method == "GET"
            and (page := _page_above(request.url.path))
        ):
            # The address of a form that came back with an error, opened again or shared.
            return RedirectResponse(quote(page), HTTPStatus.SEE_OTHER)
        visit = await self._visit_after_error(request)
        return error_page(visit, HTTPStatus(error.status_code), headers=error.headers)

    def _endpoint(self, route: PageRoute) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return await self._serve(route, request)
            except TagboatError as error:
                status = status_of(error)
                if status is not HTTPStatus.INTERNAL_SERVER_ERROR:
                    return error_page(await self._visit_after_error(request), status, str(error))
                # Its text is for the log only: it was not written for people who see pages.
                log.exception("unexpected error", action="answer")
            except HTTPException:
                # A form that is too large: Starlette has its own handler for these.
                raise
            except Exception:
                log.exception("a fault inside Tagboat", action="answer")
            return error_page(
                await self._visit_after_error(request), HTTPStatus.INTERNAL_SERVER_ERROR
            )

        return endpoint

    async def _serve(self, route: PageRoute, request: Request) -> Response:
        """Check session, role, origin and token, in this order, and before a byte of the body."""
        visit = await self._visit(request)
        if route.needs is not None:
            if visit.principal is None:
                # Not 401: a browser would ask for a password by itself.
                return await self._to_sign_in(visit)
            visit.principal.check_role(route.needs)
        if route.method == "POST" and not route.from_elsewhere:
            # Only now: a stranger cannot make the server read a body.
            visit = replace(visit, form=await self._read_order(request))
        return await route.handler(visit)

    async def _to_sign_in(self, visit: Visit) -> Response:
        """Return the way to the page for signing in, and from there back to the page asked for.

        A form that was sent after its session had ended is kept over that.
        """
        request = visit.request
        if request.method == "POST":
            # A form of another site is worth nothing, and would be sent by who signs in.
            with contextlib.suppress(ForbiddenError, InvalidValueError):
                kept = keep_form(request.url.path, await self._read_order(request))
                if kept is not None:
                    return await sign_in.show_sign_in(visit, "/", sign_in.SESSION_ENDED, kept)
            return RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = f"?next={quote(wanted, safe='/')}" if wanted != "/" else ""
        return RedirectResponse(SIGN_IN + back, HTTPStatus.SEE_OTHER)

    async def _read_order(self, request: Request) -> Form:
        """Return the form of an order that a page of ours has sent; else raise ForbiddenError."""
        receive, hosts = capped(request.scope, request.receive), self._services.hosts
        if CSRF in request.scope:
            receive = await check_change(request.scope, receive, request.scope[CSRF], hosts)
        else:
            # Nobody is signed in, so that there is no session to protect.
            check_origin(request.scope, hosts)
        return await read_form(Request(request.scope, receive))

    async def _visit(self, request: Request) -> Visit:
        services, scope = self._services, request.scope
        # The page of an error is made after the page itself has asked: a database that hangs would
        # keep everybody waiting twice.
        if PRINCIPAL not in scope and _ASKED not in scope:
            scope[_ASKED] = True
            await services.authenticator.identify(scope)
        principal = scope.get(PRINCIPAL)
        return Visit(request, services, self._templates, principal, services.clock())

    async def _visit_after_error(self, request: Request) -> Visit:
        try:
            return await self._visit(request)
        except TagboatError:  # without the database nobody is known; the error itself is shown
            return Visit(request, self._services, self._templates, None, self._services.clock())


def _page_above(path: str) -> str:
    """Return the nearest page of those who are signed in whose address `path` begins with.

    Empty if there is none but the overview.
    """
    pages = [
        compile_path(route.path)[0]
        for router in ROUTERS
        for route in router.routes
        if route.method == "GET" and route.needs is not None
    ]
    while path := path.rpartition("/")[0]:
        # `/projects/NAME/-` would be taken for a stage.
        if not path.endswith("/-") and any(page.fullmatch(path) for page in pages):
            return path
    return ""
