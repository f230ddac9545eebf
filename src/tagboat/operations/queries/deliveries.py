"""The log of webhook calls, with what came of each."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from tagboat.core.delivery import (
    ALL_DELIVERIES,
    FIRST_REFUSAL,
    Delivery,
    DeliveryFilter,
    DeliveryOutcome,
    DeliverySummary,
    PushResult,
    Receipt,
    SkippedEvent,
)
from tagboat.core.errors import NotFoundError
from tagboat.core.ports import Reader
from tagboat.operations.services import OperationServices

SENDERS_LOOKED_AT = 50
"""Of so many of the newest calls the senders are looked at."""


class DeliveryRow(msgspec.Struct, frozen=True):
    """A call of a webhook URL. `outcome` is a word or two, `reason` the sentence that explains it.

    `webhook_name` is None for the global URL, and for a URL that was revoked. `needs_you` is True
    where the reason says what a person has to do about the sender.
    """

    delivery: DeliverySummary
    webhook_name: str | None
    outcome: str
    reason: str
    pushes: Sequence[PushResult]
    skipped: Sequence[SkippedEvent]
    needs_you: bool


class DeliveryDetail(msgspec.Struct, frozen=True):
    """A call with all that is kept of it; `result` is the answer, decoded."""

    row: DeliveryRow
    delivery: Delivery
    result: object


class DeliveryQueries(msgspec.Struct, frozen=True):
    """Reads of the log of webhook calls."""

    services: OperationServices

    async def deliveries(
        self, before: str, limit: int, only: DeliveryFilter = ALL_DELIVERIES
    ) -> list[DeliveryRow]:
        """Return calls, newest first, from the first older than the id `before`."""

        def work(reader: Reader) -> list[DeliveryRow]:
            names = {hook.id: hook.name for hook in reader.hooks()}
            return [read_row(one, names) for one in reader.deliveries(before, limit, only)]

        return await self.services.store.read(work)

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """Return one call with its headers and its body. Raises NotFoundError."""

        def work(reader: Reader) -> DeliveryDetail:
            delivery = reader.delivery(delivery_id)
            names = {}
            if delivery.hook_id:
                # It may have been revoked since.
                with contextlib.suppress(NotFoundError):
                    names = {delivery.hook_id: reader.hook(delivery.hook_id).name}
            row = read_row(delivery, names)
            result: dict[str, Any] = msgspec.to_builtins(delivery.receipt)
            if delivery.status != HTTPStatus.ACCEPTED:
                # No receipt was sent then, only a problem with its reason.
                result = {key: result[key] for key in ("reason", "needs_you") if key in result}
            return DeliveryDetail(row, delivery, result)

        return await self.services.store.read(work)


def senders_needing_you(reader: Reader) -> list[DeliveryRow]:
    """Return of each sender at each URL the newest call, where a person has to do something."""
    # One that has delivered well since was mended: only its newest call counts.
    calls = reader.senders_needing_you(SENDERS_LOOKED_AT)
    # On most days there are none, and no names to look up.
    names = {hook.id: hook.name for hook in reader.hooks()} if calls else {}
    return [read_row(delivery, names) for delivery in calls]


def read_row(delivery: DeliverySummary, webhooks: Mapping[str, str]) -> DeliveryRow:
    """Return a call with what its answer says; `webhooks` are names by id."""
    receipt = delivery.receipt
    return DeliveryRow(
        delivery,
        webhooks.get(delivery.hook_id or ""),
        _outcome(delivery.status, receipt.pushes),
        _why(receipt),
        receipt.pushes,
        receipt.skipped,
        needs_you=receipt.needs_you,
    )


def _outcome(status: int, pushes: Sequence[PushResult]) -> str:
    if status >= FIRST_REFUSAL:
        return DeliveryOutcome.FAILED.value
    if not pushes:
        return DeliveryOutcome.NOTHING.value
    counts = Counter(push.outcome.value for push in pushes)
    if len(pushes) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def _why(receipt: Receipt) -> str:
    """Return the first push's rule, how many others there are, and how much was skipped."""
    if not receipt.pushes:
        return receipt.reason or ""
    first, *others = receipt.pushes
    where = f" in {first.project.name} {first.stage.name}" if first.project and first.stage else ""
    more = f" (and {len(others)} more)" if others else ""
    rest = f"; {len(receipt.skipped)} skipped" if receipt.skipped else ""
    rest += f"; {receipt.reason}" if receipt.reason else ""
    return f"{first.image}:{first.tag} is {first.outcome}{where}: {first.reason}{more}{rest}"
