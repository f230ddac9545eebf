"""Headers of every page, and the proof that a form came from a page of ours."""

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tagboat.core.errors import ForbiddenError
from tagboat.web.forms import Form

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_STALE_FORM = (
    "This form does not come from a page of this session. Reload the page, and send it again."
)


class PageHeaders:
    """Adds the headers of pages to all answers; those without Cache-Control are not stored."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


def check_origin(request: Request) -> None:
    """Raise ForbiddenError where another site made the browser send a request.

    Browsers say so in Sec-Fetch-Site (Fetch Metadata), or at least in Origin (RFC 6454).
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    ours = site in {"same-origin", "none"} if site else _same_host(request, origin)
    if not ours:
        raise ForbiddenError("This form was sent by another site. Nothing was done.")


def check_token(request: Request, form: Form, token: str) -> None:
    """Raise ForbiddenError where neither form nor header carry the token of the session."""
    offered = form.text(CSRF_FIELD) or request.headers.get(CSRF_HEADER, "")
    if not token or not hmac.compare_digest(offered.encode(), token.encode()):
        raise ForbiddenError(_STALE_FORM)


def own_path(address: str) -> str:
    """Return `address` if it is a path of this site, else `/`."""
    parts = urlsplit(address)
    # Browsers read `//host` and `/\host` as another host's address.
    is_path = address.startswith("/") and not address.startswith(("//", "/\\"))
    if not is_path or parts.scheme or parts.netloc or not address.isprintable():
        return "/"
    return address


def _same_host(request: Request, origin: str | None) -> bool:
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")
