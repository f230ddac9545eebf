"""Draws a cast of lines as an SVG that moves by itself: without scripts, in light and dark.

It needs no more than a browser that knows CSS, and shows the end to those who want no motion.
"""

import json
from collections.abc import Sequence
from html import escape

COLUMNS, ROWS = 120, 28
_LINE, _CHARACTER, _MARGIN, _SIZE = 19, 7.83, 16, 13
_LONGEST_S = 2.0
"""Pauses are cut to that."""
_END_S = 8.0
_LAST = "Done in "
"""How the line begins with which the picture ends: what comes after it is to be read at rest."""
_STYLE = """\
svg { background: #f6f8fa; color: #24292f; border-radius: 8px }
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: currentColor;
  white-space: pre }
.title { font-weight: 700; fill: #0550ae } .done { fill: #116329 } .failed { fill: #a40e26 }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; color: #e6edf3 }
  .title { fill: #79c0ff } .done { fill: #7ee787 } .failed { fill: #ff7b72 }
}
@media (prefers-reduced-motion: no-preference) {
  #lines { animation: lines %(seconds).1fs step-end infinite }
}
@keyframes lines { %(frames)s }
"""


def draw(cast: str) -> str:
    """Return the SVG of a cast whose events are lines."""
    _, *events = (json.loads(line) for line in cast.splitlines())
    lines, frames, now, before = list[tuple[str, str]](), list[tuple[float, int]](), 0.0, 0.0
    for at, _, text in events:
        now, before = now + min(at - before, _LONGEST_S), at
        lines += _wrapped(text.rstrip("\r\n"))
        frames.append((now, len(lines)))
        if text.startswith(_LAST):
            break
    end = now + _END_S
    width, height = round(COLUMNS * _CHARACTER) + 2 * _MARGIN, ROWS * _LINE + 2 * _MARGIN
    top = _MARGIN + _LINE - (_LINE - _SIZE) // 2
    drawn = "\n".join(
        f'<text x="{_MARGIN}" y="{top + _LINE * at}"{kind}>{escape(line, quote=False)}</text>'
        for at, (kind, line) in enumerate(lines)
        if line
    )
    style = _STYLE % {"seconds": end, "frames": _frames(frames, end)}
    title = "A recording of make demo: images are pushed, deployed and taken back"
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" aria-label="{title}">
<title>{title}</title>
<style>
{style}</style>
<clipPath id="window"><rect x="0" y="{_MARGIN}" width="{width}" height="{ROWS * _LINE}"/></clipPath>
<g clip-path="url(#window)"><g id="lines" style="transform: translateY({_shift(len(lines))}px)">
{drawn}
</g></g>
</svg>
"""


def _frames(frames: Sequence[tuple[float, int]], end: float) -> str:
    """Return where the lines stand from each moment on, in hundredths of a percent."""
    found = {
        f"{at / end:.2%}": f"{{ transform: translateY({_shift(lines)}px) }}" for at, lines in frames
    }
    last = f"100% {{ transform: translateY({_shift(frames[-1][1])}px) }}"
    return " ".join([f"{moment} {place}" for moment, place in found.items()] + [last])


def _shift(lines: int) -> int:
    """Return how far down all lines are when so many are shown: the last one is at the bottom."""
    return (ROWS - lines) * _LINE


def _wrapped(line: str) -> list[tuple[str, str]]:
    """Return the line as a terminal of that width shows it, each part with the kind of all."""
    kind = next((name for name, begins in _KINDS.items() if line.startswith(begins)), "")
    named = f' class="{kind}"' if kind else ""
    parts = [line[at : at + COLUMNS] for at in range(0, len(line), COLUMNS)]
    return [(named, part) for part in parts or [""]]


_KINDS = {"done": "  ✓", "failed": "    reason:", "": " ", "title": ""}
"""How a line begins, by its kind; the first that fits."""
