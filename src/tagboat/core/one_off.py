"""One-off commands: each runs once in a container of its own, with what a live instance has."""

from datetime import datetime, timedelta

from msgspec import Struct

KEPT_FOR = timedelta(seconds=30)
"""Time for which a server answers for a command; it renews that as long as it runs."""


class OneOff(Struct, frozen=True, kw_only=True):
    """A command that runs in a stage, on record from before its container is made until it is gone.

    `container` is the name of its container, `container_id` the runtime's id of it, empty until it
    is known. A server looks after it until `kept_until`, and renews that: later, that server has
    died, and any other removes the container.
    """

    id: str
    stage_id: str
    container: str
    container_id: str = ""
    kept_until: datetime
