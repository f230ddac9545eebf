"""The reports of the ingresses of all servers on one database."""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import delete, select

from tagboat.core.edge import Edge
from tagboat.store.part import ReadPart
from tagboat.store.session import WriteSession
from tagboat.store.upkeep_tables import edges_table

_FORGOTTEN_AFTER = timedelta(days=1)


class EdgeReads(ReadPart):
    """Implements `EdgeReader`."""

    def edges(self) -> list[Edge]:
        """Return the last report of each ingress, by id."""
        now = self._session.now()
        return [
            Edge(
                id=row["id"],
                age_s=(now - row["seen_at"]).total_seconds(),
                led=row["led"],
                in_flight=row["in_flight"],
            )
            for row in self._session.rows(select(edges_table).order_by(edges_table.c.id))
        ]


class EdgeWrites(EdgeReads):
    """Implements `EdgeWriter`."""

    _session: WriteSession

    def put_edge(self, edge_id: str, led: int, in_flight: Mapping[str, int]) -> None:
        """Record the report of an ingress, of now; forget those that are a day old."""
        now = self._session.now()
        row = {"id": edge_id, "seen_at": now, "led": led, "in_flight": dict(in_flight)}
        self._session.upsert(edges_table, row)
        old = edges_table.c.seen_at < now - _FORGOTTEN_AFTER
        self._session.execute(delete(edges_table).where(old))
