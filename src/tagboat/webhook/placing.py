"""Where the images of a call live, and whether they are what its URL is for: what formats cannot tell from the call alone.

The host that a sender does not name is that of the one configured registry that can be meant.
"""

from collections.abc import Sequence
from dataclasses import replace

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import InvalidImageRefError, InvalidValueError
from tagboat.core.excerpt import some_of
from tagboat.core.image import DOCKER_HUB, ImageName, ImageRef
from tagboat.core.ports import Reader
from tagboat.core.project_webhook import ProjectWebhook
from tagboat.webhook.formats import gitea, native
from tagboat.webhook.formats.call import News, Skipped, UnqualifiedImage, repository_at, shown
from tagboat.webhook.formats.judge import on_host, printable

MOST_HOSTS_SOUGHT = 100
"""Images of one call whose hosts are looked up."""


class UnclearHostError(InvalidValueError):
    """No registry can be meant, or more than one: a person has to say which."""


def named_host(reader: Reader, name: str) -> str:
    """Return the host of the registry called `name`; raise UnclearHostError naming those there are."""
    registries = reader.registries()
    for registry in registries:
        if registry.name == name:
            return registry.host
    there = some_of([registry.name for registry in registries]) or "none yet"
    raise UnclearHostError(
        f"the URL says registry={shown(name)}, and there is no such registry; there are: {there}"
    )


def placed(reader: Reader, news: News, hook: ProjectWebhook | None, sender: str) -> News:
    """Return `news` with a host for each image; what is not of the project of `hook` is skipped.

    Raises UnclearHostError where a host cannot be told, InvalidValueError where the native payload names another image.
    """
    wanted = reader.project(hook.project_id).image if hook else None
    found, skipped = list(news.images), list(news.skipped)
    unclear: UnclearHostError | None = None
    for place, hostless in enumerate(news.hostless):
        path = printable(hostless.path)
        try:
            if wanted and hostless.path != wanted.path:
                skipped.append(_not_wanted(path, wanted))
            elif wanted or place < MOST_HOSTS_SOUGHT:
                found.append(
                    on_host(hostless, wanted.host if wanted else _meant_host(reader, hostless))
                )
            else:
                skipped.append(
                    Skipped(
                        path,
                        f"it is beyond the first {MOST_HOSTS_SOUGHT} of a call that names no hosts",
                    )
                )
        except InvalidImageRefError as error:
            skipped.append(Skipped(path, str(error)))
        except UnclearHostError as error:
            unclear = unclear or error
            skipped.append(Skipped(path, str(error), needs_you=True))
    if unclear and not found:
        raise unclear
    images = [image for image in found if wanted in (None, image.name)]
    others = [
        _elsewhere(image.name, wanted, sender) for image in found if wanted and image.name != wanted
    ]
    if others and sender == native.NAME:
        raise InvalidValueError(others[0].reason)
    known = replace(news, images=tuple(images), hostless=(), skipped=(*skipped, *others))
    hint = _root_url(reader, images) if sender == gitea.NAME and not wanted else None
    return replace(known, reason=hint, needs_you=True) if hint else _with_reason(known)


def _with_reason(news: News) -> News:
    """Say why there is no image, where it is known only by now."""
    needing = [one.reason for one in news.skipped if one.needs_you]
    if needing:
        return replace(news, reason=needing[0], needs_you=True)
    if news.images or news.reason:
        return news
    more = f" (and {len(news.skipped) - 1} more)" if len(news.skipped) > 1 else ""
    return replace(news, reason=f"{news.skipped[0].reason}{more}")


def _elsewhere(name: ImageName, wanted: ImageName, sender: str) -> Skipped:
    skipped = _not_wanted(str(name), wanted)
    if sender == gitea.NAME and name.path == wanted.path:
        hint = _set_root_url(name.host, f"https://{wanted.host}/")
        return replace(skipped, reason=f"{skipped.reason}. {hint}", needs_you=True)
    return skipped


def _not_wanted(name: str, wanted: ImageName) -> Skipped:
    return Skipped(name, f"this webhook takes news of {wanted} only, and the call names {name}")


def _root_url(reader: Reader, images: Sequence[ImageRef]) -> str | None:
    """Say what is wrong where a Gitea calls itself by another name than the registries configured; None for nothing.

    A second Gitea that nobody configured may be meant. Then there is a project of its image, or will be.
    """
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
        if same or reader.project_by_image(name) is None:
            registry = (same or known)[0]
            return (
                f"the call is of a Gitea that calls itself {name.host}, and the registry {registry.name} is {registry.host}. "
                f"{_set_root_url(name.host, f'{registry.url}/')}"
            )
    return None


def _set_root_url(host: str, url: str) -> str:
    return f"If they are the same Gitea, set ROOT_URL in its app.ini to {url}, for it is {host} there now"


def _meant_host(reader: Reader, image: UnqualifiedImage) -> str:
    """Return the host that `image` lives on; raise UnclearHostError where that cannot be told.

    Of several registries that one is meant from which the image is deployed already. Gitea and Docker Hub never are, for they
    say who they are.
    """
    meant = [
        r for r in reader.registries() if r.kind is not RegistryKind.GITEA and r.host != DOCKER_HUB
    ]
    if not meant:
        raise UnclearHostError(
            f"the sender names no host for {shown(image.path)}, and no registry is configured that could be meant; "
            "add one of kind 'oci' with the URL that images are pulled from"
        )
    hosts = sorted({registry.host for registry in meant})
    if len(hosts) > 1:
        hosts = [host for host in hosts if _is_deployed(reader, host, image)]
    if len(hosts) != 1:
        raise UnclearHostError(
            f"the sender names no host for {shown(image.path)}, and several registries can be meant "
            f"({some_of([_described(registry) for registry in meant])}); end the URL that it calls with ?registry=NAME, "
            "as 'tagboat webhook url --registry NAME' shows it"
        )
    return hosts[0]


def _is_deployed(reader: Reader, host: str, image: UnqualifiedImage) -> bool:
    try:
        return reader.project_by_image(repository_at(host, image.path)) is not None
    except InvalidValueError:  # a name that none can have is skipped whatever its host
        return False


def _described(registry: Registry) -> str:
    return registry.name if registry.name == registry.host else f"{registry.name}: {registry.host}"
