"""Why a push is, or is not, deployed."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api import schemas
from tagboat.api.answers import ProblemError, problems
from tagboat.api.services import Services
from tagboat.api.values import REF_SCHEMA
from tagboat.core.errors import InvalidImageRefError
from tagboat.core.image import parse_image_ref
from tagboat.intake.explain import Explanation
from tagboat.intake.receipt import Named

router = APIRouter(prefix="/api/explain", tags=["explain"])


@router.get("", responses=problems(400, 422))
async def explain_push(
    services: Services,
    image: Annotated[
        str,
        Query(
            description="An image reference, such as git.example.com/acme/app:v1.",
            json_schema_extra=REF_SCHEMA,
        ),
    ],
) -> schemas.ExplanationOut:
    """What a push of the image would do, and why. Changes nothing."""
    try:
        ref = parse_image_ref(image)
    except InvalidImageRefError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"image: {error}") from None
    return _view(await services.explain(ref))


def _view(explanation: Explanation) -> schemas.ExplanationOut:
    return schemas.ExplanationOut(
        image=explanation.image,
        tag=explanation.tag,
        project=_named(explanation.project),
        stage=_named(explanation.stage),
        outcome=explanation.outcome,
        reason=explanation.reason,
        considered=[
            schemas.ConsideredOut(stage=tried.stage, pattern=tried.pattern, matches=tried.matches)
            for tried in explanation.considered
        ],
    )


def _named(named: Named | None) -> schemas.RefOut | None:
    return schemas.RefOut(id=named.id, name=named.name) if named else None
