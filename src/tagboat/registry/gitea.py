"""Where Gitea and Forgejo differ from other registries."""

from collections.abc import Sequence
from datetime import timedelta

from yarl import URL

from tagboat.core.catalog import RegistryKind
from tagboat.core.errors import RegistryProtocolError
from tagboat.registry.challenges import Challenge
from tagboat.registry.failures import parse_json
from tagboat.registry.site import Site

# Tokens carry no expires_in; Gitea makes them for 24 hours.
TOKEN_LIFETIME = timedelta(hours=24)


def is_gitea(site: Site) -> bool:
    """Whether the rules of this module hold for the registry."""
    return site.kind is RegistryKind.GITEA


def token_realms(site: Site, realm: str) -> list[str]:
    """Where to ask for a token, best first: of a Gitea at the URL that was configured, then where it says.

    The realm it names comes from its ROOT_URL, which need not be reachable from here; the registry has just answered at
    the configured URL, its token endpoint is a part of it, and so the credentials stay where somebody sent them. What is
    not known to be a Gitea, but names a realm as one, is asked at home last.
    """
    own = str(site.url("/v2/token"))
    if realm == own or not (is_gitea(site) or realm.endswith("/v2/token")):
        return [realm]
    return [own, realm] if is_gitea(site) else [realm, own]


def is_denied_read(challenges: Sequence[Challenge]) -> bool:
    """Whether a 401 to somebody who sent a token says "you may not read this" rather than "your token is no good".

    Gitea answers the former with a Basic challenge alone, the latter always with a Bearer one.
    """
    return all(challenge.scheme == "basic" for challenge in challenges)


def is_last_page(following: URL | None) -> bool:
    """Whether a page of tags ends the list although a link follows it.

    Gitea links onward from every page that is not empty. Asked without `n` it gives everything, and the link has no `n`.
    """
    return following is None or "n" not in following.query


def api_url(registry_url: str, call: str) -> URL:
    """The address of a call of Gitea's API, such as `version`: below the configured URL, sub-path included.

    That is unlike the registry, which sits at the host's root.
    """
    base = URL(registry_url)
    return URL(
        f"{str(base.origin()).rstrip('/')}{base.raw_path.rstrip('/')}/api/v1/{call}", encoded=True
    )


def parse_version(body: bytes, source: str) -> str:
    """Read the answer of Gitea's version call; raise RegistryProtocolError if it is another program's."""
    decoded = parse_json(body, source)
    version = decoded.get("version") if isinstance(decoded, dict) else None
    if not isinstance(version, str) or not version.isprintable():
        raise RegistryProtocolError(f"{source} has no Gitea version to tell")
    return version[:40]
