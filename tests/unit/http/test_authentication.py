"""HEAD on an address that streams."""

import re

import pytest
from starlette.types import Message, Receive, Scope, Send

from tagboat.core.principal import Principal, Role
from tagboat.http.answer_ends import AnswerEnds
from tagboat.http.authentication import Authentication
from tagboat.http.client_address import ClientAddress
from tagboat.http.identification import Authenticator, FixedTokens
from tagboat.http.own_hosts import OwnHosts
from tagboat.http.session_cookie import SessionCookie

pytestmark = pytest.mark.anyio


async def test_head_ends_a_stream_at_its_head() -> None:
    pieces = 0

    async def stream(scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal pieces
        assert scope["method"] == "GET"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            pieces += 1
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def nobody(_secret: str, _address: str, *, note_use: bool = True) -> Principal | None:
        assert note_use
        return None

    authenticator = Authenticator(
        FixedTokens([]), nobody, nobody, SessionCookie(secure=True), ClientAddress([])
    )
    app = Authentication(
        stream,
        {re.compile("^/s$"): {"GET": Role.VIEWER}},
        authenticator,
        OwnHosts("http://localhost", frozenset(), "localhost"),
        {"/s"},
    )
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    await AnswerEnds(app, authenticator)(
        {"type": "http", "method": "HEAD", "path": "/s", "headers": []}, receive, send
    )

    assert pieces == 1
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert not sent[-1]["body"]
    assert not sent[-1].get("more_body")
