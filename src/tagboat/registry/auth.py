"""Logging in: which of the offered ways to take, and tokens kept for as long as they last.

Follows the token authentication of the distribution project (its documents "token", "scope" and, for identity tokens,
"oauth") and RFC 7617.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TypeVar
from weakref import WeakValueDictionary

from yarl import URL

from tagboat.core.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryProtocolError,
    RegistryUnreachableError,
)
from tagboat.registry import gitea
from tagboat.registry.challenges import Challenge
from tagboat.registry.failures import excerpt, parse_json
from tagboat.registry.site import Site
from tagboat.registry.transport import Answer, Clock, Request, Transport

DEFAULT_LIFETIME = timedelta(seconds=60)
MAX_LIFETIME = timedelta(hours=24)
MARGIN = timedelta(seconds=10)
MAX_KEPT = 1024
MAX_TOKENS = 8192
"""Most registries give a token for one repository only: fewer would be gone before a round comes to its end."""
_MAX_TOKEN_BODY = 256 * 1024
_MAX_TOKEN = 32 * 1024

Pin = Callable[[Site, str], Awaitable[None]]
"""Puts on record for a registry that somebody configured the origin of the login service to which its password goes."""

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Fetch a token from `realm` and show it. `service` is None where the registry names none.

    `inside`: whoever named the realm may name one at an address that is not public.
    """

    realm: str
    service: str | None
    inside: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Basic:
    """Send username and password with every request."""


Login = Bearer | Basic


@dataclass(frozen=True, slots=True)
class Grant:
    """A value for `Authorization`, how it was come by, and until when it is good. `fresh` if it was fetched just now.

    `service` is the origin of the login service that gave it, empty where none was asked.
    """

    header: str = field(repr=False)
    login: Login
    expires: datetime | None = None
    fresh: bool = True
    service: str = ""


@dataclass(frozen=True, slots=True)
class _Purpose:
    """What a token is good for; one is kept for each."""

    site: Site
    scope: str


