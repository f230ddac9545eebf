"""`tagboat edge`: what it refuses before it does anything."""

from pathlib import Path

import pytest

from tagboat.edge import run_edge
from tagboat.settings import load_settings
from tests.support.ports import free_port

POSTGRES = "postgresql://tagboat@127.0.0.1:1/tagboat"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"TAGBOAT_DATABASE_URL": ""}, "set TAGBOAT_DATABASE_URL to the database of the servers"),
        ({"TAGBOAT_INGRESS": "none"}, "TAGBOAT_INGRESS=none makes no sense for 'tagboat edge'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[str, str], said: str
) -> None:
    environ = {
        "TAGBOAT_DATA_DIR": str(tmp_path / "data"),
        "TAGBOAT_DATABASE_URL": POSTGRES,
        "TAGBOAT_INGRESS": "haproxy",
        "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{free_port()}",
        **given,
    }
    settings = load_settings(environ, cwd=tmp_path, is_tty=False)
    assert run_edge(settings, lambda: pytest.fail("it is not ready")) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
