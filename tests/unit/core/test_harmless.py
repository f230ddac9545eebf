"""What a terminal would obey reaches none."""

import pytest

from tagboat.core.harmless import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünï, 漢字 🚢", "plain, ünï, 漢字 🚢"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("dos\r\nlines\r\n", "dos\nlines\n"),
        ("over\rwritten", "over written"),
        ("\x1b[2J\x1b[31mfake\x1b[0m", "fake"),
        ("x\x1b]0;PWNED\x07y\x1b]52;c;Y3VybA==\x1b\\z", "xyz"),
        ("\x1b]0;never ended", "0;never ended"),
        ("\x9b31m C1 \x90", "\ufffd31m C1 \ufffd"),
        ("a\u202eb\u2066c\u200fd\u061ce", "a\ufffdb\ufffdc\ufffdd\ufffde"),
        ("\x00\x07\x08\x7f", "\ufffd\ufffd\ufffd\ufffd"),
        ("half \ud800", "half \ufffd"),
        ("one\u2028line", "one\ufffdline"),
    ],
)
def test_control_is_taken_out(text: str, shown: str) -> None:
    assert harmless(text) == shown
    harmless(text).encode()
