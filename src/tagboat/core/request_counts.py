"""Requests as the ingress counts them: per process of it, and from the start of that process."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class EndedBy(StrEnum):
    """The side by which a request ended before its answer was complete.

    `nobody`: it was answered after all. `error`: it was answered with 5xx, and is counted as such.
    """

    CLIENT = "client"
    APP = "app"
    INGRESS = "ingress"
    NOBODY = "nobody"
    ERROR = "error"


class EarlyEnd(Struct, frozen=True):
    """The `number`-th request of an instance that did not end well.

    `answered` is True if its answer had begun.
    """

    number: int
    by: EndedBy
    answered: bool


class InstanceCounts(Struct, frozen=True, kw_only=True):
    """The requests of one instance that one process of the ingress has counted.

    `answers` have begun, with a status below 500; `errors` were answered with 5xx by the app, or by
    the ingress in its place; `early_ends` did not end well, those with 5xx among them. Of the last
    ones `known_ends` says more, of as many as the ingress still has.
    """

    answers: int = 0
    errors: int = 0
    early_ends: int = 0
    in_flight: int = 0
    known_ends: tuple[EarlyEnd, ...] = ()


class ProcessCounts(Struct, frozen=True, kw_only=True):
    """The counts of one process since `started_at`: by instance id, and of requests that met none.

    `started_at` is exact to the second. `instances` lacks those that it does not count, since it
    was started by an earlier release.
    """

    process: str
    started_at: datetime
    instances: Mapping[str, InstanceCounts]
    turned_away: int = 0


# In the order of the places that the ingress counts them in.
CODE_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
CodeClasses = Mapping[str, int]
"""Answers by class of status code, as in `CODE_CLASSES`."""
