"""All that the API can do, a command can do."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import running_api
from tests.unit.cli.conftest import QuickTagboat, environment
from tests.unit.cli.fake_server import TOKEN, FakeServer, fake_server
from tests.unit.cli.operation_commands import (
    OPERATION_COMMANDS,
    WITHOUT_COMMAND,
    with_all_things,
    words_of,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as fake:
        with_all_things(fake)
        yield fake


async def test_each_operation_has_its_command(server: FakeServer, tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        document: Any = (await api.caller.get("/api/openapi.json")).json
    calls = {
        operation["operationId"]: (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert calls.keys() == OPERATION_COMMANDS.keys() | WITHOUT_COMMAND.keys()
    assert not OPERATION_COMMANDS.keys() & WITHOUT_COMMAND.keys()

    quick = QuickTagboat(tmp_path, environment(TAGBOAT_URL=server.url, TAGBOAT_TOKEN=TOKEN))
    without = []
    for operation, command in OPERATION_COMMANDS.items():
        server.asked.clear()
        # What the fake does not answer is a failure, but it was asked for.
        done = quick(*words_of(command, tmp_path), piped=command.piped)
        assert done.returncode in {0, 1}, (command.line, done.stderr)
        method, path = calls[command.listed_by or operation]
        wanted = re.compile(f"{method} {re.sub(r'{[^}]+}', '[^/]+', path)}")
        if not any(wanted.fullmatch(asked.call) for asked in server.asked):
            without.append((operation, command.line))
    assert without == []
