"""Routes: where the ingress sends the requests for a host."""

from enum import StrEnum

from msgspec import Struct

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


class Target(Struct, frozen=True):
    """An instance as the ingress knows it: its id, and the endpoints of its tasks.

    Requests are counted by it. An instance with one endpoint on the loopback address is known by
    that; any other by its id, whatever endpoints it has at the moment.
    """

    instance: str
    endpoints: tuple[Endpoint, ...]


class Route(Struct, frozen=True):
    """The route of `host` (lower case, without a port): to `target`, which is None unless open.

    `protocol` is the one that the app there speaks.
    """

    host: str
    state: RouteState
    target: Target | None = None
    protocol: AppProtocol = AppProtocol.HTTP
