"""Text of apps, senders and servers without terminal control sequences."""

import re

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# C0 except tab and newline, DEL, C1, marks that change the direction of writing, other line ends,
# and lone surrogates, which cannot be encoded.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029"
    "\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_REPLACEMENT = "\ufffd"


def harmless(text: str) -> str:
    """Return `text` without terminal sequences; control characters become U+FFFD.

    Newlines and tabs stay. A carriage return at the end of a line is dropped, any other becomes a
    space.
    """
    # True for most text, and much faster than the expressions.
    if text.isprintable():
        return text
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n").rstrip("\r")).replace("\r", " ")
    return _HARMFUL.sub(_REPLACEMENT, text)
