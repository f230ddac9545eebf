"""Edges: the ingresses of the servers that share a database, as each of them reports."""

from collections.abc import Mapping

from msgspec import Struct, field


class Edge(Struct, frozen=True, kw_only=True):
    """The last report of one ingress.

    `id` is that of its server, and `age_s` says how many seconds ago it reported, by the clock of
    the database. It follows all routes that were on record with the event `led`. `in_flight` are
    the requests that instances which it routes to no more have yet to answer, by their ids.
    """

    id: str
    age_s: float
    led: int
    in_flight: Mapping[str, int] = field(default_factory=dict)
