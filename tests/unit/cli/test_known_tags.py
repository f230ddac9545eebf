"""`tagboat projects tags`."""

import json

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer, page

LAST = {
    "at": "2026-11-24T10:00:00.123456Z",
    "source": "poll",
    "outcome": "recorded",
    "reason": "tag v1 matches v*, but v2 is the higher version and the stage prod takes one",
    "deploy": None,
}
TAG = {
    "tag": "v1",
    "digest": "sha256:" + "a" * 64,
    "first_seen": "2026-11-23T10:00:00Z",
    "source": "webhook",
    "reason": "tag v1 matches v*: a push of it is deployed to the stage prod",
    "last": LAST,
}
TAGS = [
    TAG,
    TAG
    | {
        "tag": "v2",
        "last": LAST | {"outcome": "queued", "deploy": "d1", "reason": "tag v2 matches v*"},
    },
]


def test_each_tag_says_what_was_done_about_it_and_why(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/tags"] = page(
        *TAGS, TAG | {"tag": "v3", "digest": None, "last": None}
    )
    rows = [
        " ".join(line.split()) for line in tagboat("projects", "tags", "app").stdout.splitlines()
    ]
    assert rows[-3:] == [
        f"v1 aaaaaaaaaaaa 2026-11-24 10:00:00Z poll recorded - {LAST['reason']}",
        "v2 aaaaaaaaaaaa 2026-11-24 10:00:00Z poll queued d1 tag v2 matches v*",
        "v3 - 2026-11-23 10:00:00Z webhook - - not on record",
    ]
    assert json.loads(tagboat("projects", "tags", "app", "--json").stdout)[:2] == TAGS


def test_a_project_without_tags_says_how_to_find_some(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/tags"] = page()
    assert "tagboat poll app" in tagboat("projects", "tags", "app").stdout
    assert "there are: app" in tagboat.fails("projects", "tags", "nope")
