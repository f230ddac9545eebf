"""Protocols between the ingress and an app, and detection of the wrong one. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum

PROTOCOL_LABEL = "tagboat.protocol"

# A record of type alert, version 3 (RFC 8446, section 5.1).
_TLS_ALERT = b"\x15\x03"
# A SETTINGS frame on stream 0 (RFC 9113, section 6.5), which a server sends first.
_SETTINGS = re.compile(rb"\x00[\x00-\xff]{2}\x04[\x00\x01]\x00\x00\x00\x00", re.DOTALL)
# The answers of Go, nginx and Apache to plain HTTP on a TLS port.
_WANTS_TLS = re.compile(
    rb"HTTP/1\.[01] 4[0-9]{2} .*(HTTPS server|HTTPS port|SSL-enabled server port)", re.DOTALL
)


class AppProtocol(StrEnum):
    """`http`: HTTP/1.1; `h2c`: HTTP/2 without TLS (gRPC); `https`: TLS, not verified."""

    HTTP = "http"
    H2C = "h2c"
    HTTPS = "https"


def is_protocol(text: str) -> bool:
    """Return whether `text` names one of them, in any case."""
    return text.lower() in set(AppProtocol)


def protocol_of(labels: Mapping[str, str]) -> AppProtocol:
    """Return the protocol of the image's label, in any case; HTTP without a valid one."""
    label = labels.get(PROTOCOL_LABEL, "")
    return AppProtocol(label.lower()) if is_protocol(label) else AppProtocol.HTTP


def spoken(answer: bytes) -> AppProtocol | None:
    """Return the protocol that an app speaks instead of HTTP/1.1, by its answer, or None."""
    if answer.startswith(_TLS_ALERT) or _WANTS_TLS.match(answer):
        return AppProtocol.HTTPS
    return AppProtocol.H2C if _SETTINGS.match(answer) else None


def misspoken(found: AppProtocol) -> str:
    """Return the message for an app that speaks `found` although its project says `http`."""
    what = "TLS" if found is AppProtocol.HTTPS else "HTTP/2 only"
    return (
        f"the app speaks {what} on its port, but its project's protocol is http, so requests "
        f"get 502; set the project's protocol to {found.value}, and deploy again"
    )
