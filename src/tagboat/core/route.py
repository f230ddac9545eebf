"""Routes: where the ingress sends the requests for a host."""

from dataclasses import dataclass
from enum import StrEnum

from tagboat.core.endpoint import Endpoint
from tagboat.core.protocol import AppProtocol


class RouteState(StrEnum):
    """The handling of requests: sent to an instance, held until there is one, or refused.

    `portless`: there is an instance, which listens on nothing. `stopped`: a person has stopped the
    stage.
    """

    OPEN = "open"
    HELD = "held"
    NONE = "none"
    PORTLESS = "portless"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Route:
    """The route of `host` (lower case, without a port): to `endpoint`, which is None unless open.

    `protocol` is the one that the app there speaks.
    """

    host: str
    state: RouteState
    endpoint: Endpoint | None = None
    protocol: AppProtocol = AppProtocol.HTTP
