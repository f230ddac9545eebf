"""The webhook's log: the calls, what came of each and why, and redelivery."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from tagboat.api import schemas
from tagboat.api.answers import Responses, problems
from tagboat.api.delivery_schemas import DeliveryDetailOut, DeliveryOut, ReceiptOut
from tagboat.api.pagination import Page
from tagboat.api.services import Ops
from tagboat.api.values import DeliveryId
from tagboat.api.views import delivery_fields

router = APIRouter(prefix="/api/deliveries", tags=["deliveries"])
_redelivered: Responses = {
    202: {"model": ReceiptOut, "description": "The outcome of this time."},
    **problems(404, 409, 422),
}


@router.get("", responses=problems(422))
async def list_deliveries(operations: Ops, page: Page) -> schemas.PageOut[DeliveryOut]:
    """List the calls of the webhook URLs, newest first."""
    found = await operations.deliveries.deliveries(page.after, page.with_next)
    shown, cursor = page.cut(found, lambda row: row.delivery.id)
    return schemas.PageOut(
        items=[DeliveryOut(**delivery_fields(row)) for row in shown], next=cursor
    )


@router.get("/{delivery_id}", responses=problems(404))
async def get_delivery(operations: Ops, delivery_id: DeliveryId) -> DeliveryDetailOut:
    """Return one call, with its headers and its body."""
    found = await operations.deliveries.delivery(delivery_id)
    return DeliveryDetailOut(
        **delivery_fields(found.row),
        headers=found.delivery.headers,
        body=found.delivery.body,
        truncated=found.delivery.truncated,
        result=found.result,
    )


@router.post(
    "/{delivery_id}/redeliver",
    status_code=HTTPStatus.ACCEPTED,
    response_class=Response,
    responses=_redelivered,
)
async def redeliver(operations: Ops, delivery_id: DeliveryId) -> Response:
    """Take the call in again, as if it came now. A call whose body was cut short cannot be: 409."""
    receipt = await operations.deploys.redeliver(delivery_id)
    # Receipts are JSON already, as senders get them.
    return Response(receipt, HTTPStatus.ACCEPTED, media_type="application/json")
