"""The test of a registry: what must work for it to be of use, and what to do if it does not."""

from collections.abc import Awaitable, Callable

from msgspec import Struct
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
from tagboat.registry.endpoint import (
    IDENTITY_TOKEN_USER,
    RegistryEndpoint,
    endpoint_for,
    shown_host,
)
from tagboat.registry.failures import Flaw, TlsFailureError

EngineLogin = Callable[[Registry], Awaitable[None]]
"""Logs the engine in to a registry. Raises EngineError if that fails."""

_IMAGES_LISTED = 100
_TAGS_TRIED = 3


class DiagnosticCheck(Struct, frozen=True):
    """One check. `detail` is a sentence for a person, and says what to do if `ok` is False."""

    name: str
    ok: bool
    detail: str


async def diagnose(
    client: RegistryClient,
    registry: Registry,
    image: ImageName | None,
    *,
    log_in: EngineLogin | None = None,
) -> list[DiagnosticCheck]:
    """Check a registry from its URL to one of its images: `image` if it has that, else the first.

    Never raises RegistryError. `log_in` tries the engine's own login.

    The checks are, in this order: `url`; `reachable`; `tls` (https only); `engine` (with a
    `ca_cert` only: what the Docker engine needs, never a failure); `login`; `root url` (kind gitea
    only, if its ROOT_URL differs from the URL); `engine login` (with a password only); `gitea api`
    (kind gitea only); `images` (whether it lists its images: a convenience, never a failure);
    `list` (an image's tags); `pull` (an image's manifest and configuration). Checks that could only
    fail for the same reason as one before, or without an image, are left out.
    """
    try:
        endpoint = endpoint_for("", registry)
    except RegistryError as error:
        return [DiagnosticCheck("url", ok=False, detail=str(error))]
    proxy = client.proxy_of(registry)
    route = f"{endpoint.base} is used" + (f", through the proxy {proxy}" if proxy else "")
    checks = [DiagnosticCheck("url", ok=True, detail=route)]
    checks += await check_reachable(client, registry, endpoint)
    if not all(check.ok for check in checks):
        return checks
    if endpoint.base.scheme == "https" and registry.ca_cert.strip():
        detail = (
            "the Docker engine has its own list of trusted certificates and needs the CA "
            f"certificate too: write it to {docker_trust_file(registry.host)} on its machine"
        )
        checks.append(DiagnosticCheck("engine", ok=True, detail=detail))
    login = await check_login(client, registry, endpoint)
    checks += login
    # The first is the login itself; a wrong ROOT_URL hinders none of what follows.
    is_logged_in = login[0].ok
    if is_logged_in and log_in and registry.password is not None:
        checks.append(await check_engine_login(log_in, registry))
    if registry.kind is RegistryKind.GITEA:
        checks.append(await check_gitea_api(client, registry))
    if is_logged_in:
        checks += await check_images(client, registry, image)
    return checks


async def check_reachable(
    client: RegistryClient, registry: Registry, endpoint: RegistryEndpoint
) -> list[DiagnosticCheck]:
    """Check that the API answers, and with which certificate."""
    trusted: list[DiagnosticCheck] = []
    if endpoint.base.scheme == "https":
        by_own_ca = ", with the CA certificate of this registry" if registry.ca_cert.strip() else ""
        detail = f"the certificate is trusted{by_own_ca}"
        trusted = [DiagnosticCheck("tls", ok=True, detail=detail)]
    try:
        api = await client.probe_api(registry)
    except TlsFailureError as error:
        # A bad certificate is told apart from silence: the one to mend is another.
        return [
            DiagnosticCheck("reachable", ok=True, detail=f"{endpoint.host} accepts connections"),
            DiagnosticCheck("tls", ok=False, detail=explain_tls_failure(error, registry)),
        ]
    except RegistryUnreachableError as error:
        detail = f"{error} (asked from the machine that Tagboat runs on)"
        return [DiagnosticCheck("reachable", ok=False, detail=detail)]
    except RegistryError as error:
        return [DiagnosticCheck("reachable", ok=False, detail=str(error))]
    if not api.is_registry:
        detail = (
            f"{endpoint.host} answers, but not as a registry: is the URL the root of the registry, "
            "and its port the right one?"
        )
        if endpoint.base.scheme == "http":
            detail += "; if it speaks TLS, its URL must begin with https://"
    elif api.elsewhere:
        detail = (
            f"{endpoint.base} leads to {api.elsewhere}, where no credentials are sent: "
            "give that as the registry's URL"
        )
    else:
        detail = f"{endpoint.host} answers as a registry"
    is_ok = api.is_registry and not api.elsewhere
    return [DiagnosticCheck("reachable", ok=is_ok, detail=detail), *trusted]


