"""Text of apps, senders and servers, made fit for a terminal, which would obey what is hidden in it."""

import re

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# C0 except tab and newline, DEL, C1, the marks that turn the direction of writing round, other ends of lines, and halves of
# characters, which cannot be printed at all.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SHOWN = "\ufffd"


def harmless(text: str) -> str:
    """`text` without terminal sequences; of other control characters newlines and tabs stay, the rest becomes U+FFFD.

    A carriage return at the end of a line is dropped, any other becomes a space.
    """
    if text.isprintable():
        return text
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n").rstrip("\r")).replace("\r", " ")
    return _HARMFUL.sub(_SHOWN, text)
