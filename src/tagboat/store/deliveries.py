"""Calls of the webhook URLs."""

from dataclasses import fields
from datetime import datetime

from sqlalchemy import delete, select

from tagboat.core.delivery import Delivery, DeliverySummary
from tagboat.core.events import delivery_change
from tagboat.store import tables
from tagboat.store.part import ReadPart, newest_first
from tagboat.store.session import DELIVERIES, WriteSession

_SUMMARY = [tables.deliveries.c[field.name] for field in fields(DeliverySummary)]


class DeliveryReads(ReadPart):
    """Implements `DeliveryReader`."""

    def delivery(self, delivery_id: str) -> Delivery:
        """Return the delivery of that id."""
        return self._session.one(Delivery, tables.deliveries, delivery_id, "delivery")

    def has_more_deliveries(self, than: int) -> bool:
        """Return True where more than so many deliveries are kept."""
        ids = tables.deliveries.c.id
        query = select(ids).order_by(ids.desc()).offset(than).limit(1)
        return self._session.scalar(query) is not None

    def deliveries(self, before: str = "", limit: int | None = None) -> list[DeliverySummary]:
        """Return deliveries without what was sent, newest first, from the first older than `before`."""
        query = newest_first(tables.deliveries, None, None, before, limit)
        return self._session.all(DeliverySummary, query.with_only_columns(*_SUMMARY))


class DeliveryWrites(DeliveryReads):
    """Implements `DeliveryWriter`."""

    _session: WriteSession

    def add_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        self._session.gather(DELIVERIES, delivery.id, delivery)
        self._session.record(delivery_change(delivery))

    def prune_deliveries(self, before: datetime, keep: int, at_most: int) -> int:
        """Delete up to `at_most` deliveries received before `before` or beyond the newest `keep`.

        Return how many went.
        """
        table = tables.deliveries
        oldest_kept = (
            select(table.c.id)
            .order_by(table.c.id.desc())
            .offset(keep - 1)
            .limit(1)
            .scalar_subquery()
        )
        old = select(table.c.id).where((table.c.received_at < before) | (table.c.id < oldest_kept))
        # The oldest have the lowest ids, so that looking for some does not mean looking at all.
        some = old.order_by(table.c.id).limit(at_most)
        return self._session.execute(delete(table).where(table.c.id.in_(some))).rowcount