class Logins:
    """The logins of all registries. Calls that need the same token at the same time fetch it once."""

    def __init__(self, transport: Transport, clock: Clock, pin: Pin | None = None) -> None:
        self._transport = transport
        self._clock = clock
        self._pin = pin
        self._pins: dict[Site, str] = {}  # that may not be on record yet
        self._ways: dict[Site, Login] = {}
        self._realms: dict[
            Site, str
        ] = {}  # that answered when the first did not: each time costs a time-out
        self._tokens: dict[_Purpose, Grant] = {}
        self._locks: WeakValueDictionary[_Purpose, asyncio.Lock] = WeakValueDictionary()

    async def grant(self, site: Site, scope: str) -> Grant | None:
        """What to send before the registry asks, from what it asked for last time; None if nothing is known of it."""
        way = self._ways.get(site)
        if way is None:
            return None
        if isinstance(way, Basic):
            return self._basic(site)
        purpose = _purpose(site, scope)
        async with self._lock(purpose):
            return self._kept(purpose) or await self._fetch_again(purpose, scope, way)

    async def renew(
        self,
        site: Site,
        scope: str,
        challenges: Sequence[Challenge],
        refused: Grant | None,
        *,
        inside: bool,
    ) -> Grant | None:
        """Log in as a 401 demands; `refused` is what was sent with the request that it answers, `inside` as for Bearer.

        None when there is nothing left to try, so that no refusal leads to an endless exchange.
        """
        if (
            gitea.is_gitea(site)
            and refused
            and isinstance(refused.login, Bearer)
            and gitea.is_denied_read(challenges)
        ):
            return None
        options = _options(site, challenges, inside=inside)
        if not options or (
            refused
            and refused.login == options[0]
            and (refused.fresh or isinstance(refused.login, Basic))
        ):
            return None
        purpose = _purpose(site, scope)
        async with self._lock(purpose):
            kept = self._kept(purpose)
            if kept and (refused is None or kept.header != refused.header):
                return kept
            return await self._first(purpose, scope, options)

    async def replace(
        self, site: Site, scope: str, challenges: Sequence[Challenge], refused: Grant
    ) -> Grant | None:
        """A new token in place of a kept one that was refused; None for anything else, so that it is done once."""
        if refused.fresh or not isinstance(refused.login, Bearer):
            return None
        if gitea.is_gitea(site) and challenges and gitea.is_denied_read(challenges):
            return None
        purpose = _purpose(site, scope)
        async with self._lock(purpose):
            kept = self._kept(purpose)
            if kept and kept.header != refused.header:
                return kept
            self._tokens.pop(purpose, None)
            return await self._fetch_again(purpose, scope, refused.login)

    def forget(self, site: Site) -> None:
        """Drop what is known of a registry, so that the next call logs in from the start."""
        self._pins.pop(site, None)
        self._ways.pop(site, None)
        self._realms.pop(site, None)
        for purpose in [purpose for purpose in self._tokens if purpose.site == site]:
            del self._tokens[purpose]

    def _lock(self, purpose: _Purpose) -> asyncio.Lock:
        return self._locks.setdefault(purpose, asyncio.Lock())

    def _kept(self, purpose: _Purpose) -> Grant | None:
        kept = self._tokens.get(purpose)
        return kept if kept and (kept.expires is None or kept.expires > self._clock()) else None

    def _basic(self, site: Site) -> Grant | None:
        return Grant(site.credentials.header, Basic(), fresh=False) if site.credentials else None

    async def _first(self, purpose: _Purpose, scope: str, options: Sequence[Login]) -> Grant | None:
        """Take the first way that leads anywhere; one that is refused ends it, or a wrong password is sent twice."""
        for last, option in [(option is options[-1], option) for option in options]:
            if isinstance(option, Basic):
                _keep(self._ways, purpose.site, option)
                return self._basic(purpose.site)
            try:
                return await self._fetch(purpose, scope, option)
            except (RegistryUnreachableError, RegistryProtocolError):
                if last:
                    raise
        return None

    async def _fetch_again(self, purpose: _Purpose, scope: str, way: Bearer) -> Grant | None:
        """Fetch a token the way that worked last time. If it works no more, the registry is to be asked afresh."""
        try:
            return await self._fetch(purpose, scope, way)
        except (RegistryUnreachableError, RegistryProtocolError):
            self._ways.pop(purpose.site, None)
            return None
        except RegistryDeniedError:
            self._ways.pop(purpose.site, None)
            raise

    async def _fetch(self, purpose: _Purpose, scope: str, way: Bearer) -> Grant:
        asked_at = self._clock()
        token, lifetime, service = await self._ask_realms(purpose.site, scope, way)
        margin = min(MARGIN, lifetime / 2)
        grant = Grant(
            f"Bearer {token}", way, asked_at + min(lifetime, MAX_LIFETIME) - margin, service=service
        )
        _keep(self._tokens, purpose, replace(grant, fresh=False), MAX_TOKENS)
        _keep(self._ways, purpose.site, way)
        return grant

    async def _ask_realms(self, site: Site, scope: str, way: Bearer) -> tuple[str, timedelta, str]:
        first, *others = sorted(
            gitea.token_realms(site, way.realm), key=lambda realm: realm != self._realms.get(site)
        )
        try:
            return await self._ask(site, first, scope, way)
        except (RegistryUnreachableError, RegistryProtocolError) as error:
            for realm in others:
                try:
                    token = await self._ask(site, realm, scope, way)
                except RegistryError:
                    if gitea.is_gitea(site):
                        raise
                    continue  # Elsewhere it is a guess, and its failure means nothing.
                _keep(self._realms, site, realm)
                return token
            raise error from None

    async def _ask(
        self, site: Site, realm: str, scope: str, way: Bearer
    ) -> tuple[str, timedelta, str]:
        """A token, for how long it is good, and the origin of the login service that gave it."""
        url = usable_realm(realm, site)
        at_home = url.origin() == site.base.origin()
        if site.credentials and not at_home:
            self._expect_pinned(site, url)
        try:
            answer = await self._transport.send(
                _token_request(site, url, scope, way, public_only=not (way.inside or at_home))
            )
        except RegistryUnreachableError as error:
            raise (error if at_home else _named_by(site, error)) from None
        _expect_token(answer, site)
        default = gitea.TOKEN_LIFETIME if gitea.is_gitea(site) else DEFAULT_LIFETIME
        token, lifetime = parse_token(answer.body, default, answer.host)
        service = str(url.origin())
        await self._pin_down(site, service)
        return token, lifetime, service

    def _expect_pinned(self, site: Site, url: URL) -> None:
        """Raise RegistryDeniedError if the password has gone to another login service up to now."""
        pinned = site.login_service or self._pins.get(site, "")
        if pinned and pinned != str(url.origin()):
            raise RegistryDeniedError(
                f"{site.host} names {url.origin()} as its login service, and the password has gone to {pinned} up to now: "
                "nothing was sent. If that is meant to have changed, `tagboat registries test NAME` confirms it"
            )

    async def _pin_down(self, site: Site, service: str) -> None:
        """Keep where a password was accepted first, as the place where it goes."""
        if site.credentials and site.id and not site.login_service and site not in self._pins:
            _keep(self._pins, site, service)
            if self._pin is not None:
                await self._pin(site, service)


