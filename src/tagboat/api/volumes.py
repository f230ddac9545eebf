"""The volumes of a deleted project or stage: deleted too, or kept."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import Query, Response

from tagboat.api.answers import Responses
from tagboat.api.bodies import ResponseModel
from tagboat.core.keeping import LeftVolumes

VolumesChoice = Annotated[
    Literal["keep", "delete"],
    Query(description="`delete`: its volumes are deleted too, with all that is in them."),
]


class VolumesLeftOut(ResponseModel):
    """The volumes of what was deleted, by the engine's names; `NAME (on NODE)` on a swarm."""

    volumes_kept: list[str]
    volumes_removed: list[str]


VOLUMES_LEFT: Responses = {
    200: {"model": VolumesLeftOut, "description": "It is deleted; these were its volumes."},
    204: {"description": "It is deleted, and has no volumes."},
}


def volumes_left(left: LeftVolumes) -> Response:
    """Return the answer: the volumes, or 204 where there were none."""
    # Nothing to tell: most clients expect the 204 of a deletion.
    if not left.kept and not left.removed:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    view = VolumesLeftOut(volumes_kept=list(left.kept), volumes_removed=list(left.removed))
    return Response(view.model_dump_json(), media_type="application/json")
