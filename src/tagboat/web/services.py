"""The services of the pages, handed in by the composition root."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from tagboat.core.ports import Store
from tagboat.http.event_hub import EventHub
from tagboat.http.identification import Authenticator
from tagboat.http.own_hosts import OwnHosts
from tagboat.operations.operations import Operations


class WebServices(Struct, frozen=True, kw_only=True):
    """The operations, and what only pages need.

    `events` hands events on to open pages, and `store` says from which id on. `authenticator` finds
    the one behind a call; `hosts` are the names of this server. `stopping` is set when the server
    stops, and ends streams.
    """

    operations: Operations
    store: Store
    events: EventHub
    authenticator: Authenticator
    hosts: OwnHosts
    # Handed in, so that tests decide what time it is.
    clock: Callable[[], datetime]
    stopping: asyncio.Event
