"""The log of webhook calls: what senders sent, and what came of it."""

import json

from starlette.responses import Response

from tagboat.core.delivery import DeliveryFilter, DeliveryOutcome
from tagboat.core.errors import InvalidValueError, TagboatError
from tagboat.core.events import EventTopic
from tagboat.core.principal import Role
from tagboat.web.delivery_words import (
    call_sentence,
    call_tone,
    known_senders,
    outcome_tone,
    pretty_body,
)
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.paging import PAGE_LENGTH, cut_listing
from tagboat.web.places import delivery_path
from tagboat.web.routing import PageRouter
from tagboat.web.visits import LiveFilter, Visit

_DELIVERY = "/deliveries/{delivery_id}"

router = PageRouter()


@router.page("/deliveries")
async def deliveries_page(visit: Visit) -> Response:
    """Show the calls of all senders or of one, with one outcome or any."""
    last_event = await visit.last_event()
    sender, outcome = visit.query("sender"), visit.query("outcome")
    if outcome and outcome not in set(DeliveryOutcome):
        known = ", ".join(DeliveryOutcome)
        raise InvalidValueError(f"there is no outcome {outcome!r}; known are {known}")
    found = await visit.operations.deliveries.deliveries(
        visit.query("after"),
        PAGE_LENGTH + 1,
        DeliveryFilter(sender or None, DeliveryOutcome(outcome) if outcome else None),
    )
    heard = await visit.operations.connect.heard()
    return visit.show(
        "deliveries.html",
        {
            "listing": cut_listing(visit, found, lambda row: row.delivery.id),
            "sender": sender,
            "senders": known_senders([one.sender for one in heard.senders], sender),
            "outcome": outcome,
            "outcomes": tuple(DeliveryOutcome),
            "silent": [one.silent for one in heard.registries if one.silence],
            "tone": call_tone,
        },
        live=LiveFilter(last_event, (EventTopic.DELIVERY,)),
    )


@router.page(_DELIVERY)
async def delivery_page(visit: Visit) -> Response:
    """Show one call with its headers, its body, and the outcome of each push."""
    return await _show_delivery(visit, NO_ERRORS)


@router.order(f"{_DELIVERY}/redeliver", needs=Role.ADMIN)
async def redeliver_order(visit: Visit) -> Response:
    """Take the call in again, as if it came now, and show the call that this makes."""
    delivery_id = visit.path("delivery_id")
    try:
        receipt = json.loads(await visit.operations.deploys.redeliver(delivery_id))
    except TagboatError as error:
        return await _show_delivery(visit, form_errors(error, {}))
    # The answer to a handshake names no call.
    made = receipt.get("delivery", delivery_id)
    return visit.go(delivery_path(made), "Delivered again. This is what came of it.")


async def _show_delivery(visit: Visit, errors: FormErrors) -> Response:
    found = await visit.operations.deliveries.delivery(visit.path("delivery_id"))
    return visit.show(
        "delivery.html",
        {
            "row": found.row,
            "call": found.delivery,
            "body": pretty_body(found.delivery.body),
            "sentence": call_sentence(found.row),
            "tone": call_tone(found.row),
            "outcome_tone": outcome_tone,
            # A body that was cut short would be another call.
            "can_redeliver": bool(found.delivery.body) and not found.delivery.truncated,
        },
        errors=errors,
    )
