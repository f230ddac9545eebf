"""The registry of an image, found among registries that were read already."""

from collections.abc import Sequence

from tagboat.core.catalog import Project, Registry
from tagboat.core.image import ImageName

_TLS_PORT = ":443"


def registry_among(
    registries: Sequence[Registry], project: Project, image: ImageName | None = None
) -> Registry | None:
    """Return what `Reader.registry_of` finds for the project, None where nobody configured it.

    With an `image` of another host, that the project had before, it is the registry of that host.
    """
    if image is None or image.host == project.image.host:
        if project.registry_id is not None:
            return next((one for one in registries if one.id == project.registry_id), None)
        return _for_host(registries, project.image.host)
    return _for_host(registries, image.host)


def _for_host(registries: Sequence[Registry], host: str) -> Registry | None:
    by_host = {registry.host: registry for registry in registries}
    if host in by_host or not host.endswith(_TLS_PORT):
        return by_host.get(host)
    # The port of TLS need not be written, but only where the registry is asked by TLS.
    named = by_host.get(host.removesuffix(_TLS_PORT))
    return named if named is not None and named.url.startswith("https://") else None
