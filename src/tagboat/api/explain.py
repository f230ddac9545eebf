"""The reason why a push is, or is not, deployed."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api import schemas
from tagboat.api.answers import ProblemError, problems
from tagboat.api.services import Ops
from tagboat.api.values import REF_SCHEMA
from tagboat.api.views import name_of
from tagboat.core.errors import InvalidImageRefError
from tagboat.core.image import parse_image_ref

router = APIRouter(prefix="/api/explain", tags=["explain"])


@router.get("", responses=problems(400, 422))
async def explain_push(
    operations: Ops,
    image: Annotated[
        str,
        Query(
            description="An image reference, such as git.example.com/acme/app:v1.",
            json_schema_extra=REF_SCHEMA,
        ),
    ],
) -> schemas.ExplanationOut:
    """Show what a push of the image would do, and why. Changes nothing."""
    try:
        ref = parse_image_ref(image)
    except InvalidImageRefError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"image: {error}") from None
    explanation = await operations.explain(ref)
    return schemas.ExplanationOut(
        image=explanation.image,
        tag=explanation.tag,
        project=name_of(explanation.project) if explanation.project else None,
        stage=name_of(explanation.stage) if explanation.stage else None,
        outcome=explanation.outcome,
        reason=explanation.reason,
        considered=[
            schemas.ConsideredOut(stage=tried.stage, pattern=tried.pattern, matches=tried.matches)
            for tried in explanation.considered
        ],
    )
