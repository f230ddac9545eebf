"""`tagboat rotate-key`."""

from tagboat.data_dir import open_data_dir
from tagboat.store import open_store
from tests.unit.cli.conftest import Tagboat


def test_the_key_is_changed_while_no_server_runs(here: Tagboat) -> None:
    data = here.directory / "data"
    assert "no server has used the data directory" in here.fails("rotate-key")
    open_store(None, data).close()
    before = (data / "encryption.key").read_text()
    assert "encrypted with a new key" in here("rotate-key").stdout
    assert (data / "encryption.key").read_text() != before
    with open_data_dir(data):
        assert "another Tagboat server uses" in here.fails("rotate-key")
