"""What a registry has, so that an image and a tag can be chosen instead of typed."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from tagboat.api.answers import ProblemError, problems
from tagboat.api.bodies import ResponseModel
from tagboat.api.services import Services
from tagboat.api.values import IMAGE_SCHEMA, RegistryId
from tagboat.core.catalog import Registry
from tagboat.core.decision import normal_tag
from tagboat.core.errors import InvalidImageRefError, RegistryError
from tagboat.core.image import ImageName, parse_image_name
from tagboat.core.ports import Reader

router = APIRouter(prefix="/api", tags=["registries"])


class ImageChoicesOut(ResponseModel):
    """What there is to choose from. `whole` is false if there is more. On an `error`, in words, nothing is listed."""

    items: list[str]
    whole: bool
    error: str | None


@router.get("/registries/{registry_id}/images", responses=problems(404))
async def list_images(services: Services, registry_id: RegistryId) -> ImageChoicesOut:
    """Ask a registry for the names of its images. Many public ones do not tell, and the error says so."""
    registry = await services.store.read(lambda reader: reader.registry(registry_id))
    try:
        found = await services.list_images(registry)
    except RegistryError as error:
        return _untold(error)
    return ImageChoicesOut(
        items=[str(image) for image in found.images], whole=found.whole, error=None
    )


@router.get("/images/tags", responses=problems(400, 422))
async def list_image_tags(
    services: Services,
    image: Annotated[
        str,
        Query(
            description="An image without tag, such as git.example.com/acme/app.",
            json_schema_extra=IMAGE_SCHEMA,
        ),
    ],
) -> ImageChoicesOut:
    """Ask its registry for the tags of an image, whether or not it is a project's. Nothing is recorded."""
    try:
        name = parse_image_name(image)
    except InvalidImageRefError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"image: {error}") from None
    registry = await services.store.read(lambda reader: _registry_of(reader, name))
    try:
        tags = await services.list_tags(name, registry)
    except RegistryError as error:
        return _untold(error)
    kind = registry.kind if registry else None
    return ImageChoicesOut(
        items=list(dict.fromkeys(normal_tag(tag, kind) for tag in tags)), whole=True, error=None
    )


def _registry_of(reader: Reader, image: ImageName) -> Registry | None:
    project = reader.project_by_image(image)
    return reader.registry_of(project) if project else reader.registry_for_host(image.host)


def _untold(error: RegistryError) -> ImageChoicesOut:
    return ImageChoicesOut(items=[], whole=False, error=str(error))
