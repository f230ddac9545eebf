"""What the tests of the registry room share."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tagboat.registry.client import RegistryClient
from tagboat.registry.connections import Timeouts


class Clock:
    """A time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Sleeps(list[float]):
    """Remembers how long somebody wanted to sleep, and lets nobody wait."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
async def client(clock: Clock, sleeps: Sleeps) -> AsyncIterator[RegistryClient]:
    made = RegistryClient(
        clock=clock, sleep=sleeps, machine="x86_64", timeouts=Timeouts(connect=1, read=1, total=5)
    )
    yield made
    await made.close()
