"""Questions that need an answer."""

import subprocess

from tests.unit.cli.conftest import PROGRAM, Tagboat
from tests.unit.cli.fake_server import (
    FakeServer,
)


def test_what_cannot_be_asked_is_refused_without_standard_input(
    tagboat: Tagboat, server: FakeServer
) -> None:
    words = ["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, "webhook", "revoke", "app", "ci"]
    done = subprocess.run(
        words, env=tagboat.environ, capture_output=True, text=True, timeout=120, check=False
    )
    said = "tagboat: the old URL would stop working at once; confirm with --yes\n"
    assert (done.returncode, done.stderr) == (1, said)
    assert server.calls("DELETE") == []
