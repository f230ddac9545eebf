import pytest

from tagboat.web.templates import _environment, _marked


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "plain"),
        ("run `a <b>` now", "run <code>a &lt;b&gt;</code> now"),
        ("<script>", "&lt;script&gt;"),
        ("`a` and `b`", "<code>a</code> and <code>b</code>"),
        ("", ""),
    ],
)
def test_backticks_are_code_and_all_else_is_text(text: str, html: str) -> None:
    assert str(_marked(text)) == html


def test_digests_are_short() -> None:
    short = _environment().filters["short_digests"]
    assert short(f"there is no a@sha256:{'1a2b' * 16}") == ("there is no a@sha256:1a2b1a2b1a2b…")
    assert short("sha256:short") == "sha256:short"
