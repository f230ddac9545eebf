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


def test_a_negative_number_is_a_value_and_a_misspelt_option_is_not(
    tagboat: Tagboat, server: FakeServer
) -> None:
    assert tagboat("settings", "set", "images_keep", "-1").returncode == 0
    assert server.asked[-1].body == {"images_keep": -1}
    done = tagboat("settings", "set", "images_keep", "--jsno")
    assert (done.returncode, "no such option: --jsno" in done.stderr) == (2, True)
    done = tagboat("settings", "set", "images_keep", "1", "--jsno")
    assert (done.returncode, server.calls("PATCH")) == (2, ["PATCH /api/settings"])
