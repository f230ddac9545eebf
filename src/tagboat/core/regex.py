"""Tag patterns in RE2's syntax: linear time whatever the expression, so none can hang the server."""

from dataclasses import dataclass
from typing import Any

from tagboat.core.errors import InvalidTagPatternError
from tagboat.core.excerpt import excerpt

# RE2's budget for one compiled expression, in bytes. An expression that needs more is refused.
_MAX_MEMORY = 1 << 20
_ALL_TAGS = frozenset({".*", ".+", "^.*$", "^.+$", "(.*)", "(.+)"})


@dataclass(frozen=True, slots=True)
class Regex:
    """A compiled expression."""

    source: str
    compiled: Any

    def matches(self, text: str) -> bool:
        """Whether the expression matches the whole of `text`."""
        return self.compiled.fullmatch(text.encode("utf-8", "surrogatepass")) is not None

    @property
    def matches_every_tag(self) -> bool:
        """Whether the expression is one of the usual ways to say "anything"; False when it says so in another way."""
        return self.source in _ALL_TAGS


def parse_regex(text: str) -> Regex:
    """Compile `text`; raise InvalidTagPatternError if RE2 refuses it, or if it is too large."""
    if not text:
        raise InvalidTagPatternError("the regular expression is empty; write regex:.* for any tag")
    import re2  # noqa: PLC0415 - 2 MB that many a server never needs

    try:
        return Regex(text, re2.compile(text.encode(), options=_options(re2)))
    except re2.error as error:
        raise InvalidTagPatternError(
            f"{excerpt(text)} is not a regular expression that RE2 takes: {_reason(error)}"
        ) from error


def _options(re2: Any) -> Any:  # noqa: ANN401 - re2 ships no types
    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    options.log_errors = False  # RE2 would write to stderr by itself
    options.never_capture = True  # groups are not asked for, and following them costs time
    return options


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else "no reason given"
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
