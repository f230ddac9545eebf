"""`tagboat instances`."""

import json

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import INSTANCE, FakeServer, Said, page


def test_ended_ones_are_listed_too(quick: Tagboat, server: FakeServer) -> None:
    ended = {"id": "i0", "state": "stopped", "stopped_at": "2026-11-24T10:05:00Z"}
    server.answers["GET /api/instances"] = page(
        INSTANCE | {"trouble": "it restarts again and again"}, INSTANCE | ended
    )
    lines = quick("instances").stdout.splitlines()
    assert " ".join(lines[2].split()) == (
        "i1 app dev v1 live (!) 2026-11-24 10:00:02Z http://127.0.0.1:20001"
    )
    assert "stopped   2026-11-24 10:05:00Z" in lines[3]
    assert lines[4] == "app dev v1 needs attention: it restarts again and again"
    server.answers["GET /api/instances"] = page()
    assert quick("instances").stdout == "No instance found.\n"


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ("list", {"limit": "20"}),
        ("ls app --limit 3", {"limit": "3", "project": "p1"}),
        ("list app dev --state live", {"limit": "20", "stage": "s1", "state": "live"}),
    ],
)
def test_filters_are_the_servers(
    quick: Tagboat, server: FakeServer, words: str, query: dict[str, str]
) -> None:
    assert json.loads(quick("instances", *words.split(), "--json").stdout) == [INSTANCE]
    assert server.asked[-1].query == query


def test_the_log_of_one(quick: Tagboat, server: FakeServer) -> None:
    assert quick("instances", "logs", "i1", "-n", "5", "-t").stdout == "hello\nworld\n"
    assert server.asked[-1].query == {"tail": "5", "timestamps": "true"}
    stream = b'id: 1\nevent: line\ndata: {"text": "hello"}\n\nevent: end\ndata: {}\n\n'
    server.answers["GET /api/instances/i1/logs"] = Said(stream)
    assert quick("instances", "logs", "i1", "-f").stdout == "hello\n"
    for more in ([], ["-f"]):
        said = quick.fails("instances", "logs", "../i1", *more)
        assert said == "there is no instance ../i1; 'tagboat instances' shows their ids"