def explain_tls_failure(error: TlsFailureError, registry: Registry) -> str:
    """Return the error with the next step for its flaw."""
    match error.flaw:
        case Flaw.NAME:
            remedy = (
                "give the URL the name that the certificate is for, "
                "or the registry a certificate for this name"
            )
        case Flaw.DATES:
            remedy = (
                "renew it on the registry, and see whether the clocks of both machines are right"
            )
        case Flaw.AUTHORITY if registry.ca_cert.strip():
            remedy = (
                "the CA certificate stored for this registry did not sign it: "
                "store that of the authority which did (ca_cert, PEM)"
            )
        case Flaw.AUTHORITY:
            remedy = (
                "give the registry a certificate from a known authority, or store the certificate "
                "of its authority with this registry (ca_cert, PEM)"
            )
        case None:
            return str(error)
    return f"{error}; {remedy}"


async def check_login(
    client: RegistryClient, registry: Registry, endpoint: RegistryEndpoint
) -> list[DiagnosticCheck]:
    """Check the login, and for Gitea that its ROOT_URL is the registry's URL."""
    try:
        result = await client.log_in(registry)
    except RegistryDeniedError as error:
        detail = f"{explain_refusal(registry)} ({error})"
        return [DiagnosticCheck("login", ok=False, detail=detail)]
    except TlsFailureError as error:
        detail = f"the login service: {explain_tls_failure(error, registry)}"
        return [DiagnosticCheck("login", ok=False, detail=detail)]
    except RegistryError as error:
        return [DiagnosticCheck("login", ok=False, detail=str(error))]
    checks = [DiagnosticCheck("login", ok=True, detail=describe_login(registry, endpoint, result))]
    try:
        # A registry may write anything there, also what is no URL.
        named = endpoint.base.join(URL(result.named)).origin() if result.named else None
    except ValueError:
        named = None
    if registry.kind is RegistryKind.GITEA and named and named != endpoint.base.origin():
        detail = (
            f"this Gitea calls itself {named}, not {endpoint.base}: the Docker engine asks {named} "
            f"for its login, and webhook calls name images of {shown_host(named)}. Set ROOT_URL = "
            f"{registry.url}/ in the section [server] of Gitea's app.ini, or give this registry "
            "the URL that Gitea calls itself by"
        )
        checks.append(DiagnosticCheck("root url", ok=False, detail=detail))
    return checks


def explain_refusal(registry: Registry) -> str:
    """Return why a login was refused, with the next step."""
    if registry.password_command:
        return (
            "the password that the password command prints was refused: check that it is for "
            "this registry, and that the username is the right one"
        )
    is_gitea = registry.kind is RegistryKind.GITEA
    gitea_remedy = (
        "make a token with the scope read:package in Gitea (Settings, Applications) "
        "and use it as the password"
    )
    if registry.username == IDENTITY_TOKEN_USER:
        return (
            "the identity token was refused: log in again with docker, "
            "or enter a username and a password"
        )
    if registry.password is not None:
        remedy = "check both, or make a new access token and use it as the password"
        if is_gitea:
            remedy = gitea_remedy
        return f"the username or the password was refused: {remedy}"
    remedy = (
        f"{gitea_remedy}, with your username" if is_gitea else "enter a username and a password"
    )
    return f"a login is needed, and no password is stored: {remedy}"


def describe_login(registry: Registry, endpoint: RegistryEndpoint, result: LoginResult) -> str:
    """Return what a successful login proves, and which service got the password if another."""
    has_password = registry.password is not None
    if not result.needed:
        detail = "no login needed"
        if has_password:
            detail += "; the stored username and password were not used"
    elif has_password:
        detail = "the username and the password are accepted"
    elif registry.kind is RegistryKind.GITEA:
        detail = (
            "no password is stored: Gitea gives everybody a token, which proves nothing; "
            "only public images can be read"
        )
    else:
        detail = (
            "no password is stored: the registry gives everybody a token; "
            "only public images can be read"
        )
    # Said for whoever did not expect the password to go elsewhere.
    before, home = registry.login_service, str(endpoint.base.origin())
    is_home = result.used == home and before in {"", home}
    if not has_password or not result.used or is_home:
        return detail
    if before and before != result.used:
        return f"{detail}, now by the login service {result.used}, up to now by {before}"
    return f"{detail}, by the login service {result.used}"


