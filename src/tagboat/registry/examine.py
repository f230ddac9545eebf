"""What `registries/{id}/test` answers: what must hold for a registry to be of use, and what to do where it does not."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from yarl import URL

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import (
    EngineError,
    EngineUnavailableError,
    RegistryDeniedError,
    RegistryError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RegistryUnreachableError,
)
from tagboat.core.image import ImageName, ImageRef, docker_trust_file
from tagboat.registry.client import LoginResult, RegistryClient
from tagboat.registry.failures import Flaw, TlsFailureError
from tagboat.registry.site import IDENTITY_TOKEN, Site, shown_host, site_of

EngineLogin = Callable[[Registry], Awaitable[None]]
"""Has the engine log in to a registry. Raises EngineError where that fails."""

_MANY_IMAGES = 100
_TAGS_TRIED = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `detail` is a sentence for a person, and says what to do where `ok` is False."""

    name: str
    ok: bool
    detail: str


async def examine(
    client: RegistryClient,
    registry: Registry,
    image: ImageName | None,
    *,
    log_in: EngineLogin | None = None,
) -> list[Check]:
    """Try a registry from its URL to an image of it: `image` where it has that, else the first it tells of.

    Never raises RegistryError. `log_in` tries the engine's own login.

    The checks are `url`, `reachable`, `tls` (https only), `engine` (with a `ca_cert` only: what the Docker engine needs, never
    a failure), `login`, `root url` (kind gitea only, where its ROOT_URL is another than the URL), `engine login` (with
    a password only), `gitea api` (kind gitea only), `images` (whether it tells which it has: a convenience, never a
    failure), `list` (an image's tags) and `pull` (an image's manifest and configuration), in this order; it ends early where
    the rest could only fail for the same reason, or has no image.
    """
    try:
        site = site_of("", registry)
    except RegistryError as error:
        return [Check("url", ok=False, detail=str(error))]
    proxy = client.proxy_of(registry)
    way = f"{site.base} is used" + (f", through the proxy {proxy}" if proxy else "")
    checks = [Check("url", ok=True, detail=way), *await _reach(client, registry, site)]
    if not all(check.ok for check in checks):
        return checks
    if site.base.scheme == "https" and registry.ca_cert.strip():
        checks.append(Check("engine", ok=True, detail=_engine_trust(registry)))
    login, result = await _login(client, registry, site)
    checks.append(login)
    if (
        result
        and registry.kind is RegistryKind.GITEA
        and (elsewhere := _elsewhere(site, result.named))
    ):
        checks.append(Check("root url", ok=False, detail=_root_url(registry, site, elsewhere)))
    if login.ok and log_in and registry.password is not None:
        checks.append(await _engine_login(log_in, registry))
    if registry.kind is RegistryKind.GITEA:
        checks.append(await _gitea_api(client, registry))
    if login.ok:
        checks.extend(await _use(client, registry, image))
    return checks


async def _reach(client: RegistryClient, registry: Registry, site: Site) -> list[Check]:
    trusted = (
        [Check("tls", ok=True, detail=_trusted(registry))] if site.base.scheme == "https" else []
    )
    try:
        knock = await client.knock(registry)
    except TlsFailureError as error:
        return [
            Check("reachable", ok=True, detail=f"{site.host} accepts connections"),
            Check("tls", ok=False, detail=_tls(error, registry)),
        ]
    except RegistryError as error:
        return [Check("reachable", ok=False, detail=_unreached(error))]
    if not knock.is_registry:
        return [Check("reachable", ok=False, detail=_no_registry(site)), *trusted]
    if knock.elsewhere:
        detail = f"{site.base} leads to {knock.elsewhere}, where no credentials are sent: give that as the registry's URL"
        return [Check("reachable", ok=False, detail=detail), *trusted]
    return [Check("reachable", ok=True, detail=f"{site.host} answers as a registry"), *trusted]


def _no_registry(site: Site) -> str:
    tls = (
        "; if it speaks TLS, its URL must begin with https://" if site.base.scheme == "http" else ""
    )
    return f"{site.host} answers, but not as a registry: is the URL the root of the registry, and its port the right one?{tls}"


