"""The ingress's files."""

import os
import time
from pathlib import Path

from tagboat.ingress.files import remove_drafts, write_file


def test_drafts_that_were_left_are_removed_and_nothing_else(tmp_path: Path) -> None:
    write_file(tmp_path, "routes.map", "a b\n", durable=False)
    left = ["routes.map.0123abcd.new", "haproxy.cfg.ffffffff.new"]
    others = ["notes.new", "routes.map.0123abcd", "routes.map.XYZ.new", "run.lock"]
    for name in (*left, *others):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - 3600,) * 2)
    (tmp_path / "routes.map.89abcdef.new").write_text("being written")

    remove_drafts(tmp_path)

    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"routes.map", "routes.map.89abcdef.new", *others}
    remove_drafts(tmp_path / "missing")
