"""Colours and other looks that apps give to text on a terminal, as names instead of sequences.

The sequences are "Select Graphic Rendition" of ECMA-48, section 8.3.117, with the usual colours of
xterm. Only the sixteen colours that a theme can set are named; others become the nearest of these.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tagboat.core.harmless import harmless

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_STYLES = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "struck"}
_ENDS = {
    22: ("bold", "dim"),
    23: ("italic",),
    24: ("underline",),
    27: ("inverse",),
    29: ("struck",),
}
_TEXT, _BACKGROUND, _UNDERLINE = 38, 48, 58
# Longer runs of numbers are no colour of any program.
_MOST_CODES = 32
_LARGEST = 255


class TextMark(Struct, frozen=True):
    """The characters from `start` to before `end` of a text, and their looks.

    A look is a colour such as `red` or `bright-red`, a background such as `on-red`, or one of
    `bold`, `dim`, `italic`, `underline`, `inverse` and `struck`.
    """

    start: int
    end: int
    looks: tuple[str, ...]


def coloured(text: str) -> tuple[str, tuple[TextMark, ...]]:
    """Return a line as `harmless` returns it, with the looks that its sequences stand for."""
    shown = harmless(text)
    # True for most lines.
    if "\x1b[" not in text:
        return shown, ()
    looks: dict[str, str] = {}
    marks: list[TextMark] = []
    parts: list[str] = []
    length, at = 0, 0
    line = text.rstrip("\r").replace("\r", " ")
    for begins, ends, codes in [*_sequences(line), (len(line), len(line), ())]:
        part = harmless(line[at:begins])
        if part and looks:
            marks.append(TextMark(length, length + len(part), tuple(looks.values())))
        parts.append(part)
        length, at = length + len(part), ends
        _apply(codes, looks)
    # What is searched, masked and kept is `harmless`; looks must never change that.
    return (shown, tuple(marks)) if "".join(parts) == shown else (shown, ())


def _sequences(line: str) -> Iterator[tuple[int, int, Sequence[int]]]:
    for match in _SGR.finditer(line):
        # A missing number is 0; sub-parameters behind colons are the newer way to write colours.
        numbers = re.split("[;:]", match[1])[:_MOST_CODES]
        yield match.start(), match.end(), [min(int(one[:4] or 0), 999) for one in numbers]


def _apply(codes: Sequence[int], looks: dict[str, str]) -> None:
    """Change the looks in force, by kind, as a sequence says."""
    left = list(codes)
    while left:
        code = left.pop(0)
        if code == 0:
            looks.clear()
        elif code in _STYLES:
            looks[_STYLES[code]] = _STYLES[code]
        elif code in {_TEXT, _BACKGROUND, _UNDERLINE}:
            name, left = _extended(left)
            if name is not None and code != _UNDERLINE:
                looks[_kind(code)] = f"on-{name}" if code == _BACKGROUND else name
        elif code in {39, 49}:
            looks.pop(_kind(code), None)
        elif code in _ENDS:
            for name in _ENDS[code]:
                looks.pop(name, None)
        elif (name := _plain(code)) is not None:
            looks[_kind(code)] = name


def _kind(code: int) -> str:
    return "background" if code in range(40, 50) or code in range(100, 108) else "text"


def _plain(code: int) -> str | None:
    for first, form in ((30, "{}"), (40, "on-{}"), (90, "bright-{}"), (100, "on-bright-{}")):
        if first <= code < first + len(_NAMES):
            return form.format(_NAMES[code - first])
    return None


def _extended(left: list[int]) -> tuple[str | None, list[int]]:
    """Return the colour of `5;N` or `2;R;G;B`, None if it is none, and the codes behind it."""
    match left:
        case [5, number, *rest]:
            return _numbered(number), rest
        case [2, red, green, blue, *rest] if max(red, green, blue) <= _LARGEST:
            return _nearest(red, green, blue), rest
    return None, []


def _numbered(number: int) -> str | None:
    """Return the name of a colour of xterm's 256."""
    if number < 16:  # noqa: PLR2004 - the colours of the theme, then a cube of 6³, then 24 greys
        return ("bright-" if number >= len(_NAMES) else "") + _NAMES[number % len(_NAMES)]
    if number > _LARGEST:
        return None
    if number >= 232:  # noqa: PLR2004 - as above
        grey = 8 + 10 * (number - 232)
        return _nearest(grey, grey, grey)
    steps = (0, 95, 135, 175, 215, 255)
    cube = number - 16
    return _nearest(steps[cube // 36], steps[cube // 6 % 6], steps[cube % 6])


def _nearest(red: int, green: int, blue: int) -> str:
    strongest, weakest = max(red, green, blue), min(red, green, blue)
    if strongest - weakest < 40:  # noqa: PLR2004 - no eye sees a hue in that
        return ("black", "bright-black", "white", "bright-white")[strongest // 64]
    # Relative to the strongest, so that dark colours keep their hue.
    middle = (strongest + weakest) / 2
    hue = (red > middle) + 2 * (green > middle) + 4 * (blue > middle)
    return ("bright-" if strongest > 200 else "") + _NAMES[hue]  # noqa: PLR2004 - of 255
