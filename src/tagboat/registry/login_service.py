"""Login services: the token endpoints that registries name, and the passwords sent there."""

from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import TypeVar

from yarl import URL

from tagboat.core.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryProtocolError,
    RegistryUnreachableError,
)
from tagboat.core.values import replace
from tagboat.registry import gitea
from tagboat.registry.endpoint import RegistryEndpoint
from tagboat.registry.failures import error_detail, parse_json
from tagboat.registry.transport import RegistryRequest, RegistryResponse, RegistryTransport

DEFAULT_LIFETIME = timedelta(seconds=60)
MAX_LIFETIME = timedelta(hours=24)
_MAX_TOKEN_BODY = 256 * 1024
_MAX_TOKEN = 32 * 1024
MAX_REGISTRIES = 1024
"""Registries about which anything is remembered."""

Pin = Callable[[RegistryEndpoint, str], Awaitable[None]]
"""Records, for a configured registry, the origin of the login service that gets its password."""

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Fetch a token from `realm` and send it. `service` is None if the registry names none.

    `inside` allows the realm an address that is not public.
    """

    realm: str
    service: str | None
    inside: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A token, how long it is valid, and the origin of the login service that gave it."""

    value: str = field(repr=False)
    lifetime: timedelta
    service: str


class LoginService:
    """Fetches tokens. Sends the password of a registry to the first service that took it, only."""

    def __init__(self, transport: RegistryTransport, pin: Pin | None) -> None:
        self._transport = transport
        self._pin = pin
        self._pins: dict[RegistryEndpoint, str] = {}
        """Origins that may not be on record yet."""
        self._realms: dict[RegistryEndpoint, str] = {}
        """Realms that answered when the first did not: each try costs a time-out."""

    def forget(self, endpoint: RegistryEndpoint) -> None:
        """Drop everything known about a registry."""
        self._pins.pop(endpoint, None)
        self._realms.pop(endpoint, None)

    async def fetch_token(self, endpoint: RegistryEndpoint, scope: str, method: Bearer) -> Token:
        """Fetch a token. Raises RegistryError."""
        remembered = self._realms.get(endpoint)
        first, *others = sorted(
            gitea.token_realms(endpoint, method.realm), key=lambda realm: realm != remembered
        )
        try:
            return await self._fetch_from(endpoint, first, scope, method)
        except (RegistryUnreachableError, RegistryProtocolError) as error:
            for realm in others:
                try:
                    token = await self._fetch_from(endpoint, realm, scope, method)
                except RegistryError:
                    if gitea.is_gitea(endpoint):
                        raise
                    # Elsewhere the other realm is a guess, and its failure means nothing.
                    continue
                keep_newest(self._realms, endpoint, realm)
                return token
            raise error from None

    async def _fetch_from(
        self, endpoint: RegistryEndpoint, realm: str, scope: str, method: Bearer
    ) -> Token:
        url = usable_realm(realm, endpoint)
        at_home = url.origin() == endpoint.base.origin()
        service, credentials = str(url.origin()), endpoint.credentials
        # A registry that was taken over must not collect its users' passwords elsewhere.
        if credentials and not at_home:
            self._expect_pinned(endpoint, service)
        request = token_request(
            endpoint, url, scope, method, public_only=not (method.inside or at_home)
        )
        try:
            response = await self._transport.send(request)
        except RegistryUnreachableError as error:
            if at_home:
                raise
            # A copy keeps whether it is worth a retry, and the flaw of a certificate.
            explained = copy(error)
            text = (
                f"{error}; the registry {endpoint.host} sends there for tokens, "
                "so that address must be reachable from here too"
            )
            explained.args = (text,)
            raise explained from None
        if response.status != HTTPStatus.OK:
            raise token_refusal(response, endpoint)
        default = gitea.TOKEN_LIFETIME if gitea.is_gitea(endpoint) else DEFAULT_LIFETIME
        value, lifetime = parse_token(response.body, default, response.host)
        # Only a service that accepted the password is trusted with it from now on.
        is_pinned = bool(endpoint.login_service) or endpoint in self._pins
        if credentials and endpoint.id and not is_pinned:
            keep_newest(self._pins, endpoint, service)
            if self._pin is not None:
                await self._pin(endpoint, service)
        return Token(value, min(lifetime, MAX_LIFETIME), service)

    def _expect_pinned(self, endpoint: RegistryEndpoint, service: str) -> None:
        """Raise RegistryDeniedError if the password has gone to another service so far."""
        pinned = endpoint.login_service or self._pins.get(endpoint, "")
        if pinned and pinned != service:
            raise RegistryDeniedError(
                f"{endpoint.host} names {service} as its login service, and the password has gone "
                f"to {pinned} up to now: nothing was sent. If that is meant to have changed, "
                "`tagboat registries test NAME` confirms it"
            )


