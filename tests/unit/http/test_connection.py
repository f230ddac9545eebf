"""What a connection keeps before its transport takes it."""

import asyncio
from typing import cast

import pytest

from tagboat.http.connection import _GATHERED_MOST, _GatheringTransport

pytestmark = pytest.mark.anyio


class Taker:
    """A transport that notes what it was given."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.get_extra_info = self.is_closing = self.pause_reading = self.resume_reading = None

    def write(self, data: bytes) -> None:
        self.taken.append(data)


def gathering(taker: Taker) -> _GatheringTransport:
    return _GatheringTransport(cast("asyncio.Transport", taker), asyncio.get_running_loop())


async def test_head_and_body_are_sent_together() -> None:
    taker = Taker()
    transport = gathering(taker)
    transport.write(b"head, ")
    transport.write(b"body")
    assert taker.taken == []
    await asyncio.sleep(0)
    assert taker.taken == [b"head, body"]


async def test_an_answer_that_gives_no_turn_to_the_loop_does_not_gather_here() -> None:
    taker = Taker()
    transport = gathering(taker)
    for _ in range(40):
        transport.write(b"x" * (_GATHERED_MOST // 4))
    assert sum(map(len, taker.taken)) == 10 * _GATHERED_MOST
    assert max(map(len, taker.taken)) == _GATHERED_MOST
    transport.write(b"the rest")
    await asyncio.sleep(0)
    assert taker.taken[-1] == b"the rest"
