"""One question to a registry: the login it takes, what its answer means, and what the question may cost."""

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from types import TracebackType

from tagboat.core.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RegistryUnreachableError,
    RepositoryUnknownError,
)
from tagboat.core.proxies import Proxy
from tagboat.registry.auth import Grant, Logins
from tagboat.registry.budget import Budgets
from tagboat.registry.challenges import parse_challenges
from tagboat.registry.failures import by_proxy, excerpt, parse_json, registry_errors
from tagboat.registry.site import Site
from tagboat.registry.transport import Answer, Clock, Request, Transport

HEAD_PROVES_NOTHING = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
"""Statuses with which a registry, or a proxy in front of it, may refuse a HEAD of what it gives to a GET."""

_REFUSALS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""Statuses with which registries refuse a token."""


class Asker:
    """Asks registries. `budgets` knows what they allow."""

    def __init__(
        self, transport: Transport, logins: Logins, budgets: Budgets, clock: Clock
    ) -> None:
        self._transport = transport
        self._logins = logins
        self._clock = clock
        self.budgets = budgets

    async def ask(
        self,
        site: Site,
        scope: str,
        request: Request,
        what: str,
        *,
        accept: Collection[int] = (HTTPStatus.OK,),
    ) -> Answer:
        """Send `request` with whatever login it takes; return an answer of 200 or a status in `accept`.

        `what` is asked for, in words. Raises RegistryError for what any other status means.
        """
        grant = await self._logins.grant(site, scope)
        answer = await self._transport.send(request.with_login(grant.header if grant else None))
        if answer.status in _REFUSALS and answer.url.origin() == request.url.origin():
            renewed = await self._renew(site, scope, answer, grant)
            if renewed is not None:
                answer = await self._transport.send(request.with_login(renewed.header))
            elif (
                answer.status == HTTPStatus.UNAUTHORIZED
                and grant is None
                and (error := unguided(site, answer, what))
            ):
                raise error
        if answer.url.origin() == request.url.origin():
            self.budgets.note(site, answer.headers, self._clock())
        if answer.status not in accept:
            expect_ok(answer, site, what)
        return answer

    async def _renew(
        self, site: Site, scope: str, answer: Answer, grant: Grant | None
    ) -> Grant | None:
        """Another login after a refusal, None where there is none: as the registry demands, else in place of a kept token."""
        challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", []))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            renewed = await self._logins.renew(
                site, scope, challenges, grant, inside=answer.leads_inside
            )
            if renewed is not None:
                return renewed
        # Tokens are called back, and run out before their time, and not every registry says so as it should.
        return await self._logins.replace(site, scope, challenges, grant) if grant else None

    async def fetch_json(self, site: Site, request: Request, what: str) -> object:
        """Send `request` as it is and decode the body of its 200. Raises RegistryError like `ask`."""
        answer = await self._transport.send(request)
        expect_ok(answer, site, what)
        return parse_json(answer.body, answer.host)

    def expect_budget(self, site: Site) -> None:
        """Raise BudgetSpentError if the registry's limit is used up as far as polls on schedule may use it."""
        self.budgets.expect_left(site, self._clock())

    def is_budget_spent(self, site: Site) -> bool:
        """Whether `expect_budget` would raise."""
        return self.budgets.is_spent(site, self._clock())


class Deadline:
    """Lets its block take so many seconds at most, else raises RegistryUnreachableError. Errors name the `proxy`, if any.

    A class and no generator, which would cost more than all else that a poll does to begin a call.
    """

    def __init__(self, site: Site, seconds: float, proxy: Proxy | None) -> None:
        self._site = site
        self._proxy = proxy
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            late = f"{self._site.host} did not finish answering within {self._seconds:g} seconds"
            raise by_proxy(RegistryUnreachableError(late), self._proxy) from None
        if isinstance(error, RegistryError):
            by_proxy(error, self._proxy)


def expect_ok(answer: Answer, site: Site, what: str) -> None:
    """Raise what a status other than 200 means for `what`."""
    if answer.status != HTTPStatus.OK:
        raise _refusal(answer, site, what)


def denied(site: Site, answer: Answer, what: str) -> RegistryDeniedError:
    """The error that says why `what` could not be had with the login there is."""
    detail = _detail(answer, site)
    if answer.url.origin() != site.base.origin():
        return RegistryDeniedError(
            f"{site.host} redirects to {answer.host}, which denied access to {what}; no credentials were sent there{detail}"
        )
    if site.credentials:
        return RegistryDeniedError(
            f"{site.host} denied access to {what} although credentials were sent; "
            f"either they are wrong, or their owner may not read it, or it does not exist{detail}"
        )
    return RegistryDeniedError(
        f"{site.host} denied access to {what}, and no credentials were sent; "
        f"either it does not exist, or it is private: enter a username and a password for this registry{detail}"
    )


def unguided(site: Site, answer: Answer, what: str) -> RegistryDeniedError | None:
    """The error for a 401 (or a 403 of the API's root) to a request without a login that offers no way to log in."""
    challenges = parse_challenges(answer.headers.getall("WWW-Authenticate", []))
    if any(
        offer.scheme == "basic" or (offer.scheme == "bearer" and offer.params.get("realm"))
        for offer in challenges
    ):
        return None
    return RegistryDeniedError(
        f"{site.host} denied access to {what} with status {answer.status}, and does not say how to log in (there is no "
        f"WWW-Authenticate header that can be used); perhaps a proxy in front of it answered instead{_detail(answer, site)}"
    )


def _refusal(answer: Answer, site: Site, what: str) -> RegistryError:
    codes = {code for code, _ in registry_errors(answer.body)}
    if answer.status == HTTPStatus.NOT_FOUND or "NAME_UNKNOWN" in codes:
        named = what.removeprefix(f"{site.host}/").removeprefix("a ")
        kind = RepositoryUnknownError if "NAME_UNKNOWN" in codes else RegistryNotFoundError
        return kind(f"{site.host} has no {named}{_detail(answer, site)}")
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return denied(site, answer, what)
    return RegistryProtocolError(
        f"{answer.host} answered with status {answer.status} for {what}{_detail(answer, site)}"
    )


def _detail(answer: Answer, site: Site) -> str:
    return excerpt(answer.body, site.credentials.password if site.credentials else "")
