"""Projects, stages, deploys and settings, shown and changed by commands that are the API's calls."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tagboat import variables
from tagboat.cli.settings_help import MEANINGS
from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import DEPLOY, SETTINGS, STAGE, FakeServer, page, problem


@pytest.mark.parametrize(
    ("group", "head"),
    [
        ("projects", "project"),
        ("stages", "project"),
        ("deploys", "deploy"),
        ("settings", "setting"),
        ("registries", "There is no registry yet"),
        ("deliveries", "id"),
    ],
)
def test_a_group_lists_by_itself_and_by_either_name(
    tagboat: Tagboat, group: str, head: str
) -> None:
    bare, *named = (tagboat(group, *word) for word in ([], ["list"], ["ls"]))
    assert bare.returncode == 0, bare.stderr
    assert bare.stdout.startswith(head)
    assert [one.stdout for one in named] == [bare.stdout] * 2
    documents = [tagboat(group, *word, "--json").stdout for word in ([], ["list"], ["ls"])]
    assert documents[1:] == [json.dumps(json.loads(documents[0]), indent=2) + "\n"] * 2


@pytest.mark.parametrize(
    ("words", "call", "body"),
    [
        ("projects edit app --port 3000", "PATCH /api/projects/p1", {"port": 3000}),
        ("projects edit app --name shop --healthcheck /up", "PATCH /api/projects/p1", {"name": "shop", "healthcheck": "/up"}),
        ("projects edit app --set memory=512m --set cpus=1.5", "PATCH /api/projects/p1", {"memory": "512m", "cpus": 1.5}),
        ("projects edit app --set port_set=false", "PATCH /api/projects/p1", {"port_set": False}),
        ('projects edit app --set env={"A":"b=c"}', "PATCH /api/projects/p1", {"env": {"A": "b=c"}}),
        ("projects delete app --yes", "DELETE /api/projects/p1", None),
        (
            "stages add app prod --pattern semver:^1 --position -1 --no-auto-deploy --domain a.example --domain b.example",
            "POST /api/projects/p1/stages",
            {
                "name": "prod", "tag_pattern": "semver:^1", "position": -1, "auto_deploy": False,
                "domains": ["a.example", "b.example"],
            },
        ),
        (
            "stages edit app dev --health-timeout 120 --watch 5 --drain 3 --max-instances 2 --strategy rolling",
            "PATCH /api/stages/s1",
            {"health_timeout_s": 120, "watch_s": 5, "drain_timeout_s": 3, "max_instances": 2, "strategy": "rolling"},
        ),
        ("stages edit app dev --set ttl_h=null", "PATCH /api/stages/s1", {"ttl_h": None}),
        ("stages delete app dev --yes", "DELETE /api/stages/s1", None),
        ("settings set poll_schedule @hourly", "PATCH /api/settings", {"poll_schedule": "@hourly"}),
        ("settings set auto_create false", "PATCH /api/settings", {"auto_create": False}),
        ('settings set auto_create_images ["a/*"]', "PATCH /api/settings", {"auto_create_images": ["a/*"]}),
    ],
)  # fmt: skip
def test_a_change_is_one_call(
    tagboat: Tagboat, server: FakeServer, words: str, call: str, body: object
) -> None:
    done = tagboat(*words.split())
    assert done.returncode == 0, done.stderr
    assert (server.asked[-1].call, server.asked[-1].body) == (call, body)
    assert done.stdout


def test_a_domain_can_be_taken_away(tagboat: Tagboat, server: FakeServer) -> None:
    assert tagboat("stages", "edit", "app", "dev", "--domain", "").returncode == 0
    assert server.asked[-1].body == {"domains": []}


@pytest.mark.parametrize("words", ["projects edit app", "stages edit app dev"])
def test_a_change_of_nothing_is_wrong_usage(
    tagboat: Tagboat, server: FakeServer, words: str
) -> None:
    done = tagboat(*words.split())
    assert (done.returncode, "say what to change" in done.stderr) == (2, True)
    assert server.asked == []


def test_what_is_no_field_is_told(tagboat: Tagboat, server: FakeServer) -> None:
    assert (
        tagboat.fails("projects", "edit", "app", "--set", "memory")
        == "--set takes FIELD=VALUE, such as --set memory=512m"
    )
    server.answers["PATCH /api/projects/p1"] = problem(422, "memoria: there is no such field")
    assert (
        tagboat.fails("projects", "edit", "app", "--set", "memoria=1")
        == "memoria: there is no such field"
    )
    assert tagboat.fails("settings", "get", "schedule").startswith(
        "there is no setting 'schedule'; there are: poll_schedule, "
    )


def test_a_warning_of_a_saved_stage_is_told(tagboat: Tagboat) -> None:
    assert (
        "warning: dev will never get a tag"
        in tagboat("stages", "edit", "app", "dev", "--pattern", "v*").stderr
    )


def test_things_are_shown_whole(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/projects/p1/stages"] = page(STAGE | {"domains": ["a.example"]})
    assert "dev (*)" in tagboat("projects", "show", "app").stdout
    assert '["a.example"]' in tagboat("stages", "show", "app", "dev").stdout
    server.answers["GET /api/deploys/d1"] = DEPLOY | {"log": "it is up\n"}
    shown = tagboat("deploys", "show", "d1").stdout
    assert "v1 is live" in shown
    assert "1.5 s" in shown
    assert shown.endswith("log:\nit is up\n")
    assert tagboat("deploys", "logs", "d1").stdout == "it is up\n"
    assert tagboat("settings", "get", "auto_create").stdout == "true\n"
    assert json.loads(tagboat("settings", "get", "images_keep", "--json").stdout) == {
        "images_keep": SETTINGS["images_keep"]
    }


def test_deploys_of_a_stage_by_status(tagboat: Tagboat, server: FakeServer) -> None:
    assert (
        "webhook"
        in tagboat("deploys", "list", "app", "dev", "--status", "failed", "--limit", "3").stdout
    )
    assert server.asked[-1].query == {"stage": "s1", "status": "failed", "limit": "3"}
    assert tagboat("deploys", "list", "app").returncode == 0
    assert server.asked[-1].query == {"project": "p1", "limit": "20"}


@pytest.mark.parametrize(
    ("listed", "missing"),
    [
        ({"items": ["v2"], "whole": True, "error": None}, True),
        ({"items": ["v1"], "whole": True, "error": None}, False),
        ({"items": ["v2"], "whole": False, "error": None}, False),
        ({"items": [], "whole": True, "error": "it is down"}, False),
        (problem(503, "not now"), False),
    ],
)
def test_explain_says_that_the_registry_lacks_the_tag(
    tagboat: Tagboat, server: FakeServer, listed: object, missing: bool
) -> None:
    server.answers["GET /api/images/tags"] = listed
    said = tagboat("explain", "git.example.com/acme/app:v1").stdout
    assert ("(the registry has no such tag yet)" in said) is missing


def test_a_name_that_was_read_as_an_image_of_docker_hub_is_told(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/images/tags"] = {
        "items": [],
        "whole": True,
        "error": "docker.io denied access",
    }
    assert (
        tagboat.fails("tags", "nix")
        == "docker.io denied access (nix was read as docker.io/library/nix)"
    )
    assert tagboat.fails("tags", "git.example.com/acme/app") == "docker.io denied access"


def test_it_is_a_module_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tagboat", "--version"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.startswith("tagboat ")) == (0, True)


def test_serve_help_lists_every_setting(tagboat: Tagboat) -> None:
    assert set(MEANINGS) == {name for name in variables.KNOWN if not name.endswith("_FILE")}
    said = tagboat("serve", "--help").stdout
    assert [name for name in MEANINGS if name not in said] == []


def test_a_setting_that_is_none_is_answered_with_those_there_are(
    tagboat: Tagboat, server: FakeServer
) -> None:
    for words in ("get nope", "set nope 1"):
        assert tagboat.fails("settings", *words.split()).startswith(
            "there is no setting 'nope'; there are: poll_schedule"
        )
    assert server.calls("PATCH") == []


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


def test_a_deploy_that_is_none_is_no_way_back(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/stages/s1/rollback"] = problem(404, "there is no deploy 'd9'")
    said = "there is no deploy d9; 'tagboat deploys list' shows their ids"
    assert tagboat.fails("rollback", "app", "dev", "--to", "d9") == said
