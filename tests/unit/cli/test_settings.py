"""`tagboat settings`."""

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer


def test_a_setting_that_is_none_is_answered_with_those_there_are(
    tagboat: Tagboat, server: FakeServer
) -> None:
    for words in ("get nope", "set nope 1"):
        assert tagboat.fails("settings", *words.split()).startswith(
            "there is no setting 'nope'; there are: poll_schedule"
        )
    assert server.calls("PATCH") == []
