"""`tagboat stages`."""

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer


def test_a_domain_can_be_taken_away(tagboat: Tagboat, server: FakeServer) -> None:
    assert tagboat("stages", "edit", "app", "dev", "--domain", "").returncode == 0
    assert server.asked[-1].body == {"domains": []}


def test_a_warning_of_a_saved_stage_is_told(tagboat: Tagboat) -> None:
    assert (
        "warning: dev will never get a tag"
        in tagboat("stages", "edit", "app", "dev", "--pattern", "v*").stderr
    )
