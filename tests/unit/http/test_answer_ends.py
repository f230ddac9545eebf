"""Streams end with the right to read them, and HEAD has no body."""

from dataclasses import dataclass, field

import pytest
from starlette.types import Message, Receive, Scope, Send

from tagboat.core.errors import StoreUnavailableError
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.http.answer_ends import LOOKED_AT_EVERY_S, AnswerEnds
from tagboat.http.client_address import ClientAddress
from tagboat.http.identification import Authenticator, FixedTokens
from tagboat.http.session_cookie import SessionCookie

pytestmark = pytest.mark.anyio

VIEWER = Principal(kind=PrincipalKind.TOKEN, name="Anna", role=Role.VIEWER)
ADMIN = Principal(kind=PrincipalKind.TOKEN, name="Anna", role=Role.ADMIN)
PART: Message = {"type": "http.response.body", "body": b"part", "more_body": True}
END: Message = {"type": "http.response.body", "body": b""}


@dataclass
class Server:
    """A stream of three parts, a minute apart; `found` is who is behind its token at each look."""

    found: list[Principal | StoreUnavailableError | None]
    apart_s: float = 60.0
    noted: list[bool] = field(default_factory=list)
    now: float = 0.0

    async def find(self, _secret: str, _address: str, *, note_use: bool = True) -> Principal | None:
        self.noted.append(note_use)
        found = self.found.pop(0)
        if isinstance(found, StoreUnavailableError):
            raise found
        return found

    async def answer(self, method: str = "GET", *, with_token: bool = True) -> list[Message]:
        """Return the parts that are sent."""
        authenticator = Authenticator(
            FixedTokens([]), self.find, self.find, SessionCookie(secure=False), ClientAddress([])
        )

        async def app(scope: Scope, _receive: Receive, send: Send) -> None:
            await authenticator.identify(scope)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(3):
                self.now += self.apart_s
                await send(PART)
            await send(END)

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        headers = [(b"authorization", b"Bearer t")] if with_token else []
        scope = {"type": "http", "method": method, "headers": headers, "client": ("192.0.2.7", 1)}
        await AnswerEnds(app, authenticator, lambda: self.now)(scope, receive, send)
        return sent[1:]


async def test_a_stream_goes_on_as_long_as_its_caller_holds() -> None:
    server = Server([VIEWER] * 4)
    assert await server.answer() == [PART, PART, PART, END]
    assert server.noted == [True, False, False, False]


@pytest.mark.parametrize("found", [None, ADMIN])
async def test_a_stream_ends_when_its_caller_is_unknown_or_has_another_role(
    found: Principal | None,
) -> None:
    assert await Server([VIEWER, VIEWER, found]).answer() == [PART, END]


async def test_a_database_out_of_reach_ends_no_stream() -> None:
    server = Server([VIEWER, StoreUnavailableError("out"), VIEWER, VIEWER])
    assert await server.answer() == [PART, PART, PART, END]


async def test_a_caller_is_not_looked_up_with_each_part() -> None:
    server = Server([VIEWER, VIEWER], LOOKED_AT_EVERY_S / 3 + 0.001)
    assert await server.answer() == [PART, PART, PART, END]
    assert len(server.noted) == 2


async def test_an_answer_to_nobody_is_left_alone() -> None:
    assert await Server([]).answer(with_token=False) == [PART, PART, PART, END]


async def test_the_answer_to_head_ends_with_its_headers() -> None:
    assert await Server([VIEWER]).answer("HEAD") == [END]
