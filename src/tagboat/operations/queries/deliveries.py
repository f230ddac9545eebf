"""The log of webhook calls, with what came of each."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from tagboat.core.delivery import Delivery, DeliverySummary
from tagboat.core.errors import NotFoundError
from tagboat.core.ports import Reader
from tagboat.intake.receipt import PushResult, SkippedEvent
from tagboat.operations.services import OperationServices

SENDERS_LOOKED_AT = 50
"""Of so many of the newest calls the senders are looked at."""
_FIRST_ERROR = 400

ReceiptEntry = TypeVar("ReceiptEntry", PushResult, SkippedEvent)


@dataclass(frozen=True, slots=True)
class DeliveryRow:
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


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    """A call with all that is kept of it; `result` is the answer, decoded."""

    row: DeliveryRow
    delivery: Delivery
    result: object


@dataclass(frozen=True, slots=True)
class DeliveryQueries:
    """Reads of the log of webhook calls."""

    services: OperationServices

    async def deliveries(self, before: str, limit: int) -> list[DeliveryRow]:
        """Return calls, newest first, from the first older than the id `before`."""

        def work(reader: Reader) -> list[DeliveryRow]:
            names = {hook.id: hook.name for hook in reader.hooks()}
            return [read_row(one, names) for one in reader.deliveries(before, limit)]

        return await self.services.store.read(work)

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """Return one call with its headers and its body. Raises NotFoundError."""

        def work(reader: Reader) -> DeliveryDetail:
            delivery = reader.delivery(delivery_id)
            names = {}
            if delivery.hook_id:
                try:
                    names = {delivery.hook_id: reader.hook(delivery.hook_id).name}
                except NotFoundError:
                    names = {}
            row = read_row(delivery, names)
            return DeliveryDetail(row, delivery, _decode_answer(delivery.result))

        return await self.services.store.read(work)


def senders_needing_you(reader: Reader) -> list[DeliveryRow]:
    """Return of each sender at each URL the newest call, where a person has to do something."""
    newest: dict[tuple[str, str | None], DeliverySummary] = {}
    for delivery in reader.deliveries(limit=SENDERS_LOOKED_AT):
        newest.setdefault((delivery.sender, delivery.hook_id), delivery)
    names = {hook.id: hook.name for hook in reader.hooks()}
    rows = [read_row(delivery, names) for delivery in newest.values()]
    return [row for row in rows if row.needs_you]


def read_row(delivery: DeliverySummary, webhooks: Mapping[str, str]) -> DeliveryRow:
    """Return a call with what its answer says; `webhooks` are names by id."""
    result = _decode_answer(delivery.result)
    answer: Mapping[str, object] = result if isinstance(result, dict) else {}
    pushes = _entries_of(answer, "pushes", PushResult)
    skipped = _entries_of(answer, "skipped", SkippedEvent)
    return DeliveryRow(
        delivery,
        webhooks.get(delivery.hook_id or ""),
        _outcome(delivery.status, pushes),
        _explain_pushes(answer, pushes),
        pushes,
        skipped,
        needs_you=answer.get("needs_you") is True,
    )


def _decode_answer(result: str) -> object:
    try:
        return json.loads(result)
    except ValueError:
        return None


def _entries_of(
    answer: Mapping[str, object], key: str, kind: type[ReceiptEntry]
) -> list[ReceiptEntry]:
    # An answer without such entries, or of another shape (older releases), has none.
    try:
        return msgspec.convert(answer.get(key, []), list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError:
        return []


def _outcome(status: int, pushes: Sequence[PushResult]) -> str:
    if status >= _FIRST_ERROR:
        return "failed"
    if not pushes:
        return "nothing to push"
    counts = Counter(push.outcome.value for push in pushes)
    if len(pushes) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def _explain_pushes(answer: Mapping[str, object], pushes: Sequence[PushResult]) -> str:
    """Return the first push's rule, how many others there are, and how much was skipped."""
    if not pushes:
        return str(answer.get("reason") or answer.get("detail") or "")
    first = pushes[0]
    where = f" in {first.project.name} {first.stage.name}" if first.project and first.stage else ""
    more = f" (and {len(pushes) - 1} more)" if len(pushes) > 1 else ""
    skipped = answer.get("skipped")
    rest = f"; {len(skipped)} skipped" if isinstance(skipped, list) and skipped else ""
    rest += f"; {answer['reason']}" if answer.get("reason") else ""
    return f"{first.image}:{first.tag} is {first.outcome}{where}: {first.reason}{more}{rest}"
