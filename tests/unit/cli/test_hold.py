"""`tagboat hold` and `release`."""

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    STAGE,
    STOPPED,
    FakeServer,
)


def test_release_where_nothing_came(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/stages/s1/release"] = STAGE | {"deploys": []}
    assert (
        tagboat("release", "app", "dev").stdout
        == "app dev is released; no tag arrived that it would deploy\n"
    )


def test_release_of_a_stopped_stage_says_that_it_is_stopped(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["POST /api/stages/s1/release"] = STOPPED | {"deploys": []}
    assert tagboat("release", "app", "dev").stdout == (
        "app dev is released, but still stopped; 'tagboat start app dev' starts it\n"
    )
