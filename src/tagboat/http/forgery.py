"""Changes that a browser sends with its session: they must come from a page of this server.

Two things are asked for, each of which would do in most browsers: where the page is from (`Origin`,
`Sec-Fetch-Site`), and the session's token, in the header `X-CSRF-Token` or the form field `csrf`.
"""

import hmac
from urllib.parse import parse_qsl

from starlette.types import Message, Receive, Scope

from tagboat.core.errors import ForbiddenError
from tagboat.http.own_hosts import OwnHosts

CSRF_FIELD = "csrf"
_CSRF_HEADER = b"x-csrf-token"
_URLENCODED = "application/x-www-form-urlencoded"
# Any page of any site may send these without asking (Fetch, section 2.2.2).
_FORM_TYPES = frozenset({_URLENCODED, "multipart/form-data", "text/plain"})
_SAFE = frozenset({"GET", "HEAD"})


async def check_change(scope: Scope, receive: Receive, csrf: str, hosts: OwnHosts) -> Receive:
    """Return what the application reads the body with, if the call may change something.

    `csrf` is the token of the session. Raises ForbiddenError for a call that a foreign page may
    have sent. Calls that only read pass as they are.
    """
    if scope["method"] in _SAFE:
        return receive
    check_origin(scope, hosts)
    headers = dict(scope["headers"])
    media_type = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0]
    media_type = media_type.strip().lower()
    offered, body = headers.get(_CSRF_HEADER, b"").decode("latin-1"), None
    if media_type in _FORM_TYPES:
        # Read, and not guessed from the headers: a body that is sent in chunks may be empty, too.
        body = await _read_body(receive)
        if body is None:
            raise ForbiddenError("the call was cut off")
        if not body:
            raise ForbiddenError("a form without fields is not accepted")
        if media_type == _URLENCODED and not offered:
            offered = _csrf_field(body)
    if not hmac.compare_digest(offered.encode("utf-8", "surrogateescape"), csrf.encode()):
        raise ForbiddenError(
            "the form is of another session, or has no token; load the page again, and repeat it"
        )
    return receive if body is None else _again(body, receive)


def check_origin(scope: Scope, hosts: OwnHosts) -> None:
    """Raise ForbiddenError unless the headers say that a page of this server sent the call."""
    headers = dict(scope["headers"])
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
    host = headers.get(b"host", b"").decode("latin-1")
    if origin is None and site is None:
        raise ForbiddenError(
            "the browser does not say where the form is from: it sends neither Origin nor"
            " Sec-Fetch-Site"
        )
    is_ours = origin is None or hosts.sent(origin.decode("latin-1"), host)
    if not is_ours or site not in {None, b"same-origin"}:
        raise ForbiddenError(
            "the form is from another site; if it is not, set TAGBOAT_PUBLIC_URL to the address in"
            " your browser, and restart Tagboat"
        )


def _csrf_field(body: bytes) -> str:
    # A page has few fields; the limit keeps others from making millions of them.
    try:
        fields = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=1000)
    except ValueError:
        return ""
    return next((value for name, value in fields if name == CSRF_FIELD), "")


async def _read_body(receive: Receive) -> bytes | None:
    """Return the whole body, None if the client has gone."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that brings the body once more, and then what follows it."""
    is_read = False

    async def bring() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return bring