async def check_engine_login(log_in: EngineLogin, registry: Registry) -> DiagnosticCheck:
    """Check that the engine can log in as well."""
    is_ok, detail = True, "the Docker engine, which pulls, is accepted as well"
    try:
        await log_in(registry)
    except EngineUnavailableError as error:
        # An engine that is away is no fault of the registry.
        detail = f"not tried: {error}"
    except EngineError as error:
        is_ok, detail = False, f"{error}; until that is fixed, its pulls of private images fail"
    return DiagnosticCheck("engine login", ok=is_ok, detail=detail)


async def check_gitea_api(client: RegistryClient, registry: Registry) -> DiagnosticCheck:
    """Check that Gitea's API answers."""
    is_ok = False
    try:
        detail = f"version {await client.gitea_version(registry)}"
        is_ok = True
    except RegistryDeniedError:
        detail = "Gitea's API answers, and reports its version only to those who are signed in"
        is_ok = True
    except RegistryNotFoundError:
        detail = (
            "there is no Gitea or Forgejo at this URL: give the URL of its start page, or set the "
            "kind to oci; or something in front of it hides its API (/api/v1), "
            "which only choosing images from a list needs"
        )
    except RegistryError as error:
        detail = f"{error}; if this is not a Gitea or Forgejo, set the kind to oci"
    return DiagnosticCheck("gitea api", ok=is_ok, detail=detail)


async def check_images(
    client: RegistryClient, registry: Registry, image: ImageName | None
) -> list[DiagnosticCheck]:
    """Check that images are listed, and that one can be read."""
    first: ImageName | None = None
    try:
        found = await client.list_images(registry, _IMAGES_LISTED)
    except RegistryError as error:
        detail = f"cannot be chosen from a list, which hinders nothing else: {error}"
    else:
        detail = "the registry lists no images: it is empty, or this login may see none"
        if found.images:
            first = found.images[0]
            count = f"{_counted(len(found.images), 'image')} can be chosen from"
            detail = count if found.whole else f"at least {count}"
    checks: list[DiagnosticCheck] = []
    # The image of a project first; it may have been deleted at the registry.
    for candidate in dict.fromkeys(one for one in (image, first) if one):
        checks, exists = await check_one_image(client, registry, candidate)
        if exists:
            break
    return [DiagnosticCheck("images", ok=True, detail=detail), *checks]


async def check_one_image(
    client: RegistryClient, registry: Registry, image: ImageName
) -> tuple[list[DiagnosticCheck], bool]:
    """Check that an image can be read. The boolean is False if the registry does not have it."""
    try:
        tags = await client.list_tags(image, registry)
    except RegistryError as error:
        detail = explain_denial(error, registry, "list the tags of its images")
        exists = not isinstance(error, RegistryNotFoundError)
        return [DiagnosticCheck("list", ok=False, detail=detail)], exists
    checks = [DiagnosticCheck("list", ok=True, detail=f"{image} has {_counted(len(tags), 'tag')}")]
    pull: list[DiagnosticCheck] = []
    # From the end: most registries list the newest last.
    for tag in tags[: -_TAGS_TRIED - 1 : -1]:
        ref = ImageRef(image, tag)
        try:
            await client.inspect(ref, registry)
        except (RegistryNotFoundError, RegistryProtocolError) as error:
            # Other tags may be fine: some are listed but deleted, and some are not images.
            pull = [DiagnosticCheck("pull", ok=False, detail=str(error))]
            continue
        except RegistryError as error:
            detail = explain_denial(error, registry, "pull its images")
            pull = [DiagnosticCheck("pull", ok=False, detail=detail)]
        else:
            detail = f"the manifest and the configuration of {ref} can be read"
            pull = [DiagnosticCheck("pull", ok=True, detail=detail)]
        break
    return [*checks, *pull], True


def explain_denial(error: RegistryError, registry: Registry, what: str) -> str:
    """Return the error, with how to get the permission if that is missing."""
    if not isinstance(error, RegistryDeniedError):
        return str(error)
    if registry.kind is RegistryKind.GITEA:
        remedy = (
            "in Gitea the token needs the scope read:package, "
            "and its owner the right to read the image's packages"
        )
    else:
        remedy = f"in the registry, give the login the right to {what}"
    return f"{error}; {remedy}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
