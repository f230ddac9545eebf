"""`tagboat cancel`."""

import json

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import DEPLOY, FakeServer, Said, problem


def test_a_running_deploy_is_being_taken_back(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/deploys/d1/cancel"] = DEPLOY | {
        "status": "running",
        "cancelling": True,
    }
    assert (
        tagboat("cancel", "d1").stdout
        == "deploy d1 of v1 to app dev is being cancelled; the version that was live stays\n"
    )


def test_all_deploys_of_a_stage_are_cancelled_by_one_call(
    tagboat: Tagboat, server: FakeServer
) -> None:
    running = DEPLOY | {"id": "d2", "status": "running", "cancelling": True}
    cancelled = DEPLOY | {"status": "cancelled"}
    server.answers["POST /api/stages/s1/cancel"] = Said({"items": [cancelled, running]}, 202)
    done = tagboat("cancel", "app", "dev", "--json")
    assert [deploy["id"] for deploy in json.loads(done.stdout)] == ["d1", "d2"]
    assert server.calls("POST") == ["POST /api/stages/s1/cancel"]
    assert tagboat("cancel", "app", "dev").stdout.splitlines() == [
        "deploy d1 of v1 to app dev is cancelled",
        "deploy d2 of v1 to app dev is being cancelled; the version that was live stays",
    ]


def test_cancel_of_a_stage_where_nothing_is_on_its_way(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["POST /api/stages/s1/cancel"] = problem(409, "nothing is queued or running")
    assert tagboat.fails("cancel", "app", "dev") == "nothing is queued or running"


def test_cancel_of_what_is_no_id(tagboat: Tagboat, server: FakeServer) -> None:
    assert tagboat.fails("cancel", "a/.. b").startswith("there is no deploy a/.. b; ")
    assert server.calls("POST") == ["POST /api/deploys/a%2F..%20b/cancel"]


def test_cancel_of_a_project_asks_for_the_stage(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/deploys/app/cancel"] = problem(404, "there is no deploy app")
    assert tagboat.fails("cancel", "app") == (
        "app is a project: name the stage as well, such as 'tagboat cancel app dev'; "
        "its stages: dev"
    )
