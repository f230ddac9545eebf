"""`tagboat images` and `tags`: contents of registries to choose from."""

from typing import Annotated

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import ApiObject
from tagboat.cli.names import find_registry
from tagboat.cli.options import ImageArg, JsonOption, connect
from tagboat.core.errors import TagboatError
from tagboat.core.image import parse_image_name


def images_command(
    registry: Annotated[
        str,
        typer.Argument(
            metavar="REGISTRY",
            help="The registry's name.",
            autocompletion=complete.registry_names,
        ),
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """List the images in a registry.

    Many public registries do not list theirs.
    """
    client = connect()
    path = f"/api/registries/{find_registry(client, registry)['id']}/images"
    _show_choice(client.get_long(path), as_json=as_json)


def tags_command(image: ImageArg, *, as_json: JsonOption = False) -> None:
    """List the tags that an image has in its registry.

    Any image works, also one that no project deploys.
    """
    answer = connect().get_long("/api/images/tags", image=image)
    # A typing error is easily taken for an image of Docker Hub.
    if answer["error"] and (read := str(parse_image_name(image))) != image:
        raise TagboatError(f"{answer['error']} ({image} was read as {read})")
    _show_choice(answer, as_json=as_json)


def _show_choice(answer: ApiObject, *, as_json: bool) -> None:
    if answer["error"]:
        raise TagboatError(answer["error"])
    if as_json:
        show.as_json(answer)
        return
    if answer["items"]:
        show.line("\n".join(answer["items"]))
    else:
        show.progress("the registry lists no images")
    # On stderr, so that a pipe gets names only.
    if not answer["whole"]:
        show.progress("the registry has more; these are the first that it listed")
