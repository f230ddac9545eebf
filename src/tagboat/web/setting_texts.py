"""Values of settings as texts in forms, and back: pure functions.

Each `read_` function takes what its `show_` function returns, and raises InvalidValueError for a
text that it cannot read. An empty text stands for a value that is not set.
"""

import json
import re
import shlex
from collections.abc import Iterable, Mapping

from tagboat.core.errors import InvalidValueError
from tagboat.core.run import KEEP_ENTRYPOINT

_LONGEST_NUMBER = 20
_AMOUNT_UNITS = (("t", 1 << 40), ("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10))
# What would be read as something else, or lost, without quotes.
_NEEDS_QUOTES = re.compile(r'^["#]|^\s|\s$|[\r\n]')
_DECODER = json.JSONDecoder()


def clean_text(text: str) -> str:
    """Return a text as it was shown, whatever a browser made of its line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def show_map(values: Mapping[str, str]) -> str:
    """Return one line `NAME=VALUE` for each value; names and values are quoted where they must."""
    return "\n".join(f"{_quoted(name, '=')}={_quoted(value)}" for name, value in values.items())


def read_map(text: str) -> dict[str, str]:
    """Return the values of lines `NAME=VALUE`; empty lines and comments (`#`) are left out.

    A value between double quotes is read as JSON, with its escapes.
    """
    found: dict[str, str] = {}
    for number, line in _lines(text):
        if line.startswith("#"):
            continue
        name, rest = _name_and_rest(line, number)
        if name in found:
            raise InvalidValueError(f"line {number} has {name[:80]} a second time")
        found[name] = _unquoted(rest, number) if rest.startswith('"') else rest
    return found


def show_lines(values: Iterable[str]) -> str:
    """Return one line for each value."""
    return "\n".join(values)


def read_lines(text: str) -> list[str]:
    """Return the lines that are not empty."""
    return [line for _, line in _lines(text)]


def show_words(words: Iterable[str] | str) -> str:
    """Return a command line as a shell would read it; `image` for the image's own entrypoint."""
    if isinstance(words, str):
        return words
    # The one word `image` is a keyword: quoted, it is the name of a program.
    shown = shlex.join(words)
    # A program of that name would be read as the image's own entrypoint.
    return f"'{shown}'" if shown == KEEP_ENTRYPOINT else shown


def read_words(text: str) -> list[str]:
    """Return the words of a command line. Variables and pipes are not read: no shell runs it."""
    try:
        return shlex.split(text)
    except ValueError:
        raise InvalidValueError(
            "has a quote that does not end; write \\' or \\\" for one"
        ) from None


def read_entrypoint(text: str) -> list[str] | str:
    """Return the words of an entrypoint, or `image`, which keeps that of the image."""
    return KEEP_ENTRYPOINT if text == KEEP_ENTRYPOINT else read_words(text)


def show_amount(amount: int) -> str:
    """Return bytes such as `512m`, in the largest unit that says them exactly; empty for 0."""
    if not amount:
        return ""
    # Rounded, a form that is saved untouched would change the value.
    for unit, size in _AMOUNT_UNITS:
        if amount % size == 0:
            return f"{amount // size}{unit}"
    return str(amount)


def show_number(number: float | None) -> str:
    """Return a number, empty for None."""
    return "" if number is None else f"{number:g}" if isinstance(number, float) else str(number)


def show_nonzero(number: float) -> str:
    """Return a number, empty for 0."""
    return show_number(number or None)


def read_whole(text: str) -> int:
    """Return a whole number."""
    # Of thousands of digits, `int` raises an error that no form would show.
    if not re.fullmatch(r"[+-]?[0-9]+", text) or len(text) > _LONGEST_NUMBER:
        raise InvalidValueError("must be a whole number")
    return int(text)


def read_number(text: str) -> float:
    """Return a number with or without a decimal point."""
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text) or len(text) > _LONGEST_NUMBER:
        raise InvalidValueError("must be a number such as 2 or 0.5")
    return float(text)


def show_switch(value: bool | None) -> str:
    """Return `yes`, `no`, or empty for None."""
    return "" if value is None else "yes" if value else "no"


def read_switch(text: str) -> bool | None:
    """Return True for `yes`, False for `no`, None for empty."""
    known = {"": None, "yes": True, "no": False}
    if text not in known:
        raise InvalidValueError("must be yes or no")
    return known[text]


def _lines(text: str) -> Iterable[tuple[int, str]]:
    """Yield the lines that are not empty, each with its number from 1."""
    # Not `splitlines`: it also cuts at characters that may stand in a value.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def _name_and_rest(line: str, number: int) -> tuple[str, str]:
    if line.startswith('"'):
        try:
            name, end = _DECODER.raw_decode(line)
        except ValueError:
            raise InvalidValueError(f"line {number} has a quote that does not end") from None
        rest = line[end:].lstrip()
        is_pair = rest.startswith("=")
        name, rest = str(name), rest[1:]
    else:
        name, sign, rest = line.partition("=")
        is_pair = bool(sign)
    if not is_pair or not name.strip():
        raise InvalidValueError(f"line {number} is not NAME=VALUE")
    return name if line.startswith('"') else name.strip(), rest.strip()


def _unquoted(text: str, number: int) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, str):
        raise InvalidValueError(
            f'line {number} has a quote that does not end; inside of quotes write \\" and \\\\'
        )
    return value


def _quoted(text: str, also: str = "") -> str:
    # JSON's quotes hold any character, and people have seen them before.
    needs = _NEEDS_QUOTES.search(text) or (also and also in text)
    return json.dumps(text, ensure_ascii=False) if needs else text
