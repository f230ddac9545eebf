"""The webhook's log: what was called, what came of it and why, and once more."""

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import APIRouter, Response

from tagboat.api import schemas
from tagboat.api.answers import Responses, problems
from tagboat.api.delivery_schemas import (
    DeliveryDetailOut,
    DeliveryOut,
    HookRefOut,
    PushResultOut,
    ReceiptOut,
    SkippedOut,
)
from tagboat.api.pagination import Page
from tagboat.api.services import Services
from tagboat.api.values import DeliveryId
from tagboat.core import delivery as kept
from tagboat.core.errors import NotFoundError
from tagboat.core.ports import Reader

router = APIRouter(prefix="/api/deliveries", tags=["deliveries"])
_redelivered: Responses = {
    202: {"model": ReceiptOut, "description": "What came of it this time."},
    **problems(404, 409, 422),
}


@router.get("", responses=problems(422))
async def list_deliveries(services: Services, page: Page) -> schemas.PageOut[DeliveryOut]:
    """The calls of the webhook URLs, newest first."""

    def read(reader: Reader) -> schemas.PageOut[DeliveryOut]:
        shown, cursor = page.cut(
            reader.deliveries(page.after, page.with_next), lambda delivery: delivery.id
        )
        hooks = {hook.id: hook.name for hook in reader.hooks()}
        return schemas.PageOut(
            items=[DeliveryOut(**_fields(delivery, hooks)) for delivery in shown], next=cursor
        )

    return await services.store.read(read)


@router.get("/{delivery_id}", responses=problems(404))
async def get_delivery(services: Services, delivery_id: DeliveryId) -> DeliveryDetailOut:
    """One call, with its headers and its body."""

    def read(reader: Reader) -> DeliveryDetailOut:
        delivery = reader.delivery(delivery_id)
        return DeliveryDetailOut(
            **_fields(delivery, _hook_of(reader, delivery)),
            headers=delivery.headers,
            body=delivery.body,
            truncated=delivery.truncated,
            result=_result(delivery),
        )

    return await services.store.read(read)


@router.post(
    "/{delivery_id}/redeliver",
    status_code=HTTPStatus.ACCEPTED,
    response_class=Response,
    responses=_redelivered,
)
async def redeliver(services: Services, delivery_id: DeliveryId) -> Response:
    """Take the call in once more, as if it came now. A call whose body was cut short cannot be: 409."""
    return Response(
        await services.redeliver(delivery_id), HTTPStatus.ACCEPTED, media_type="application/json"
    )


def _hook_of(reader: Reader, delivery: kept.DeliverySummary) -> dict[str, str]:
    try:
        return {delivery.hook_id: reader.hook(delivery.hook_id).name} if delivery.hook_id else {}
    except NotFoundError:
        return {}


def _fields(delivery: kept.DeliverySummary, hooks: Mapping[str, str]) -> dict[str, Any]:
    receipt = delivery.receipt
    pushes = [PushResultOut.model_validate(push, from_attributes=True) for push in receipt.pushes]
    skipped = [SkippedOut(image=one.image, reason=one.reason) for one in receipt.skipped]
    return {
        "id": delivery.id,
        "sender": delivery.sender,
        "status": delivery.status,
        "received_at": delivery.received_at,
        "took_ms": delivery.took_ms,
        "hook": HookRefOut(id=delivery.hook_id, name=hooks.get(delivery.hook_id))
        if delivery.hook_id
        else None,
        "outcome": _outcome(delivery.status, pushes),
        "reason": _reason(receipt, pushes),
        "pushes": pushes,
        "skipped": skipped,
        "needs_you": receipt.needs_you,
    }


def _result(delivery: kept.Delivery) -> dict[str, Any]:
    """Return the answer that was given, as JSON: a receipt, or the reason where there was none."""
    answer: dict[str, Any] = msgspec.to_builtins(delivery.receipt)
    if delivery.status != HTTPStatus.ACCEPTED:
        return {name: answer[name] for name in ("reason", "needs_you") if name in answer}
    return answer


def _outcome(status: int, pushes: list[PushResultOut]) -> str:
    if status >= HTTPStatus.BAD_REQUEST:
        return "failed"
    if not pushes:
        return "nothing to push"
    counts = Counter(push.outcome.value for push in pushes)
    return (
        next(iter(counts))
        if len(pushes) == 1
        else ", ".join(f"{count} {word}" for word, count in counts.items())
    )


def _reason(receipt: kept.Receipt, pushes: list[PushResultOut]) -> str:
    """One sentence: the first push's rule, how many others there are, what was skipped; or why there is none."""
    if not pushes:
        return receipt.reason or ""
    first = pushes[0]
    where = f" in {first.project.name} {first.stage.name}" if first.project and first.stage else ""
    more = f" (and {len(pushes) - 1} more)" if len(pushes) > 1 else ""
    besides = f"; {len(receipt.skipped)} skipped" if receipt.skipped else ""
    besides += f"; {receipt.reason}" if receipt.reason else ""
    return f"{first.image}:{first.tag} is {first.outcome}{where}: {first.reason}{more}{besides}"
