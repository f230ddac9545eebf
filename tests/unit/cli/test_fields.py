"""Fields as options, and objects as lists of fields."""

import json

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import DEPLOY, SETTINGS, STAGE, FakeServer, page, problem


@pytest.mark.parametrize(
    ("words", "call", "body"),
    [
        ("projects edit app --port 3000", "PATCH /api/projects/p1", {"port": 3000}),
        (
            "projects edit app --name shop --healthcheck /up",
            "PATCH /api/projects/p1",
            {"name": "shop", "healthcheck": "/up"},
        ),
        (
            "projects edit app --set memory=512m --set cpus=1.5",
            "PATCH /api/projects/p1",
            {"memory": "512m", "cpus": 1.5},
        ),
        ("projects edit app --set port_set=false", "PATCH /api/projects/p1", {"port_set": False}),
        (
            'projects edit app --set env={"A":"b=c"}',
            "PATCH /api/projects/p1",
            {"env": {"A": "b=c"}},
        ),
        ("projects delete app --yes", "DELETE /api/projects/p1", None),
        (
            (
                "stages add app prod --pattern semver:^1 --position -1 --no-auto-deploy "
                "--domain a.example --domain b.example"
            ),
            "POST /api/projects/p1/stages",
            {
                "name": "prod",
                "tag_pattern": "semver:^1",
                "position": -1,
                "auto_deploy": False,
                "domains": ["a.example", "b.example"],
            },
        ),
        (
            (
                "stages edit app dev --health-timeout 120 --watch 5 --drain 3 --max-instances 2 "
                "--strategy rolling"
            ),
            "PATCH /api/stages/s1",
            {
                "health_timeout_s": 120,
                "watch_s": 5,
                "drain_timeout_s": 3,
                "max_instances": 2,
                "strategy": "rolling",
            },
        ),
        ("stages edit app dev --set ttl_h=null", "PATCH /api/stages/s1", {"ttl_h": None}),
        ("stages delete app dev --yes", "DELETE /api/stages/s1", None),
        ("settings set poll_schedule @hourly", "PATCH /api/settings", {"poll_schedule": "@hourly"}),
        ("settings set auto_create false", "PATCH /api/settings", {"auto_create": False}),
        (
            'settings set auto_create_images ["a/*"]',
            "PATCH /api/settings",
            {"auto_create_images": ["a/*"]},
        ),
    ],
)
def test_a_change_is_one_call(
    tagboat: Tagboat, server: FakeServer, words: str, call: str, body: object
) -> None:
    done = tagboat(*words.split())
    assert done.returncode == 0, done.stderr
    assert (server.asked[-1].call, server.asked[-1].body) == (call, body)
    assert done.stdout


@pytest.mark.parametrize("words", ["projects edit app", "stages edit app dev"])
def test_a_change_of_nothing_is_wrong_usage(
    tagboat: Tagboat, server: FakeServer, words: str
) -> None:
    done = tagboat(*words.split())
    assert (done.returncode, "say what to change" in done.stderr) == (2, True)
    assert server.asked == []


def test_what_is_no_field_is_told(tagboat: Tagboat, server: FakeServer) -> None:
    done = tagboat("projects", "edit", "app", "--set", "memory")
    assert "--set takes FIELD=VALUE, such as --set memory=512m" in done.stderr
    assert done.returncode == 2
    for twice in (("--watch", "1", "--set", "watch_s=2"), ("--set", "watch_s=1") * 2):
        done = tagboat("stages", "edit", "app", "dev", *twice)
        assert (done.returncode, "watch_s has two values" in done.stderr) == (2, True), done
    assert server.asked == []
    server.answers["PATCH /api/projects/p1"] = problem(422, "memoria: there is no such field")
    assert (
        tagboat.fails("projects", "edit", "app", "--set", "memoria=1")
        == "memoria: there is no such field"
    )
    assert tagboat.fails("settings", "get", "schedule").startswith(
        "there is no setting 'schedule'; there are: poll_schedule, "
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


def test_a_refused_field_is_named_as_its_option(tagboat: Tagboat, server: FakeServer) -> None:
    port = {"field": "port", "message": "from 0 to 65535"}
    server.answers["PATCH /api/projects/p1"] = problem(422, "port: from 0 to 65535", errors=[port])
    said = tagboat.fails("projects", "edit", "app", "--port", "70000")
    assert said == "--port: from 0 to 65535"
    fields = [{"field": "health_timeout_s", "message": "too long"}, port | {"field": "memory"}]
    server.answers["PATCH /api/stages/s1"] = problem(422, "2 values", errors=fields)
    said = tagboat.fails("stages", "edit", "app", "dev", "--watch", "1")
    assert said == "--health-timeout: too long; memory: from 0 to 65535"


def test_the_nearest_field_is_named(tagboat: Tagboat, server: FakeServer) -> None:
    unknown = {"field": "memroy", "message": "there is no such field"}
    refused = problem(422, "memroy: there is no such field", errors=[unknown])
    server.answers |= {"PATCH /api/stages/s1": refused, "POST /api/projects/p1/stages": refused}
    edit = ["stages", "edit", "app", "dev", "--set", "memroy=1"]
    assert tagboat.fails(*edit) == "memroy: there is no such field"
    schema = {"$ref": "#/components/schemas/StageAsked"}
    body = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    server.answers["GET /api/openapi.json"] = {
        "paths": {
            "/api/stages/{stage_id}": {"patch": body},
            "/api/projects/{project_id}/stages": {"post": body},
        },
        "components": {"schemas": {"StageAsked": {"properties": {"name": {}, "memory": {}}}}},
    }
    add = ["stages", "add", "app", "x", "--pattern", "*", "--set", "memroy=1"]
    for words in (edit, add):
        assert tagboat.fails(*words) == "memroy: there is no such field; did you mean memory?"
