import pytest
from starlette.requests import Request
from starlette.responses import Response

from tagboat.web.messages import Message, Tone, leave_message, take_message


def asking(cookie: str) -> Request:
    return Request({"type": "http", "headers": [(b"cookie", cookie.encode())]})


@pytest.mark.parametrize("text", ["Done.", 'a "quote"; and ü, = → <b>', "x" * 500])
def test_a_message_comes_back_as_it_was_left(text: str) -> None:
    response = Response()
    leave_message(response, Message(text, Tone.BAD))
    kept = response.headers["set-cookie"]

    assert take_message(asking(kept.partition(";")[0])) == Message(text[:300], Tone.BAD)
    assert "HttpOnly" in kept
    assert "SameSite=lax" in kept


@pytest.mark.parametrize("cookie", ["", "tagboat-said=", "tagboat-said=ok", "tagboat-said=red:x"])
def test_anything_else_is_no_message(cookie: str) -> None:
    assert take_message(asking(cookie)) is None