def _unreached(error: RegistryError) -> str:
    if isinstance(error, RegistryUnreachableError):
        return f"{error} (asked from the machine that Tagboat runs on)"
    return str(error)


def _trusted(registry: Registry) -> str:
    return "the certificate is trusted" + (
        ", with the CA certificate of this registry" if registry.ca_cert.strip() else ""
    )


def _engine_trust(registry: Registry) -> str:
    file = docker_trust_file(registry.host)
    return f"the Docker engine, whose trust is its own, needs the CA certificate too: write it to {file} on its machine"


def _tls(error: TlsFailureError, registry: Registry) -> str:
    if error.flaw is Flaw.NAME:
        return f"{error}; give the URL the name that the certificate is for, or the registry a certificate for this name"
    if error.flaw is Flaw.DATES:
        return f"{error}; renew it on the registry, and see whether the clocks of both machines are right"
    if error.flaw and registry.ca_cert.strip():
        return (
            f"{error}; the CA certificate stored for this registry did not sign it: store that of the authority which did "
            "(ca_cert, PEM)"
        )
    if error.flaw:
        return (
            f"{error}; give the registry a certificate from a known authority, or store the certificate of its authority with "
            "this registry (ca_cert, PEM)"
        )
    return str(error)


async def _login(
    client: RegistryClient, registry: Registry, site: Site
) -> tuple[Check, LoginResult | None]:
    try:
        result = await client.log_in(registry)
    except RegistryDeniedError as error:
        return Check("login", ok=False, detail=f"{_refused(registry)} ({error})"), None
    except TlsFailureError as error:
        return Check("login", ok=False, detail=f"the login service: {_tls(error, registry)}"), None
    except RegistryError as error:
        return Check("login", ok=False, detail=str(error)), None
    return Check(
        "login", ok=True, detail=_logged_in(registry, result) + _service(registry, site, result)
    ), result


def _service(registry: Registry, site: Site, result: LoginResult) -> str:
    """Where the password went, if that is elsewhere, or was."""
    before, home = registry.login_service, str(site.base.origin())
    if (
        registry.password is None
        or not result.used
        or (result.used == home and before in {"", home})
    ):
        return ""
    if before and before != result.used:
        return f", now by the login service {result.used}, up to now by {before}"
    return f", by the login service {result.used}"


def _elsewhere(site: Site, realm: str) -> URL | None:
    """Where the login service is that a registry names (`https://HOST`), if that is not where the registry is."""
    try:
        origin = site.base.join(URL(realm)).origin() if realm else site.base.origin()
    except ValueError:
        return None
    return origin if origin != site.base.origin() else None


def _root_url(registry: Registry, site: Site, elsewhere: URL) -> str:
    return (
        f"this Gitea calls itself {elsewhere}, not {site.base}: the Docker engine asks {elsewhere} for its login, and webhook "
        f"calls name images of {shown_host(elsewhere)}. Set ROOT_URL = {registry.url}/ in the section [server] of Gitea's "
        "app.ini, or give this registry the URL that Gitea calls itself by"
    )


async def _engine_login(log_in: EngineLogin, registry: Registry) -> Check:
    try:
        await log_in(registry)
    except EngineUnavailableError as error:
        return Check("engine login", ok=True, detail=f"not tried: {error}")
    except EngineError as error:
        return Check(
            "engine login",
            ok=False,
            detail=f"{error}; until that is mended, its pulls of private images fail",
        )
    return Check(
        "engine login", ok=True, detail="the Docker engine, which pulls, is let in as well"
    )


def _refused(registry: Registry) -> str:
    gitea = registry.kind is RegistryKind.GITEA
    where = "make a token with the scope read:package in Gitea (Settings, Applications) and use it as the password"
    if registry.username == IDENTITY_TOKEN:
        return "the identity token was refused: log in anew with docker, or enter a username and a password"
    if registry.password is not None:
        remedy = (
            where if gitea else "check both, or make a new access token and use it as the password"
        )
        return f"the username or the password was refused: {remedy}"
    remedy = f": {where}, with your username" if gitea else ": enter a username and a password"
    return f"a login is needed, and no password is stored{remedy}"


