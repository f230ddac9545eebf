"""`tagboat deploys`."""

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer


def test_deploys_of_a_stage_by_status(tagboat: Tagboat, server: FakeServer) -> None:
    assert (
        "webhook"
        in tagboat("deploys", "list", "app", "dev", "--status", "failed", "--limit", "3").stdout
    )
    assert server.asked[-1].query == {"stage": "s1", "status": "failed", "limit": "3"}
    assert tagboat("deploys", "list", "app").returncode == 0
    assert server.asked[-1].query == {"project": "p1", "limit": "20"}
