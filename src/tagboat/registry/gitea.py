"""Differences of Gitea and Forgejo from other registries."""

from collections.abc import Sequence
from datetime import timedelta

from yarl import URL

from tagboat.core.catalog import RegistryKind
from tagboat.core.errors import RegistryProtocolError
from tagboat.registry.challenges import Challenge
from tagboat.registry.endpoint import RegistryEndpoint
from tagboat.registry.failures import parse_json

# Tokens carry no expires_in; Gitea makes them for 24 hours.
TOKEN_LIFETIME = timedelta(hours=24)


def is_gitea(endpoint: RegistryEndpoint) -> bool:
    """Return True if the rules of this module apply to the registry."""
    return endpoint.kind is RegistryKind.GITEA


def stored_tag(endpoint: RegistryEndpoint, tag: str) -> str:
    """Return a tag as the registry stores it: Gitea does in lower case."""
    return tag.lower() if is_gitea(endpoint) else tag


def token_realms(endpoint: RegistryEndpoint, realm: str) -> list[str]:
    """Return the URLs at which to request a token, best first.

    Gitea builds `realm` from its ROOT_URL, which need not be reachable from here. Its token
    endpoint is part of the registry, which has just answered at the configured URL, so that one
    comes first, and the credentials stay where the user sent them. A registry of another kind whose
    realm looks like Gitea's is asked at the configured URL last.
    """
    own = str(endpoint.url("/v2/token"))
    if realm == own or not (is_gitea(endpoint) or realm.endswith("/v2/token")):
        return [realm]
    # The realm of an unknown registry is right more often than not.
    return [own, realm] if is_gitea(endpoint) else [realm, own]


def is_denied_read(challenges: Sequence[Challenge]) -> bool:
    """Return True if a 401 to a request with a token means "no permission", not "invalid token".

    For the former Gitea sends a Basic challenge alone, for the latter always a Bearer one.
    """
    return all(challenge.scheme == "basic" for challenge in challenges)


def is_last_page(following: URL | None) -> bool:
    """Return True if a page of tags is the last one although it has a link.

    Gitea links to a next page from every page that is not empty. A request without `n` returns
    everything, and then the link has no `n`.
    """
    return following is None or "n" not in following.query


def api_url(registry_url: str, call: str) -> URL:
    """Return the URL of a call of Gitea's API, such as `version`.

    It is below the configured URL with its sub-path; the registry is at the root of the host.
    """
    base = URL(registry_url)
    return URL(
        f"{str(base.origin()).rstrip('/')}{base.raw_path.rstrip('/')}/api/v1/{call}", encoded=True
    )


def parse_gitea_version(body: bytes, source: str) -> str:
    """Parse the response of Gitea's version call. Raises RegistryProtocolError if it is not one."""
    decoded = parse_json(body, source)
    version = decoded.get("version") if isinstance(decoded, dict) else None
    if not isinstance(version, str) or not version.isprintable():
        raise RegistryProtocolError(f"{source} does not report a Gitea version")
    return version[:40]
