"""The host of an image whose sender does not say where it lives: that of the one configured registry that can be meant."""

from collections.abc import Sequence

from tagboat.core.catalog import RegistryKind
from tagboat.core.errors import InvalidValueError
from tagboat.core.image import DOCKER_HUB, ImageRef
from tagboat.core.ports import Reader
from tagboat.webhook.formats.call import HostlessImage, repository_at, shown

_NAMED = 5  # of the hosts that can be meant, in an error


def with_host(reader: Reader, image: HostlessImage) -> ImageRef:
    """`image` with its host; raise InvalidValueError where no registry can be meant, or more than one.

    Of several registries that one is meant from which the image is deployed already. Gitea and Docker Hub never are, for they
    say who they are.
    """
    hosts = sorted({r.host for r in reader.registries() if r.kind is not RegistryKind.GITEA and r.host != DOCKER_HUB})
    deployed = [host for host in hosts if reader.project_by_image(repository_at(host, image.path))]
    host = _meant(hosts, deployed, image.path)
    return ImageRef(repository_at(host, image.path), image.tag, image.digest)


def _meant(hosts: Sequence[str], deployed: Sequence[str], path: str) -> str:
    if not hosts:
        raise InvalidValueError(
            f"the sender names no host for {shown(path)}, and no registry is configured that could be meant; "
            "add one of kind 'oci' with the URL that images are pulled from"
        )
    if len(hosts) > 1 and len(deployed) != 1:
        named = ", ".join(hosts[:_NAMED]) + (", …" if len(hosts) > _NAMED else "")
        raise InvalidValueError(
            f"the sender names no host for {shown(path)}, and several registries can be meant ({named}); "
            "make a project of the image on the right one first"
        )
    return hosts[0] if len(hosts) == 1 else deployed[0]
