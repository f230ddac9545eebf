"""The answer to "what would a push of this image do, and why?"."""

import asyncio
from http import HTTPStatus

from starlette.responses import Response

from tagboat.core.errors import TagboatError
from tagboat.core.image import parse_image_ref
from tagboat.web.delivery_words import outcome_tone, would_be
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors
from tagboat.web.routing import PageRouter
from tagboat.web.visits import Visit

_ANSWER_WITHIN_S = 5.0
_LATE = FormErrors(
    {"image": "the registry of this image did not answer in time; try again"},
    status=HTTPStatus.SERVICE_UNAVAILABLE,
)

router = PageRouter()


@router.page("/explain")
async def explain_page(visit: Visit) -> Response:
    """Show what a push of the image asked for would do; nothing is done."""
    image = visit.query("image")
    explanation, errors = None, NO_ERRORS
    if image:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                explanation = await visit.operations.explain(parse_image_ref(image))
        except TimeoutError:
            errors = _LATE
        except TagboatError as error:
            # There is one field to blame, whatever the error says.
            found = form_errors(error, {})
            errors = FormErrors({"image": str(error)}, status=found.status)
    said = ""
    if explanation is not None:
        said = would_be(explanation.outcome, explanation.project, explanation.stage)
    return visit.show(
        "explain.html",
        {"image": image, "explanation": explanation, "said": said, "outcome_tone": outcome_tone},
        errors=errors,
    )
