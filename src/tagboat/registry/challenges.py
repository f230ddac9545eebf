"""The `WWW-Authenticate` header, read as RFC 9110 (section 11.6.1) has it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the RFC's word for a run of characters
_SEPARATOR = re.compile(r"[ \t,]*")
# Unquoted values go further than the RFC's token: registries send bare URLs.
_PARAM = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.DOTALL)
_SCHEME = re.compile(rf"({_TOKEN})(?=[ \t,]|$)(?:[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$)))?")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that a server offers. `scheme` and the names of `params` are lower-case; values are as sent."""

    scheme: str
    params: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return every challenge of all `WWW-Authenticate` headers of an answer, in order; what cannot be read is passed over."""
    return [challenge for header in headers for challenge in _parse(header)]


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    params: dict[str, str] = {}
    at = _SEPARATOR.match(header, 0).end()  # type: ignore[union-attr]  # it matches the empty string too
    while at < len(header):
        if match := _PARAM.match(header, at):
            params.setdefault(match[1].lower(), _value(match))
        elif match := _SCHEME.match(header, at):
            params = {}
            found.append(Challenge(match[1].lower(), params))
        at = _SEPARATOR.match(header, match.end() if match else at + 1).end()  # type: ignore[union-attr]  # as above
    return found


def _value(match: re.Match[str]) -> str:
    quoted: str | None = match[2]
    return _ESCAPE.sub(r"\1", quoted) if quoted is not None else match[3]
