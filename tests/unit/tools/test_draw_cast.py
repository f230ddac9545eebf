"""The picture of the demo is drawn from its cast."""

import json
from xml.etree import ElementTree as ET

from tools.draw_cast import COLUMNS, ROWS, draw
from tools.record_demo import CAST, SVG

_SVG = "{http://www.w3.org/2000/svg}"
_HEADER = json.dumps({"version": 2, "width": COLUMNS, "height": ROWS})


def cast(*events: tuple[float, str]) -> str:
    return "\n".join([_HEADER, *(json.dumps([at, "o", f"{text}\r\n"]) for at, text in events)])


def texts(svg: str) -> list[tuple[str, str]]:
    """Return what is drawn, each with its kind."""
    found = ET.fromstring(svg).iter(f"{_SVG}text")  # noqa: S314 - our own
    return [(one.text or "", one.get("class", "")) for one in found]


def test_the_picture_is_that_of_the_cast_and_small() -> None:
    assert SVG.read_text() == draw(CAST.read_text()), "run python -m tools.record_demo draw"
    assert SVG.stat().st_size < 150_000
    drawn = [text for text, _ in texts(SVG.read_text())]
    assert drawn[0] == "$ make demo"
    assert any("requests: 0 lost by a switch" in text for text in drawn)
    assert drawn[-1].startswith("Done in ")


def test_lines_are_drawn_as_what_they_are() -> None:
    said = cast((0, "v1: <pushed> & live"), (1, "  ✓ done"), (1, ""), (2, "    reason: gone"))
    assert texts(draw(said)) == [
        ("v1: <pushed> & live", "title"),
        ("  ✓ done", "done"),
        ("    reason: gone", "failed"),
    ]


def test_a_long_line_is_continued_on_the_next() -> None:
    assert texts(draw(cast((0, "x" * (COLUMNS + 1))))) == [("x" * COLUMNS, "title"), ("x", "title")]


def test_it_moves_line_by_line_and_pauses_are_short() -> None:
    svg = draw(cast((0, "a"), (100, "b")))
    # Two seconds of the pause, and eight at the end.
    assert "animation: lines 10.0s step-end infinite" in svg
    assert "0.00% { transform: translateY(513px) } 20.00% { transform: translateY(494px) }" in svg


def test_it_asks_no_other_host_and_runs_no_script() -> None:
    svg = SVG.read_text().replace("http://www.w3.org/2000/svg", "")
    root = ET.fromstring(SVG.read_text())  # noqa: S314 - our own
    assert {one.tag.removeprefix(_SVG) for one in root.iter()} == {
        *("svg", "title", "style", "clipPath", "rect", "g", "text")
    }
    assert "url(http" not in svg
    assert "@import" not in svg
