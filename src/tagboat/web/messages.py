"""One message from the page that did something to the page that is shown next, in a cookie."""

from enum import StrEnum
from urllib.parse import quote, unquote

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

_COOKIE = "tagboat-said"
# A page that never came must not find it tomorrow.
_KEPT_S = 60
# Browsers drop cookies of more than 4 kB, and a quoted character has up to twelve.
_LONGEST_TEXT = 300


class Tone(StrEnum):
    """The colour of a message or a state, as the stylesheet knows it."""

    OK = "ok"
    RUN = "run"
    WAIT = "wait"
    BAD = "bad"
    PLAIN = "plain"


class Message(Struct, frozen=True):
    """A sentence about what was done."""

    text: str
    tone: Tone = Tone.OK


def take_message(request: Request) -> Message | None:
    """Return the message that the page before left, None for none."""
    tone, _, text = request.cookies.get(_COOKIE, "").partition(":")
    # Anybody can write their own cookies: what is shown is text, and nothing else.
    if tone not in set(Tone) or not text:
        return None
    return Message(unquote(text)[:_LONGEST_TEXT], Tone(tone))


def leave_message(response: Response, message: Message) -> None:
    """Leave a message for the next page."""
    response.set_cookie(
        _COOKIE,
        f"{message.tone}:{quote(message.text[:_LONGEST_TEXT])}",
        max_age=_KEPT_S,
        httponly=True,
        samesite="lax",
    )


def forget_message(response: Response) -> None:
    """Remove the message that has been shown."""
    response.delete_cookie(_COOKIE, httponly=True, samesite="lax")
