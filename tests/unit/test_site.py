"""The documentation is built as a site, without a link that leads nowhere."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LOADED = re.compile(r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(https?:)?//""")
_STYLES = re.compile(
    r"""<link[^>]*rel=["']?(?:stylesheet|preload|icon)[^>]*href=["']?(https?:)?//"""
)


def test_it_is_built_strictly_and_loads_nothing_from_another_host(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    pages = {page: page.read_text() for page in tmp_path.rglob("*.html")}
    assert tmp_path / "index.html" in pages
    assert [page for page, text in pages.items() if _LOADED.search(text)] == []
    assert [page for page, text in pages.items() if _STYLES.search(text)] == []
