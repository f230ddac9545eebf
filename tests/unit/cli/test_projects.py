"""`tagboat projects tags`."""

import json

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    PROJECT,
    STAGE,
    FakeServer,
    Said,
    page,
    problem,
)

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
        "v3 - 2026-11-23 10:00:00Z webhook - - not recorded",
    ]
    assert json.loads(tagboat("projects", "tags", "app", "--json").stdout)[:2] == TAGS


def test_tags_are_searched_and_sorted_by_the_server(quick: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/tags"] = page()
    done = quick("projects", "tags", "app", "--contains", "v1.", "--newest")
    assert done.stdout == "No known tag of app has 'v1.' in it.\n"
    assert server.asked[-1].query == {"limit": "200", "text": "v1.", "order": "newest"}


def test_a_project_without_tags_says_how_to_find_some(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/tags"] = page()
    assert "tagboat poll app" in tagboat("projects", "tags", "app").stdout
    assert "there are: app" in tagboat.fails("projects", "tags", "nope")


def test_projects_as_json_are_the_items_of_the_api(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects"] = [
        page(PROJECT, following="2"),
        page(PROJECT | {"id": "p2", "name": "web"}),
    ]
    assert json.loads(tagboat("projects", "--json").stdout) == [
        PROJECT,
        PROJECT | {"id": "p2", "name": "web"},
    ]
    assert [asked.query.get("cursor") for asked in server.asked] == [None, "2"]


def test_projects_without_a_poll_yet(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects"] = page(
        PROJECT | {"poll": {"last_at": None, "next_at": None, "error": None}}
    )
    assert tagboat("projects").stdout.endswith("never\n")


def test_a_project_or_a_stage_is_deleted_when_that_is_meant(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["DELETE /api/projects/p1"] = {
        "volumes_kept": ["tagboat-s1-data"],
        "volumes_removed": [],
    }
    server.answers["DELETE /api/stages/s1"] = Said(b"", 204)
    assert (
        tagboat.fails("projects", "remove", "app")
        == "the project app would be deleted; confirm with --yes"
    )
    told = tagboat.fails("projects", "remove", "app", "--volumes")
    assert (
        told == "the project app would be deleted, and all data in its volumes; confirm with --yes"
    )
    assert server.calls("DELETE") == []

    said = tagboat("projects", "remove", "app", "--yes").stdout
    assert (
        said == "the project app is deleted\n"
        "volumes kept: tagboat-s1-data ('docker volume rm NAME' deletes one)\n"
    )
    assert server.asked[-1].query == {"volumes": "keep"}
    server.answers["DELETE /api/projects/p1"] = {
        "volumes_kept": [],
        "volumes_removed": ["tagboat-s1-data"],
    }
    said = tagboat("projects", "remove", "app", "--volumes", "--yes").stdout
    assert said == "the project app is deleted\ndeleted with their data: tagboat-s1-data\n"
    assert server.asked[-1].query == {"volumes": "delete"}
    server.answers["DELETE /api/projects/p1"] = {
        "volumes_kept": ["tagboat-s1-data (on n1)"],
        "volumes_removed": [],
    }
    said = tagboat("projects", "remove", "app", "--volumes", "--yes").stdout
    hint = "('docker volume rm NAME' deletes one, on its node)"
    assert said.endswith(f"volumes kept: tagboat-s1-data (on n1) {hint}\n")
    assert (
        tagboat("projects", "remove", "app", "--stage", "dev", "--yes").stdout
        == "the stage dev of app is deleted\n"
    )
    assert json.loads(
        tagboat("projects", "remove", "app", "--stage", "dev", "--yes", "--json").stdout
    ) == {
        "volumes_kept": [],
        "volumes_removed": [],
    }


@pytest.mark.parametrize(
    "image", ["r.example/acme/app", "r.example:5000/acme/app:v1", "r.example/acme/app@sha256:0"]
)
def test_a_project_is_named_after_its_image_without_the_tag(
    tagboat: Tagboat, server: FakeServer, image: str
) -> None:
    server.answers["POST /api/projects"] = problem(422, "image: has a tag")
    assert tagboat.fails("projects", "create", image) == "image: has a tag"
    (call,) = [asked for asked in server.asked if asked.call == "POST /api/projects"]
    assert call.body["name"] == "app"


def test_a_project_is_made_with_its_first_stage(tagboat: Tagboat, server: FakeServer) -> None:
    given = ["--name", "shop", "--stage", "prod", "--pattern", "v*", "--port", "80"]
    assert tagboat("projects", "create", "git.example.com/acme/app").returncode == 0
    assert tagboat("projects", "create", "nginx", *given).returncode == 0
    assert [asked.body for asked in server.asked] == [
        {
            "image": "git.example.com/acme/app",
            "name": "app",
            "stages": [{"name": "dev", "tag_pattern": "*"}],
        },
        {
            "image": "nginx",
            "name": "shop",
            "port": 80,
            "stages": [{"name": "prod", "tag_pattern": "v*"}],
        },
    ]


def test_a_warning_about_its_first_stage_is_shown(tagboat: Tagboat, server: FakeServer) -> None:
    stage = STAGE | {"warnings": ["the pattern ^v1.* can match no tag"]}
    server.answers["POST /api/projects"] = PROJECT | {"stages": [stage]}
    done = tagboat("projects", "create", "nginx", "--pattern", "^v1.*")
    assert done.stderr == "warning: the pattern ^v1.* can match no tag\n"


def test_a_project_whose_stage_cannot_be_made_is_not_made(
    tagboat: Tagboat, server: FakeServer
) -> None:
    wrong = {"field": "stages.0.tag_pattern", "message": "no"}
    server.answers["POST /api/projects"] = problem(422, "stages.0.tag_pattern: no", errors=[wrong])
    assert tagboat.fails("projects", "create", "nginx", "--pattern", "[") == "--pattern: no"
    assert len(server.calls("POST")) == 1


@pytest.mark.parametrize("command", ["projects", "status", "stages", "env", "secrets"])
def test_no_list_asks_once_for_each_project(
    quick: Tagboat, server: FakeServer, command: str
) -> None:
    projects = [PROJECT | {"id": f"p{number}", "name": f"app-{number}"} for number in range(50)]
    server.answers["GET /api/projects"] = page(*projects)
    server.answers |= {f"GET /api/projects/{one['id']}/stages": page(STAGE) for one in projects}
    done = quick(command)
    assert done.returncode == 0, done.stderr
    assert "app-49" in done.stdout
    assert len(server.asked) <= 3
