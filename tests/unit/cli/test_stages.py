"""`tagboat stages`."""

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import DIGEST, STAGE, FakeServer, page


def test_a_domain_can_be_taken_away(tagboat: Tagboat, server: FakeServer) -> None:
    assert tagboat("stages", "edit", "app", "dev", "--domain", "").returncode == 0
    assert server.asked[-1].body == {"domains": []}


def test_a_warning_of_a_saved_stage_is_told(tagboat: Tagboat) -> None:
    assert (
        "warning: dev will never get a tag"
        in tagboat("stages", "edit", "app", "dev", "--pattern", "v*").stderr
    )


PREVIEW = {
    "matching": 2,
    "tags": 9,
    "newest": ["v2", "v1"],
    "pushes": 200,
    "elsewhere": [],
    "summary": "of the last 200 pushes, 1 would have gone elsewhere",
    "warnings": ["stage prod will never get a tag"],
}


def test_pushes_that_go_elsewhere_after_a_change_are_told(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["PATCH /api/stages/s1"] = STAGE | {"warnings": [], "preview": PREVIEW}
    said = tagboat("stages", "edit", "app", "dev", "--pattern", "v*").stderr
    assert said == "note: of the last 200 pushes, 1 would have gone elsewhere\n"


def test_a_pattern_is_tried_without_saving_it(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/pattern"] = PREVIEW
    done = tagboat("stages", "preview", "app", "v*", "dev", "--position", "3")
    assert server.asked[-1].query == {"pattern": "v*", "stage": "s1", "position": "3"}
    assert done.stdout.splitlines() == [
        "2 of 9 known tags match: v2, v1",
        "of the last 200 pushes, 1 would have gone elsewhere",
    ]
    assert done.stderr == "warning: stage prod will never get a tag\n"
    server.answers["GET /api/projects/p1/pattern"] = PREVIEW | {"summary": "", "newest": []}
    done = tagboat("stages", "preview", "app", "v*")
    assert server.asked[-1].query == {"pattern": "v*"}
    assert done.stdout.splitlines()[-1] == "the last 200 pushes would not have changed"


def test_the_history_of_a_stage(tagboat: Tagboat, server: FakeServer) -> None:
    period = {
        "deploy": "d1",
        "tag": "v1",
        "digest": DIGEST,
        "live_from": "2026-11-24T10:00:02Z",
        "live_until": None,
        "rollback_possible": False,
        "reason": "serves now",
        "note": "for the fair",
        "warning": "",
    }
    server.answers["GET /api/stages/s1/history"] = page(period)
    said = tagboat("stages", "history", "app", "dev", "--limit", "3").stdout
    assert server.asked[-1].query == {"limit": "3"}
    row = said.splitlines()[-1]
    assert row.startswith("d1 ")
    assert row.endswith("serves now; for the fair")
    server.answers["GET /api/stages/s1/history"] = page()
    assert tagboat("stages", "history", "app", "dev").stdout == "Nothing was ever live.\n"


def test_changes_that_are_not_live(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/stages/s1/pending"] = {"reason": "", "count": 0, "changes": []}
    said = tagboat("stages", "pending", "app", "dev").stdout
    assert said == "Nothing is saved that is not live.\n"