def _logged_in(registry: Registry, result: LoginResult) -> str:
    has_password = registry.password is not None
    if not result.needed:
        unused = "; the stored username and password were not looked at" if has_password else ""
        return f"no login needed{unused}"
    if has_password:
        return "the username and the password are accepted"
    if registry.kind is RegistryKind.GITEA:
        return "no password is stored: Gitea gives everybody a token, which proves nothing; only public images can be read"
    return "no password is stored: the registry gives everybody a token; only public images can be read"


async def _gitea_api(client: RegistryClient, registry: Registry) -> Check:
    try:
        version = await client.gitea_version(registry)
    except RegistryDeniedError:
        return Check(
            "gitea api",
            ok=True,
            detail="Gitea's API answers, and tells its version only to those who are signed in",
        )
    except RegistryNotFoundError:
        detail = (
            "there is no Gitea or Forgejo at this URL: give the URL of its start page, or set the kind to oci; "
            "or something in front of it hides its API (/api/v1), which only choosing images from a list needs"
        )
        return Check("gitea api", ok=False, detail=detail)
    except RegistryError as error:
        return Check(
            "gitea api",
            ok=False,
            detail=f"{error}; if this is not a Gitea or Forgejo, set the kind to oci",
        )
    return Check("gitea api", ok=True, detail=f"version {version}")


async def _use(client: RegistryClient, registry: Registry, image: ImageName | None) -> list[Check]:
    images, first = await _images(client, registry)
    read: list[Check] = []
    for looked_at in dict.fromkeys(found for found in (image, first) if found):
        read, is_there = await _read(client, registry, looked_at)
        if is_there:
            break
    return [images, *read]


async def _images(client: RegistryClient, registry: Registry) -> tuple[Check, ImageName | None]:
    try:
        found = await client.list_images(registry, _MANY_IMAGES)
    except RegistryError as error:
        return Check(
            "images",
            ok=True,
            detail=f"cannot be chosen from a list, which hinders nothing else: {error}",
        ), None
    if not found.images:
        detail = "the registry tells of no images: it is empty, or this login may see none"
        return Check("images", ok=True, detail=detail), None
    count = f"{_counted(len(found.images), 'image')} can be chosen from"
    return Check(
        "images", ok=True, detail=count if found.whole else f"at least {count}"
    ), found.images[0]


async def _read(
    client: RegistryClient, registry: Registry, image: ImageName
) -> tuple[list[Check], bool]:
    """What may be done with an image, and whether the registry has it."""
    try:
        tags = await client.list_tags(image, registry)
    except RegistryError as error:
        refused = Check(
            "list", ok=False, detail=_unreadable(error, registry, "list the tags of its images")
        )
        return [refused], not isinstance(error, RegistryNotFoundError)
    listed = Check("list", ok=True, detail=f"{image} has {_counted(len(tags), 'tag')}")
    for tag in tags[: -_TAGS_TRIED - 1 : -1]:
        pulled, is_about_the_tag = await _pull(client, registry, ImageRef(image, tag))
        if not is_about_the_tag:
            break
    return [listed, pulled] if tags else [listed], True


async def _pull(client: RegistryClient, registry: Registry, image: ImageRef) -> tuple[Check, bool]:
    """The check, and whether it says nothing of other tags: some are listed but gone, and some are no images."""
    try:
        await client.inspect(image, registry)
    except (RegistryNotFoundError, RegistryProtocolError) as error:
        return Check("pull", ok=False, detail=str(error)), True
    except RegistryError as error:
        return Check(
            "pull", ok=False, detail=_unreadable(error, registry, "pull its images")
        ), False
    return Check(
        "pull", ok=True, detail=f"the manifest and the configuration of {image} can be read"
    ), False


def _unreadable(error: RegistryError, registry: Registry, what: str) -> str:
    """The error, and where it is one of rights, how to get them."""
    if not isinstance(error, RegistryDeniedError):
        return str(error)
    if registry.kind is RegistryKind.GITEA:
        remedy = "in Gitea the token needs the scope read:package, and its owner the right to read the image's packages"
    else:
        remedy = f"in the registry, give the login the right to {what}"
    return f"{error}; {remedy}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
