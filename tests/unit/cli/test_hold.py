"""`tagboat hold` and `release`."""

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    STAGE,
    FakeServer,
)


def test_release_where_nothing_came(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/stages/s1/release"] = STAGE | {"deploys": []}
    assert (
        tagboat("release", "app", "dev").stdout
        == "app dev is released; no tag arrived that it would deploy\n"
    )
