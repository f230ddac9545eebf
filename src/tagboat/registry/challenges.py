"""Parser of the `WWW-Authenticate` header (RFC 9110, section 11.6.1)."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the RFC's word for a run of characters
_SEPARATOR = re.compile(r"[ \t,]*")
# Unquoted values go further than the RFC's token: registries send bare URLs.
_PARAM = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.DOTALL)
_SCHEME = re.compile(rf"({_TOKEN})(?=[ \t,]|$)(?:[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$)))?")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Challenge(Struct, frozen=True):
    """One way to log in that a server offers.

    `scheme` and the names of `params` are in lower case; values are as sent.
    """

    scheme: str
    params: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges of all `WWW-Authenticate` headers of a response, in order.

    Invalid parts are skipped.
    """
    found: list[Challenge] = []
    for header in headers:
        params: dict[str, str] = {}
        at = 0
        while at < len(header):
            if separator := _SEPARATOR.match(header, at):
                at = separator.end()
            if match := _PARAM.match(header, at):
                quoted: str | None = match[2]
                value = _ESCAPE.sub(r"\1", quoted) if quoted is not None else match[3]
                # RFC 9110 forbids a parameter twice; the first one counts.
                params.setdefault(match[1].lower(), value)
            elif match := _SCHEME.match(header, at):
                params = {}
                found.append(Challenge(match[1].lower(), params))
            # A character that fits nothing is skipped, and the rest is still read.
            at = match.end() if match else at + 1
    return found
