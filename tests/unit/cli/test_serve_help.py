"""`tagboat serve --help`."""

from tagboat import variables
from tagboat.cli.serve_help import SETTING_MEANINGS
from tests.unit.cli.conftest import Tagboat


def test_serve_help_lists_every_setting(tagboat: Tagboat) -> None:
    assert set(SETTING_MEANINGS) == {name for name in variables.KNOWN if not name.endswith("_FILE")}
    said = tagboat("serve", "--help").stdout
    assert [name for name in SETTING_MEANINGS if name not in said] == []
