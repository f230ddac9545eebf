"""Files of environment variables, as Compose reads `.env` and `env_file`."""

import re
from collections import ChainMap
from collections.abc import Mapping

from tagboat.core.errors import InvalidValueError
from tagboat.core.interpolation import Interpolation

_ASSIGNMENT = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*
    (?:=[ \t]*(?:'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<plain>[^\n]*)))?
    [ \t]*(?:\#[^\n]*)?(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_EMPTY_LINE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_BACKSLASH = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def parse_dotenv(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a file sets. Raises InvalidValueError that names the line.

    `variables` are those known before: values may refer to them and to earlier lines. A name alone
    has its value from there, and is left out where there is none.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found: dict[str, str] = {}
    # What the shell has set goes before what the file says, as in Compose.
    interpolation = Interpolation(ChainMap(dict(variables), found))
    at = 0
    while at < len(text):
        if empty := _EMPTY_LINE.match(text, at):
            at = empty.end()
            continue
        line = text.count("\n", 0, at) + 1
        given = _ASSIGNMENT.match(text, at)
        if given is None:
            raise InvalidValueError(f"line {line} is not NAME=VALUE")
        # The match may span lines: a value in quotes goes on until they close.
        at, name = given.end(), given["name"]
        try:
            if given["single"] is not None:
                found[name] = given["single"]
            elif given["double"] is not None:
                # A dollar after a backslash is one; other escapes may stand in values, too.
                quoted = interpolation.expand(given["double"].replace("\\$", "$$"))
                found[name] = (
                    _BACKSLASH.sub(lambda one: _ESCAPED.get(one[1], one[1]), quoted)
                    if "\\" in quoted
                    else quoted
                )
            elif given["plain"] is not None:
                # A hash sign within a word is part of it, such as in a colour or a password.
                plain = _COMMENT.sub("", given["plain"]).strip()
                found[name] = interpolation.expand(plain)
            elif name in variables:
                found[name] = variables[name]
        except InvalidValueError as error:
            raise InvalidValueError(f"line {line}: {error}") from None
    return found
