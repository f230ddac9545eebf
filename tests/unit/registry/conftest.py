"""What the tests of the registry room share."""

from collections.abc import AsyncIterator

import pytest

from tagboat.registry.client import RegistryClient
from tagboat.registry.connections import Timeouts
from tests.support.clock import FakeClock


class Sleeps(list[float]):
    """Remembers how long somebody wanted to sleep, and lets nobody wait."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
async def client(clock: FakeClock, sleeps: Sleeps) -> AsyncIterator[RegistryClient]:
    made = RegistryClient(
        clock=clock,
        sleep=sleeps,
        machine="x86_64",
        timeouts=Timeouts(connect=30, read=30, total=60),
    )
    yield made
    await made.close()