def _named_by(site: Site, error: RegistryUnreachableError) -> RegistryUnreachableError:
    """The same error, and why that address was asked."""
    told = copy(
        error
    )  # which keeps whether trying again helps, and what is wrong with a certificate
    told.args = (
        f"{error}; the registry {site.host} sends there for tokens, so that address must be reachable from here too",
    )
    return told


def _token_request(
    site: Site, realm: URL, scope: str, way: Bearer, *, public_only: bool
) -> Request:
    wanted = {
        name: value for name, value in {"service": way.service, "scope": scope}.items() if value
    }
    credentials = site.credentials
    request = Request(
        "GET",
        realm,
        _MAX_TOKEN_BODY,
        ca_cert=site.ca_cert,
        vouched=site.is_vouched,
        public_only=public_only,
    )
    if credentials and credentials.is_identity_token:
        form = wanted | {
            "grant_type": "refresh_token",
            "client_id": "tagboat",
            "refresh_token": credentials.password,
        }
        return replace(request, method="POST", form=form)
    header = credentials.header if credentials else None
    return replace(request, url=realm.extend_query(wanted), authorization=header)


def usable_realm(realm: str, site: Site) -> URL:
    """The URL of a token endpoint, if credentials may go there: https, or http where the registry itself is plain http.

    Raises RegistryProtocolError otherwise.
    """
    try:
        url = site.base.join(URL(realm))
        url.origin()
    except ValueError:
        raise RegistryProtocolError(
            f"{site.host} names a login service that is not a URL"
        ) from None
    if url.scheme == "https" or (url.scheme == "http" and site.base.scheme == "http"):
        return url.with_user(None).with_fragment(None)
    raise RegistryProtocolError(
        f"{site.host} names a login service without TLS, and the registry has TLS: nothing was sent there; "
        "correct the realm (on Gitea: ROOT_URL) in the registry's own settings"
    )


def parse_token(body: bytes, default: timedelta, source: str) -> tuple[str, timedelta]:
    """Read a token endpoint's answer: the token, and for how long it is good (`default` where it does not say)."""
    decoded = parse_json(body, source)
    fields = decoded if isinstance(decoded, dict) else {}
    token = fields.get("token") or fields.get("access_token")
    if (
        not isinstance(token, str)
        or len(token) > _MAX_TOKEN
        or not (token.isascii() and token.isprintable())
        or " " in token
    ):
        raise RegistryProtocolError(f"the login service {source} answered without a usable token")
    seconds = fields.get("expires_in")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        return token, default
    return token, timedelta(seconds=min(seconds, MAX_LIFETIME.total_seconds()))


def _purpose(site: Site, scope: str) -> _Purpose:
    # Gitea's tokens are the user's and open everything that user may read.
    return _Purpose(site, "" if gitea.is_gitea(site) else scope)


def _options(site: Site, challenges: Sequence[Challenge], *, inside: bool) -> list[Login]:
    """The ways that are open, the best first: a token, then the password itself if there is one."""
    bearers: list[Login] = [
        Bearer(challenge.params["realm"], challenge.params.get("service"), inside)
        for challenge in challenges
        if challenge.scheme == "bearer" and challenge.params.get("realm")
    ]
    usable = site.credentials is not None and not site.credentials.is_identity_token
    basic: list[Login] = (
        [Basic()] if usable and any(challenge.scheme == "basic" for challenge in challenges) else []
    )
    return bearers[:1] + basic


def _expect_token(answer: Answer, site: Site) -> None:
    if answer.status == HTTPStatus.OK:
        return
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise RegistryDeniedError(_refusal(answer, site))
    if answer.status == HTTPStatus.NOT_FOUND:
        raise RegistryProtocolError(
            f"{site.host} sends to the login service {answer.host}, which has nothing there (404)"
        )
    raise RegistryProtocolError(
        f"the login service {answer.host} of {site.host} answered with status {answer.status}"
    )


def _refusal(answer: Answer, site: Site) -> str:
    detail = excerpt(answer.body, site.credentials.password if site.credentials else "")
    if site.credentials and site.credentials.is_identity_token:
        return (
            f"the login service {answer.host} of {site.host} refused the identity token: "
            f"log in again to get another{detail}"
        )
    if site.credentials:
        return f"the login service {answer.host} of {site.host} refused the username or the password{detail}"
    return (
        f"the login service {answer.host} of {site.host} gives no token without a login, "
        f"and no credentials were sent{detail}"
    )


def _keep(kept: dict[_K, _V], key: _K, value: _V, most: int = MAX_KEPT) -> None:
    """Keep the newest, in the order they came."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