def keep_newest(kept: dict[_K, _V], key: _K, value: _V, most: int = MAX_REGISTRIES) -> None:
    """Put an entry at the end of `kept`, and drop the oldest ones beyond `most`."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]


def token_request(
    endpoint: RegistryEndpoint, realm: URL, scope: str, method: Bearer, *, public_only: bool
) -> RegistryRequest:
    """Return the request for a token: a GET, or a POST with an identity token."""
    params = {"service": method.service, "scope": scope}
    # An empty scope is not the same as none.
    query = {name: value for name, value in params.items() if value}
    credentials = endpoint.credentials
    request = RegistryRequest(
        "GET",
        realm,
        _MAX_TOKEN_BODY,
        ca_cert=endpoint.ca_cert,
        vouched=endpoint.is_vouched,
        public_only=public_only,
    )
    if credentials and credentials.is_identity_token:
        form = query | {
            "grant_type": "refresh_token",
            "client_id": "tagboat",
            "refresh_token": credentials.password,
        }
        return replace(request, method="POST", form=form)
    header = credentials.header if credentials else None
    return replace(request, url=realm.extend_query(query), authorization=header)


def usable_realm(realm: str, endpoint: RegistryEndpoint) -> URL:
    """Return the URL of a token endpoint if it has TLS, or the registry itself has none.

    Raises RegistryProtocolError otherwise.
    """
    try:
        url = endpoint.base.join(URL(realm))
        url.origin()
    except ValueError:
        raise RegistryProtocolError(
            f"{endpoint.host} names a login service that is not a URL"
        ) from None
    if url.scheme == "https" or (url.scheme == "http" and endpoint.base.scheme == "http"):
        # A user in the URL would replace the credentials.
        return url.with_user(None).with_fragment(None)
    raise RegistryProtocolError(
        f"{endpoint.host} names a login service without TLS, and the registry has TLS: "
        "nothing was sent there; correct the realm (on Gitea: ROOT_URL) in the registry's own "
        "settings"
    )


def parse_token(body: bytes, default: timedelta, source: str) -> tuple[str, timedelta]:
    """Parse the response of a token endpoint: the token, and its lifetime, else `default`."""
    decoded = parse_json(body, source)
    fields = decoded if isinstance(decoded, dict) else {}
    # The specification has `token`, OAuth 2 `access_token`; registries send one or both.
    token = fields.get("token") or fields.get("access_token")
    if (
        not isinstance(token, str)
        or len(token) > _MAX_TOKEN
        or not (token.isascii() and token.isprintable())
        or " " in token
    ):
        raise RegistryProtocolError(f"the login service {source} answered without a usable token")
    seconds = fields.get("expires_in")
    # JSON's true is an int to Python.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        return token, default
    return token, timedelta(seconds=min(seconds, MAX_LIFETIME.total_seconds()))


def token_refusal(response: RegistryResponse, endpoint: RegistryEndpoint) -> RegistryError:
    """Return the error for a response of a token endpoint other than 200."""
    credentials = endpoint.credentials
    service = f"the login service {response.host} of {endpoint.host}"
    if response.status == HTTPStatus.NOT_FOUND:
        return RegistryProtocolError(
            f"{endpoint.host} sends to the login service {response.host}, "
            "which has nothing there (404)"
        )
    if response.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return RegistryProtocolError(f"{service} answered with status {response.status}")
    detail = error_detail(response.body, credentials.password if credentials else "")
    if credentials and credentials.is_identity_token:
        return RegistryDeniedError(
            f"{service} refused the identity token: log in again to get another{detail}"
        )
    if credentials:
        return RegistryDeniedError(f"{service} refused the username or the password{detail}")
    return RegistryDeniedError(
        f"{service} gives no token without a login, and no credentials were sent{detail}"
    )
