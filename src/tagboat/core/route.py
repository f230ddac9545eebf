"""Where the ingress leads requests."""

from dataclasses import dataclass
from enum import StrEnum

from tagboat.core.protocol import AppProtocol


class Way(StrEnum):
    """What becomes of a request: led to an instance, held until there is one, or told that there is none.

    `portless`: there is one, which listens on nothing.
    """

    OPEN = "open"
    HELD = "held"
    NONE = "none"
    PORTLESS = "portless"


@dataclass(frozen=True, slots=True)
class Route:
    """Requests for `host` (lower case, without a port) go to 127.0.0.1:`port` while the way is open; else `port` is 0.

    `protocol` is how the app there is spoken to.
    """

    host: str
    way: Way
    port: int = 0
    protocol: AppProtocol = AppProtocol.HTTP
