"""What `registries/{id}/test` answers: what must hold for a registry to be of use, and what to do where it does not."""

from dataclasses import dataclass

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import RegistryDeniedError, RegistryError, RegistryNotFoundError
from tagboat.core.image import ImageName
from tagboat.registry.client import LoginResult, RegistryClient
from tagboat.registry.failures import TlsFailureError
from tagboat.registry.site import Site, site_of


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `detail` is a sentence for a person, and says what to do where `ok` is False."""

    name: str
    ok: bool
    detail: str


async def examine(client: RegistryClient, registry: Registry, image: ImageName | None) -> list[Check]:
    """Try a registry from its URL to, where an `image` is given, the list of its tags. Never raises RegistryError.

    The checks are `url`, `reachable`, `tls` (https only), `login`, `gitea api` (kind gitea only) and `list` (with an
    image), in this order; it ends early where the rest could only fail for the same reason.
    """
    try:
        site = site_of("", registry)
    except RegistryError as error:
        return [Check("url", ok=False, detail=str(error))]
    checks = [Check("url", ok=True, detail=f"{site.base} is used"), *await _reach(client, registry, site)]
    if not all(check.ok for check in checks):
        return checks
    login = await _login(client, registry)
    checks.append(login)
    if registry.kind is RegistryKind.GITEA:
        checks.append(await _gitea_api(client, registry))
    if image is not None and login.ok:
        checks.append(await _list(client, registry, image))
    return checks


async def _reach(client: RegistryClient, registry: Registry, site: Site) -> list[Check]:
    trusted = [Check("tls", ok=True, detail="the certificate is trusted")] if site.base.scheme == "https" else []
    try:
        is_registry = await client.knock(registry)
    except TlsFailureError as error:
        return [
            Check("reachable", ok=True, detail=f"{site.host} accepts connections"),
            Check("tls", ok=False, detail=_tls(error)),
        ]
    except RegistryError as error:
        return [Check("reachable", ok=False, detail=str(error))]
    if not is_registry:
        detail = (
            f"{site.host} answers, but not as a registry: is the URL the root of the registry, and its port the right one?"
        )
        return [Check("reachable", ok=False, detail=detail), *trusted]
    return [Check("reachable", ok=True, detail=f"{site.host} answers as a registry"), *trusted]


def _tls(error: TlsFailureError) -> str:
    return (
        f"{error}; give the registry a certificate from a known authority, or add its authority to those "
        "that this machine trusts"
    )


async def _login(client: RegistryClient, registry: Registry) -> Check:
    try:
        result = await client.log_in(registry)
    except RegistryDeniedError as error:
        return Check("login", ok=False, detail=f"{_refused(registry)} ({error})")
    except RegistryError as error:
        return Check("login", ok=False, detail=str(error))
    return Check("login", ok=True, detail=_logged_in(registry, result))


def _refused(registry: Registry) -> str:
    gitea = registry.kind is RegistryKind.GITEA
    where = "make a token with the scope package:read in Gitea (Settings, Applications) and use it as the password"
    if registry.password is not None:
        remedy = where if gitea else "check both, or make a new access token and use it as the password"
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
        return Check("gitea api", ok=True, detail="Gitea's API answers, and tells its version only to those who are signed in")
    except RegistryNotFoundError:
        detail = "there is no Gitea or Forgejo at this URL: give the URL of its start page, or set the kind to oci"
        return Check("gitea api", ok=False, detail=detail)
    except RegistryError as error:
        return Check("gitea api", ok=False, detail=f"{error}; if this is no Gitea or Forgejo, set the kind to oci")
    return Check("gitea api", ok=True, detail=f"version {version}")


async def _list(client: RegistryClient, registry: Registry, image: ImageName) -> Check:
    try:
        tags = await client.list_tags(image, registry)
    except RegistryError as error:
        return Check("list", ok=False, detail=str(error))
    return Check("list", ok=True, detail=f"{image} has {len(tags)} {'tag' if len(tags) == 1 else 'tags'}")
