"""Tag patterns in RE2's syntax: linear time for each expression, so none can block the server."""

import re
from typing import Any

from msgspec import Struct

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.excerpt import excerpt

# RE2's budget for one compiled expression, in bytes. An expression that needs more is refused.
_MAX_MEMORY = 1 << 20
_PLAIN = re.compile(r"(?:[\w-]|\\\.)+", re.ASCII)
_ALL_TAGS = frozenset({".*", ".+", "^.*$", "^.+$", "(.*)", "(.+)"})


class Regex(Struct, frozen=True):
    """A compiled expression."""

    source: str
    compiled: Any

    def matches(self, text: str) -> bool:
        """Return whether the expression matches the whole of `text`."""
        return self.compiled.fullmatch(text.encode("utf-8", "surrogatepass")) is not None

    @property
    def matches_every_tag(self) -> bool:
        """True for the usual ways to write "any tag"; False for less usual ones."""
        return self.source in _ALL_TAGS

    @property
    def literal(self) -> str | None:
        """The one text that an expression without operators matches, None for others."""
        core = self.source.removeprefix("^").removesuffix("$")
        return core.replace("\\.", ".") if _PLAIN.fullmatch(core) else None


def parse_regex(text: str) -> Regex:
    """Compile `text`; raise InvalidTagPatternError if RE2 refuses it or it is too large."""
    if not text:
        raise InvalidTagPatternError("the regular expression is empty; write regex:.* for any tag")
    import re2  # noqa: PLC0415 - 2 MB that many servers never need

    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    # RE2 would write to stderr.
    options.log_errors = False
    # Groups are not used, and tracking them takes time.
    options.never_capture = True
    try:
        return Regex(text, re2.compile(text.encode(), options=options))
    except re2.error as error:
        reason = error.args[0] if error.args else "no reason given"
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise InvalidTagPatternError(
            f"{excerpt(text)} is not a regular expression that RE2 takes: {reason}"
        ) from error
