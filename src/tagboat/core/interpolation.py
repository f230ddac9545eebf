"""Variables in the text of Compose files: `$NAME`, `${NAME:-default}` and similar, and `$$`."""

import re
from collections.abc import Mapping

from tagboat.core.errors import InvalidValueError
from tagboat.core.excerpt import excerpt
from tagboat.core.moving_in import looks_secret

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFAULT_OPERATOR = re.compile(r":?[-?+]")
_MAX_DEPTH = 20


class SecretText(str):
    """A string that contains the value of a variable that looks like a secret."""

    __slots__ = ()


def holds_secret(value: object) -> bool:
    """Return whether a `SecretText` is in `value`, or in a list or map of it."""
    if isinstance(value, dict):
        return any(map(holds_secret, value.values()))
    if isinstance(value, list):
        return any(map(holds_secret, value))
    return isinstance(value, SecretText)


class Interpolation:
    """Replaces variables by their values; `unset` are the names of those without one."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.unset: dict[str, None] = {}

    def expand(self, text: str) -> str:
        """Return `text` with its variables replaced. Raises InvalidValueError.

        An error of the kind `${NAME:?message}` has the message.
        """
        return self._expand(text, 0) if "$" in text else text

    def _expand(self, text: str, depth: int) -> str:
        if depth > _MAX_DEPTH:
            raise InvalidValueError("variables are nested too deeply")
        parts: list[str] = []
        at = 0
        while (found := text.find("$", at)) >= 0:
            parts.append(text[at:found])
            if text.startswith("$$", found):
                value, at = "$", found + 2
            elif text.startswith("${", found):
                end = closing_brace(text, found + 2)
                value, at = self._braced(text[found + 2 : end], depth), end + 1
            elif name := _VARIABLE_NAME.match(text, found + 1):
                value, at = self._value(name[0]), name.end()
            else:
                raise InvalidValueError(
                    f"{excerpt(text[found : found + 10])} is not a variable; write $$ for a dollar"
                )
            parts.append(value)
        # Whatever a secret becomes a part of is a secret, such as the URL of a database.
        whole = "".join((*parts, text[at:]))
        return SecretText(whole) if any(map(holds_secret, parts)) else whole

    def _braced(self, inside: str, depth: int) -> str:
        """Return the value of `${inside}`."""
        name = _VARIABLE_NAME.match(inside)
        if name is None:
            raise InvalidValueError(
                f"${{{inside[:40]}}} does not begin with the name of a variable"
            )
        if name.end() == len(inside):
            return self._value(name[0])
        # The default is read only where it counts: it may ask for what is not needed.
        operator = _DEFAULT_OPERATOR.match(inside, name.end())
        if operator is None:
            raise InvalidValueError(
                f"${{{inside[:40]}}} has neither :- nor :? nor :+ after the name"
            )
        given, rest = self._variables.get(name[0]), inside[operator.end() :]
        # With a colon, an empty value is as good as none.
        is_set = bool(given) if operator[0].startswith(":") else given is not None
        match operator[0][-1]:
            case "+":
                return self._expand(rest, depth + 1) if is_set else ""
            case "-":
                if is_set:
                    return self._value(name[0])
                default = self._expand(rest, depth + 1)
                return (
                    SecretText(default) if default and looks_secret(name[0], default) else default
                )
        if not is_set:
            raise InvalidValueError(
                f"the variable {name[0]} is not set: {self._expand(rest, depth + 1)}".rstrip(": ")
            )
        return self._value(name[0])

    def _value(self, name: str) -> str:
        value = self._variables.get(name)
        if value is None:
            self.unset[name] = None
            return ""
        return SecretText(value) if looks_secret(name, value) else value


def closing_brace(text: str, at: int) -> int:
    """Return the place of the brace that closes the one before `at`."""
    # Counted by hand: a default may have variables in it, and those defaults.
    depth, place = 1, at
    while place < len(text):
        if text.startswith("${", place):
            depth, place = depth + 1, place + 1
        elif text[place] == "}":
            depth -= 1
            if not depth:
                return place
        place += 1
    raise InvalidValueError(f"{excerpt(text)} has a ${{ without }}")
