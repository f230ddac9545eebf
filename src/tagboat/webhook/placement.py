"""The hosts of the images of a call, and the check against the project of its URL.

Formats know the call only; this needs the configured registries and projects. An image without a
host is on the one configured registry that can be meant.
"""

from collections.abc import Sequence

from tagboat.core.catalog import RegistryKind
from tagboat.core.errors import InvalidImageRefError, InvalidValueError
from tagboat.core.excerpt import some_of
from tagboat.core.image import DOCKER_HUB, ImageName, ImageRef
from tagboat.core.ports import Reader
from tagboat.core.project_webhook import ProjectWebhook
from tagboat.core.values import replace
from tagboat.webhook.formats import gitea, native
from tagboat.webhook.formats.call import (
    ParsedNotification,
    SkippedImage,
    UnqualifiedImage,
    repository_at,
    shown,
)
from tagboat.webhook.formats.image_rules import on_host, printable

# Images of one call whose hosts are looked up.
MOST_HOSTS_SOUGHT = 100


class UnclearHostError(InvalidValueError):
    """No registry can be meant, or several can: a person has to say which."""


def host_of_registry(reader: Reader, name: str) -> str:
    """Return the host of the registry `name`; raise UnclearHostError that lists those there are."""
    registries = reader.registries()
    for registry in registries:
        if registry.name == name:
            return registry.host
    there = some_of([registry.name for registry in registries]) or "none yet"
    raise UnclearHostError(
        f"the URL says registry={shown(name)}, and there is no such registry; there are: {there}"
    )


def place_images(
    reader: Reader, found: ParsedNotification, hook: ProjectWebhook | None, sender: str
) -> ParsedNotification:
    """Return `found` with a host for each image, without images of other projects than `hook`'s.

    Raises UnclearHostError if a host cannot be determined, and InvalidValueError if the native
    payload names another project's image.
    """
    wanted = reader.project(hook.project_id).image if hook else None
    placed, skipped = _with_hosts(reader, found, wanted)
    images = [image for image in placed if wanted in (None, image.name)]
    others = [image.name for image in placed if wanted and image.name != wanted]
    for name in others:
        skip = _not_wanted(str(name), wanted)
        if sender == native.NAME:
            raise InvalidValueError(skip.reason)
        if wanted and sender == gitea.NAME and name.path == wanted.path:
            correction = _set_root_url(name.host, f"https://{wanted.host}/")
            skip = replace(skip, reason=f"{skip.reason}. {correction}", needs_you=True)
        skipped.append(skip)
    complete = replace(found, images=tuple(images), unqualified=(), skipped=tuple(skipped))
    hint = _root_url_hint(reader, images) if sender == gitea.NAME and not wanted else None
    needing = [one.reason for one in skipped if one.needs_you]
    if hint or needing:
        return replace(complete, reason=hint or needing[0], needs_you=True)
    if complete.images or complete.reason:
        return complete
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return replace(complete, reason=f"{skipped[0].reason}{more}")


def _with_hosts(
    reader: Reader, found: ParsedNotification, wanted: ImageName | None
) -> tuple[list[ImageRef], list[SkippedImage]]:
    """Return the images, each with a host, and what is skipped; see `place_images`."""
    placed, skipped = list(found.images), list(found.skipped)
    unclear: UnclearHostError | None = None
    for place, image in enumerate(found.unqualified):
        path = printable(image.path)
        try:
            if wanted and image.path != wanted.path:
                skipped.append(_not_wanted(path, wanted))
            elif wanted:
                placed.append(on_host(image, wanted.host))
            elif place < MOST_HOSTS_SOUGHT:
                placed.append(on_host(image, _meant_host(reader, image)))
            else:
                reason = f"it is after the first {MOST_HOSTS_SOUGHT} of a call that names no hosts"
                skipped.append(SkippedImage(path, reason))
        except InvalidImageRefError as error:
            skipped.append(SkippedImage(path, str(error)))
        except UnclearHostError as error:
            unclear = unclear or error
            skipped.append(SkippedImage(path, str(error), needs_you=True))
    if unclear and not placed:
        raise unclear
    return placed, skipped


def _not_wanted(name: str, wanted: ImageName | None) -> SkippedImage:
    return SkippedImage(name, f"this webhook accepts {wanted} only, but the call names {name}")


def _root_url_hint(reader: Reader, images: Sequence[ImageRef]) -> str | None:
    """Return what to change if Gitea's own name is not that of the registry; else None."""
    registries = reader.registries()
    known = [registry for registry in registries if registry.kind is RegistryKind.GITEA]
    for name in {image.name for image in images}:
        if not known or any(registry.host == name.host for registry in registries):
            continue
        same = [
            registry
            for registry in known
            if reader.project_by_image(ImageName(registry.host, name.path))
        ]
        # A second Gitea without a registry entry is legitimate: then the image has a project, or
        # will get one, under that name.
        if same or reader.project_by_image(name) is None:
            registry = (same or known)[0]
            return (
                f"the call is from a Gitea that calls itself {name.host}, but the registry "
                f"{registry.name} is {registry.host}. "
                f"{_set_root_url(name.host, f'{registry.url}/')}"
            )
    return None


def _set_root_url(host: str, url: str) -> str:
    return (
        f"If they are the same Gitea, set ROOT_URL in its app.ini to {url}; it is {host} there now"
    )


def _meant_host(reader: Reader, image: UnqualifiedImage) -> str:
    """Return the host of `image`; raise UnclearHostError if it cannot be determined.

    Of several registries, the one from which the image is already deployed is meant.
    """
    # Gitea and Docker Hub never leave out their host.
    meant = [
        r for r in reader.registries() if r.kind is not RegistryKind.GITEA and r.host != DOCKER_HUB
    ]
    if not meant:
        raise UnclearHostError(
            f"the sender names no host for {shown(image.path)}, and no configured registry can be "
            "meant; add one of kind 'oci' with the URL that images are pulled from"
        )
    hosts = sorted({registry.host for registry in meant})
    if len(hosts) > 1:
        hosts = [host for host in hosts if _is_deployed(reader, host, image)]
    if len(hosts) != 1:
        candidates = [
            registry.name if registry.name == registry.host else f"{registry.name}: {registry.host}"
            for registry in meant
        ]
        raise UnclearHostError(
            f"the sender names no host for {shown(image.path)}, and several registries can be "
            f"meant ({some_of(candidates)}); end the URL that it calls with ?registry=NAME, "
            "as 'tagboat webhook url --registry NAME' shows it"
        )
    return hosts[0]


def _is_deployed(reader: Reader, host: str, image: UnqualifiedImage) -> bool:
    try:
        return reader.project_by_image(repository_at(host, image.path)) is not None
    # A name that is invalid on this host is skipped later, with its reason.
    except InvalidValueError:
        return False
