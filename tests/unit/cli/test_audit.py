"""`tagboat audit`."""

import json
import stat
from typing import Any

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer, Said, page, problem

ENTRY: dict[str, Any] = {
    "id": 2,
    "at": "2026-11-24T10:00:00.5Z",
    "actor": {"kind": "account", "name": "ada", "id": "a1"},
    "address": "192.0.2.7",
    "action": "stage.change",
    "subject": {"kind": "stage", "id": "s1", "name": "prod"},
    "project": {"id": "p1", "name": "app"},
    "stage": {"id": "s1", "name": "prod"},
    "changes": [
        {"field": "watch_s", "before": 10, "after": 0},
        {"field": "env.A", "before": None, "after": "x"},
        {"field": "domains", "before": ["a"], "after": []},
    ],
    "note": "",
}
CALL = ENTRY | {
    "id": 1,
    "actor": {"kind": "poll", "name": "poll", "id": None},
    "address": None,
    "action": "deploy.create",
    "subject": {"kind": "deploy", "id": "d1", "name": "v1"},
    "changes": [],
    "note": "tag v1 matches v*",
}
SETTING = CALL | {
    "action": "settings.change",
    "subject": {"kind": "settings", "id": None, "name": ""},
    "project": None,
    "stage": None,
    "note": "",
}
ROUTE = "GET /api/audit"
EXPORT = "GET /api/audit/export"


def test_entries_are_shown_with_the_values_before_and_after(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers[ROUTE] = page(ENTRY, CALL, SETTING)

    rows = tagboat("audit").stdout.splitlines()[2:]

    assert [" ".join(row.split()[2:]) for row in rows] == [
        (
            "ada (account) 192.0.2.7 stage.change app prod watch_s: 10 → 0; env.A: nothing → x;"
            ' domains: ["a"] → []'
        ),
        "poll - deploy.create app prod v1 tag v1 matches v*",
        "poll - settings.change - -",
    ]
    assert server.asked[-1].query == {"limit": "20"}


def test_filters_are_passed_on(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers[ROUTE] = page()
    words = ("--project", "app", "--actor", "ada", "--action", "stage.hold", "--since", "7d")

    done = tagboat("audit", *words, "--until", "1h", "--limit", "5")

    assert done.stdout == "Nothing is on record that fits.\n"
    assert server.asked[-1].query == {
        "limit": "5",
        "project": "app",
        "actor": "ada",
        "action": "stage.hold",
        "since": "7d",
        "until": "1h",
    }
    server.answers[ROUTE] = page(ENTRY)
    assert json.loads(tagboat("audit", "--json").stdout) == [ENTRY]


def test_the_export_goes_to_a_file_that_others_may_not_read(
    tagboat: Tagboat, server: FakeServer
) -> None:
    lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in (CALL, ENTRY))
    server.answers[EXPORT] = lines

    done = tagboat("audit", "--export", "audit.jsonl", "--since", "7d")

    written = tagboat.directory / "audit.jsonl"
    assert done.stdout == "2 entries are in audit.jsonl\n"
    assert written.read_bytes() == lines
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert server.asked[-1].query == {"since": "7d"}


def test_a_refused_export_leaves_what_was_there(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers[EXPORT] = problem(403, "only the role admin may read the audit")
    written = tagboat.directory / "audit.jsonl"
    written.write_text("before")

    assert "only the role admin" in tagboat.fails("audit", "--export", "audit.jsonl")
    assert [path.name for path in tagboat.directory.iterdir()] == ["audit.jsonl"]
    assert written.read_text() == "before"
    assert "no/audit.jsonl cannot be written" in tagboat.fails(
        "audit", "--export", "no/audit.jsonl"
    )


def test_an_export_that_is_cut_off_leaves_what_was_there(
    tagboat: Tagboat, server: FakeServer
) -> None:
    entry = json.dumps(ENTRY).encode() + b"\n"
    chunk = b"%x\r\n%b\r\n" % (len(entry), entry)
    # Without the last chunk, as from a server that was killed.
    server.answers[EXPORT] = Said(
        chunk, headers={"transfer-encoding": "chunked", "connection": "close"}
    )
    written = tagboat.directory / "audit.jsonl"
    written.write_text("before")

    assert "broke its answer off" in tagboat.fails("audit", "--export", "audit.jsonl")
    assert [path.name for path in tagboat.directory.iterdir()] == ["audit.jsonl"]
    assert written.read_text() == "before"
