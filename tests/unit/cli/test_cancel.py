"""`tagboat cancel`."""

import json

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    DEPLOY,
    FakeServer,
    page,
)


def test_a_running_deploy_is_being_taken_back(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/deploys/d1/cancel"] = DEPLOY | {
        "status": "running",
        "cancelling": True,
    }
    assert (
        tagboat("cancel", "d1").stdout
        == "deploy d1 of v1 to app dev is being cancelled; the version that was live stays\n"
    )


def test_cancel_of_a_stage_takes_what_is_queued_first(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/deploys"] = [page(DEPLOY | {"id": "d2"}), page(DEPLOY)]
    server.answers["POST /api/deploys/d2/cancel"] = DEPLOY | {"id": "d2", "status": "cancelled"}
    done = tagboat("cancel", "app", "dev", "--json")
    assert [deploy["id"] for deploy in json.loads(done.stdout)] == ["d2", "d1"]
    assert [
        asked.query["status"] for asked in server.asked if asked.call == "GET /api/deploys"
    ] == ["queued", "running"]
    assert server.calls("POST") == ["POST /api/deploys/d2/cancel", "POST /api/deploys/d1/cancel"]


def test_cancel_of_a_stage_where_nothing_is_on_its_way(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/deploys"] = page()
    assert tagboat.fails("cancel", "app", "dev") == "nothing is queued or running in app dev"


def test_cancel_of_what_is_no_id(tagboat: Tagboat, server: FakeServer) -> None:
    assert tagboat.fails("cancel", "a/.. b").startswith("there is no deploy a/.. b; ")
    assert server.calls("POST") == ["POST /api/deploys/a%2F..%20b/cancel"]
