"""Changes in a session come from a page of this server, or not at all."""

from collections.abc import Mapping

import pytest
from starlette.types import Message

from tagboat.core.errors import ForbiddenError
from tagboat.http.forgery import check_change, check_origin
from tagboat.http.own_hosts import OwnHosts

pytestmark = pytest.mark.anyio

HOSTS = OwnHosts("https://boat.example.com", frozenset(), "apps.test")
CSRF = "c" * 64
FORM = "application/x-www-form-urlencoded"
OURS = {"host": "boat.example.com", "origin": "https://boat.example.com"}


async def body_after(
    method: str, headers: Mapping[str, str], body: bytes = b"", pieces: int = 1
) -> bytes:
    """Return what the application reads once the check has passed."""
    scope = {
        "type": "http",
        "method": method,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    size = -(-len(body) // pieces) or 1
    parts = [body[place : place + size] for place in range(0, len(body), size)] or [b""]
    queue: list[Message] = [
        {"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts
    ]

    async def receive() -> Message:
        return queue.pop(0) if queue else {"type": "http.disconnect"}

    read = await check_change(scope, receive, CSRF, HOSTS)
    whole = b""
    while (message := await read())["type"] == "http.request":
        whole += message["body"]
    return whole


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_call_that_only_reads_passes(method: str) -> None:
    assert await body_after(method, {"host": "boat.example.com"}) == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "said",
    [
        {"origin": "https://boat.example.com"},
        {"sec-fetch-site": "same-origin"},
        {"origin": "https://boat.example.com", "sec-fetch-site": "same-origin"},
    ],
)
async def test_a_change_of_our_own_with_the_token_passes(method: str, said: dict[str, str]) -> None:
    headers = {"host": "boat.example.com", "x-csrf-token": CSRF, **said}
    assert await body_after(method, {**headers, "content-type": "application/json"}, b"{}") == b"{}"
    assert await body_after(method, headers) == b""


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://shop-dev.apps.test"},
        {"origin": "http://boat.example.com:8080"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://boat.example.com", "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    ],
)
async def test_a_change_from_elsewhere_is_refused_with_the_token_too(said: dict[str, str]) -> None:
    headers = {"host": "boat.example.com", "x-csrf-token": CSRF, **said}
    with pytest.raises(ForbiddenError, match="the form is from another site|does not say where"):
        await body_after("POST", headers)


@pytest.mark.parametrize("token", ["", "c" * 63, "C" * 64, "c" * 65, "ü"])
async def test_a_change_without_the_sessions_token_is_refused(token: str) -> None:
    for headers in ({**OURS, "x-csrf-token": token}, OURS):
        with pytest.raises(ForbiddenError, match="the form is of another session"):
            await body_after("DELETE", headers)
    form = {**OURS, "content-type": FORM}
    with pytest.raises(ForbiddenError, match="the form is of another session"):
        await body_after("POST", form, f"csrf={token}&name=x".encode())


@pytest.mark.parametrize("pieces", [1, 5])
@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=UTF-8", FORM.upper()])
async def test_the_token_may_be_a_field_of_the_form_which_the_application_reads_as_it_was(
    content_type: str, pieces: int
) -> None:
    body = f"name=a+b&csrf={CSRF}&name=%C3%BC".encode()
    assert await body_after("POST", {**OURS, "content-type": content_type}, body, pieces) == body


@pytest.mark.parametrize("content_type", [FORM, "multipart/form-data; boundary=x", "text/plain"])
@pytest.mark.parametrize("length", [{}, {"content-length": "0"}])
async def test_a_form_without_a_body_is_refused(content_type: str, length: dict[str, str]) -> None:
    headers = {**OURS, "x-csrf-token": CSRF, "content-type": content_type, **length}
    with pytest.raises(ForbiddenError, match="a form without fields"):
        await body_after("POST", headers)


@pytest.mark.parametrize("content_type", [FORM, "multipart/form-data; boundary=x", "text/plain"])
async def test_a_form_sent_in_chunks_that_are_none_is_refused(content_type: str) -> None:
    headers = {**OURS, "x-csrf-token": CSRF, "content-type": content_type}
    headers["transfer-encoding"] = "chunked"
    with pytest.raises(ForbiddenError, match="a form without fields"):
        await body_after("POST", headers)


async def test_a_form_with_fields_without_end_has_no_token() -> None:
    body = b"a&" * 5000 + f"csrf={CSRF}".encode()
    with pytest.raises(ForbiddenError, match="another session"):
        await body_after("POST", {**OURS, "content-type": FORM, "content-length": "9"}, body)


async def test_a_form_that_is_cut_off_is_refused() -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(name.encode(), value.encode()) for name, value in OURS.items()]
        + [(b"content-type", FORM.encode())],
    }

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ForbiddenError, match="cut off"):
        await check_change(scope, receive, CSRF, HOSTS)


async def test_a_sign_in_needs_no_token_but_a_page_of_ours() -> None:
    check_origin({"headers": [(b"host", b"x"), (b"sec-fetch-site", b"same-origin")]}, HOSTS)
    with pytest.raises(ForbiddenError):
        check_origin({"headers": [(b"host", b"x"), (b"sec-fetch-site", b"cross-site")]}, HOSTS)
