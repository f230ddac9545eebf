"""Calls of the webhook URLs."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, delete, exists, select

from tagboat.core.delivery import (
    ALL_DELIVERIES,
    FIRST_REFUSAL,
    Delivery,
    DeliveryFilter,
    DeliveryOutcome,
    DeliverySummary,
    Named,
    PushResult,
    Receipt,
    SkippedEvent,
)
from tagboat.core.events import delivery_change
from tagboat.core.push import Outcome
from tagboat.store import tables
from tagboat.store.page_queries import MAY_NEED_YOU
from tagboat.store.part import ReadPart
from tagboat.store.session import DELIVERIES, PUSHES, SKIPS, WriteSession, missing
from tagboat.store.statements import newest_first

_RECEIPT = ("result", "reason", "needs_you")
_SUMMARY_COLUMNS = [
    tables.deliveries_table.c[name]
    for field in DeliverySummary.__struct_fields__
    for name in (_RECEIPT if field == "receipt" else (field,))
]
_NEEDING_YOU = (
    select(*_SUMMARY_COLUMNS).where(MAY_NEED_YOU).order_by(tables.deliveries_table.c.id.desc())
)


class DeliveryReads(ReadPart):
    """Implements `DeliveryReader`."""

    def delivery(self, delivery_id: str) -> Delivery:
        """Return the delivery of that id."""
        table = tables.deliveries_table
        rows = self._session.rows(select(table).where(table.c.id == delivery_id))
        found = list(self._with_receipts(list(rows)))
        return Delivery(**found[0]) if found else missing("delivery", delivery_id)

    def has_more_deliveries(self, than: int) -> bool:
        """Return True where more than so many deliveries are kept."""
        ids = tables.deliveries_table.c.id
        query = select(ids).order_by(ids.desc()).offset(than).limit(1)
        return self._session.scalar(query) is not None

    def deliveries(
        self, before: str = "", limit: int | None = None, only: DeliveryFilter = ALL_DELIVERIES
    ) -> list[DeliverySummary]:
        """Return deliveries without what was sent, newest first, older than the id `before`."""
        query, values = newest_first(tables.deliveries_table, {}, before, limit)
        if only.sender is not None:
            query = query.where(tables.deliveries_table.c.sender == only.sender)
        if only.outcome is not None:
            query = query.where(_came_to(only.outcome))
        rows = list(self._session.rows(query.with_only_columns(*_SUMMARY_COLUMNS), values))
        return [DeliverySummary(**row) for row in self._with_receipts(rows)]

    def senders_needing_you(self, looked_at: int) -> list[DeliverySummary]:
        """Return the calls that need a person and are the newest of their sender at their URL.

        Only the last `looked_at` calls count. The newest comes first.
        """
        rows = list(self._session.rows(_NEEDING_YOU, {"most": looked_at}))
        found = [DeliverySummary(**row) for row in self._with_receipts(rows)]
        return [call for call in found if call.receipt.needs_you]

    def _with_receipts(self, rows: Collection[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the rows of deliveries with their receipts, however many, read by two queries."""
        ids = [row["id"] for row in rows]
        pushes = self._by_delivery(tables.delivery_pushes_table, ids)
        skips = self._by_delivery(tables.delivery_skips_table, ids)
        for row in rows:
            key = row["id"]
            result, reason, needs_you = (row.pop(name) for name in _RECEIPT)
            receipt = Receipt(
                key,
                tuple(map(_push_of, pushes[key])),
                reason,
                tuple(SkippedEvent(row["image"], row["reason"]) for row in skips[key]),
                needs_you,
            )
            if result and receipt == Receipt(key, ()):
                # A server of before has written it, and may still be at work on the same database.
                receipt = _older_receipt(result, receipt)
            yield row | {"receipt": receipt}

    def _by_delivery(
        self, table: Table, ids: Collection[str]
    ) -> Mapping[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        if ids:
            query = select(table).where(table.c.delivery_id.in_(ids)).order_by(table.c.position)
            for row in self._session.rows(query):
                found[row["delivery_id"]].append(row)
        return found


class DeliveryWrites(DeliveryReads):
    """Implements `DeliveryWriter`."""

    _session: WriteSession

    def add_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        key, receipt = delivery.id, delivery.receipt
        # As tuples: a receipt does not have the shape of its rows, and this is the webhook path.
        row = {
            **{name: getattr(delivery, name) for name in _OWN},
            "result": "",
            "reason": receipt.reason,
            "needs_you": receipt.needs_you,
        }
        self._session.gather(DELIVERIES, key, tuple(row[name] for name in _DELIVERY_COLUMNS))
        for place, push in enumerate(receipt.pushes):
            self._session.gather(PUSHES, (key, place), _row_of_push(key, place, push))
        for place, skipped in enumerate(receipt.skipped):
            self._session.gather(SKIPS, (key, place), (key, place, skipped.image, skipped.reason))
        self._session.record(delivery_change(delivery))

    def prune_deliveries(self, before: datetime, keep: int, at_most: int) -> int:
        """Delete up to `at_most` deliveries received before `before` or beyond the newest `keep`.

        Return how many went.
        """
        table = tables.deliveries_table
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


_DELIVERY_COLUMNS = [column.name for column in tables.deliveries_table.c]
_OWN = [name for name in _DELIVERY_COLUMNS if name not in _RECEIPT]


def _came_to(outcome: DeliveryOutcome) -> ColumnElement[bool]:
    calls, pushes = tables.deliveries_table.c, tables.delivery_pushes_table.c
    own = exists().where(pushes.delivery_id == calls.id)
    match outcome:
        case DeliveryOutcome.FAILED:
            return calls.status >= FIRST_REFUSAL
        case DeliveryOutcome.NOTHING:
            return (calls.status < FIRST_REFUSAL) & ~own
        case _:
            return own.where(pushes.outcome == Outcome(outcome))


def _row_of_push(key: str, place: int, push: PushResult) -> tuple[object, ...]:
    project, stage = push.project, push.stage
    return (
        key,
        place,
        push.image,
        push.tag,
        push.digest,
        project and project.id,
        project and project.name,
        stage and stage.id,
        stage and stage.name,
        push.project_created,
        push.outcome,
        push.reason,
        push.deploy,
    )


def _push_of(row: Mapping[str, Any]) -> PushResult:
    project_id, stage_id = row["project_id"], row["stage_id"]
    return PushResult(
        image=row["image"],
        tag=row["tag"],
        digest=row["digest"],
        project=Named(project_id, row["project_name"]) if project_id else None,
        stage=Named(stage_id, row["stage_name"]) if stage_id else None,
        project_created=row["project_created"],
        outcome=row["outcome"],
        reason=row["reason"],
        deploy=row["deploy_id"],
    )


def _older_receipt(result: str, otherwise: Receipt) -> Receipt:
    try:
        found = msgspec.json.decode(result)
        reason = found.get("reason") or found.get("detail")
        return msgspec.convert(
            {"delivery": otherwise.delivery, "pushes": [], **found, "reason": reason}, Receipt
        )
    except (msgspec.MsgspecError, AttributeError):
        return otherwise
