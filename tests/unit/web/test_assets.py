import gzip
import re
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tagboat.web import app
from tagboat.web.assets import Assets

pytestmark = pytest.mark.anyio
STATIC = Path(app.__file__).parent / "static"


async def ask(assets: Assets, address: str, coding: str = "") -> Response:
    _, _, hashed, name = address.split("/", 3)
    scope = {
        "type": "http",
        "path_params": {"hash": hashed, "name": name},
        "headers": [(b"accept-encoding", coding.encode())],
    }
    return await assets.serve(Request(scope))


async def test_a_file_is_kept_for_ever_and_sent_as_gzip_where_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "app.css").write_text("a { color: red }\n" * 50)
    assets = Assets(tmp_path)
    address = assets.url("app.css")

    plain = await ask(assets, address)
    packed = await ask(assets, address, "br, gzip")

    assert plain.body == gzip.decompress(packed.body) == (tmp_path / "app.css").read_bytes()
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    for answer in (plain, packed):
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        assert answer.headers["vary"] == "Accept-Encoding"


async def test_the_address_changes_with_any_file(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a")
    (tmp_path / "b.js").write_text("b")
    before = Assets(tmp_path).url("a.css")
    (tmp_path / "b.js").write_text("c")
    after = Assets(tmp_path)

    assert after.url("a.css") != before
    # A page of before gets the file of today, and does not keep it.
    old = await ask(after, before)
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize("name", ["none.css", "../app.py", "/etc/passwd", "secret.key"])
async def test_nothing_else_is_served(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.key").write_text("a")
    (tmp_path / "a.css").write_text("a")
    assets = Assets(tmp_path)

    assert (await ask(assets, f"/static/x/{name}")).status_code == 404
    with pytest.raises(KeyError, match="there is no static file"):
        assets.url(name)


def test_the_first_load_is_small() -> None:
    base = (STATIC.parent / "templates" / "base.html").read_text()
    asked = set(re.findall(r"asset\('([^']+)'\)", base))

    sizes = {name: len(gzip.compress((STATIC / name).read_bytes(), 9)) for name in asked}

    # Leaves half of what is allowed to the scripts of single pages and to the page itself.
    assert sum(sizes.values()) < 60_000, sizes
