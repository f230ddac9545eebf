"""How the ingress speaks to an app, and how an app that was spoken to wrongly gives itself away. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum

PROTOCOL_LABEL = "tagboat.protocol"

_TLS_ALERT = b"\x15\x03"
_SETTINGS = re.compile(rb"\x00[\x00-\xff]{2}\x04[\x00\x01]\x00\x00\x00\x00", re.DOTALL)
# What Go's, nginx's and Apache's servers answer at a port for TLS.
_WANTS_TLS = re.compile(
    rb"HTTP/1\.[01] 4[0-9]{2} .*(HTTPS server|HTTPS port|SSL-enabled server port)", re.DOTALL
)


class AppProtocol(StrEnum):
    """`http`: HTTP/1.1; `h2c`: HTTP/2 without TLS, as gRPC speaks; `https`: TLS, its certificate not verified."""

    HTTP = "http"
    H2C = "h2c"
    HTTPS = "https"


def protocol_of(labels: Mapping[str, str]) -> AppProtocol:
    """The one that the image's label names. A label that names none is ignored."""
    label = labels.get(PROTOCOL_LABEL, "")
    return AppProtocol(label) if label in set(AppProtocol) else AppProtocol.HTTP


def spoken(answer: bytes) -> AppProtocol | None:
    """What an app speaks instead of HTTP/1.1, by the beginning of its answer to such a request; None where nothing says so."""
    if answer.startswith(_TLS_ALERT) or _WANTS_TLS.match(answer):
        return AppProtocol.HTTPS
    return AppProtocol.H2C if _SETTINGS.match(answer) else None


def misspoken(found: AppProtocol) -> str:
    """What to tell a person whose app speaks `found` though its project says `http`."""
    what = "TLS" if found is AppProtocol.HTTPS else "HTTP/2 only"
    return (
        f"the app speaks {what} at its port, while its project's protocol is http, so that requests end in 502; "
        f"set the project's protocol to {found.value}, and deploy again"
    )
