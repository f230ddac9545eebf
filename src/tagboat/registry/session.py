"""A session with registries: the login that a request needs, the meaning of its response, a limit.

The limit is in time; what registries allow in numbers is noted (see `budget`).
"""

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
from tagboat.registry.auth import LoginCache
from tagboat.registry.budget import Budgets
from tagboat.registry.challenges import parse_challenges
from tagboat.registry.endpoint import RegistryEndpoint
from tagboat.registry.failures import by_proxy, error_detail, parse_json, registry_errors
from tagboat.registry.transport import (
    Clock,
    RegistryRequest,
    RegistryResponse,
    RegistryTransport,
)

HEAD_PROVES_NOTHING = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
"""Statuses with which a registry, or a proxy, may refuse a HEAD although a GET would succeed."""

_TOKEN_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""Statuses with which registries refuse a token."""

_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class RegistrySession:
    """Sends requests with the login that they need. `budgets` notes what registries allow."""

    def __init__(
        self, transport: RegistryTransport, logins: LoginCache, budgets: Budgets, clock: Clock
    ) -> None:
        self._transport = transport
        self._logins = logins
        self._clock = clock
        self.budgets = budgets

    async def request(
        self,
        endpoint: RegistryEndpoint,
        scope: str,
        request: RegistryRequest,
        what: str,
        *,
        accept: Collection[int] = (HTTPStatus.OK,),
    ) -> RegistryResponse:
        """Send `request` with the login it needs; return a response of 200 or in `accept`.

        `what` names in words what is asked for. Raises RegistryError for any other status.
        """
        grant = await self._logins.grant(endpoint, scope)
        response = await self._transport.send(request.with_login(grant.header if grant else None))
        # After a redirect, the refusal is that of another host, which never gets the login.
        if response.status in _TOKEN_REFUSED and response.url.origin() == request.url.origin():
            challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
            needs_login = response.status == HTTPStatus.UNAUTHORIZED
            renewed = None
            if needs_login:
                renewed = await self._logins.renew(
                    endpoint, scope, challenges, grant, inside=response.leads_inside
                )
            if renewed is None and grant:
                # Tokens are revoked, or expire early, and not every registry says so by a 401.
                renewed = await self._logins.replace(endpoint, scope, challenges, grant)
            if renewed is not None:
                response = await self._transport.send(request.with_login(renewed.header))
            elif (
                needs_login
                and grant is None
                and (error := no_login_offered(endpoint, response, what))
            ):
                raise error
        # Object storage has limits of its own.
        if response.url.origin() == request.url.origin():
            self.budgets.note(endpoint, response.headers, self._clock())
        if response.status not in accept:
            expect_ok(response, endpoint, what)
        return response

    async def fetch_json(
        self, endpoint: RegistryEndpoint, request: RegistryRequest, what: str
    ) -> object:
        """Send `request` as it is and decode the body of its 200. Raises RegistryError."""
        response = await self._transport.send(request)
        expect_ok(response, endpoint, what)
        return parse_json(response.body, response.host)

    def expect_budget(self, endpoint: RegistryEndpoint) -> None:
        """Raise BudgetSpentError if polls on schedule have used up their share of the limit."""
        self.budgets.expect_left(endpoint, self._clock())

    def is_budget_spent(self, endpoint: RegistryEndpoint) -> bool:
        """Return True if `expect_budget` would raise."""
        return self.budgets.is_spent(endpoint, self._clock())


class Deadline:
    """A time limit for its block. Raises RegistryUnreachableError, and adds the `proxy` to errors.

    A class, because entering a generator would cost more than everything else at the start of a
    call.
    """

    def __init__(self, endpoint: RegistryEndpoint, seconds: float, proxy: Proxy | None) -> None:
        self._endpoint = endpoint
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
            late = (
                f"{self._endpoint.host} did not finish answering within {self._seconds:g} seconds"
            )
            raise by_proxy(RegistryUnreachableError(late), self._proxy) from None
        if isinstance(error, RegistryError):
            by_proxy(error, self._proxy)


def expect_ok(response: RegistryResponse, endpoint: RegistryEndpoint, what: str) -> None:
    """Raise the error that a status other than 200 means for `what`."""
    if response.status == HTTPStatus.OK:
        return
    # Some registries send NAME_UNKNOWN with another status than 404.
    codes = {code for code, _ in registry_errors(response.body)}
    if response.status == HTTPStatus.NOT_FOUND or "NAME_UNKNOWN" in codes:
        # The host is named already: "HOST has no acme/app:v1".
        name = what.removeprefix(f"{endpoint.host}/").removeprefix("a ")
        kind = RepositoryUnknownError if "NAME_UNKNOWN" in codes else RegistryNotFoundError
        raise kind(f"{endpoint.host} has no {name}{_detail_without_password(response, endpoint)}")
    if response.status in _DENIED:
        raise denied(endpoint, response, what)
    raise RegistryProtocolError(
        f"{response.host} answered with status {response.status} for {what}"
        f"{_detail_without_password(response, endpoint)}"
    )


def denied(
    endpoint: RegistryEndpoint, response: RegistryResponse, what: str
) -> RegistryDeniedError:
    """Return the error for a 401 or 403 after the login that was possible."""
    detail = _detail_without_password(response, endpoint)
    if response.url.origin() != endpoint.base.origin():
        return RegistryDeniedError(
            f"{endpoint.host} redirects to {response.host}, which denied access to {what}; "
            f"no credentials were sent there{detail}"
        )
    if endpoint.credentials:
        return RegistryDeniedError(
            f"{endpoint.host} denied access to {what} although credentials were sent; either "
            f"they are wrong, or their owner may not read it, or it does not exist{detail}"
        )
    return RegistryDeniedError(
        f"{endpoint.host} denied access to {what}, and no credentials were sent; either it does "
        "not exist, or it is private: enter a username and a password for this registry"
        f"{detail}"
    )


def no_login_offered(
    endpoint: RegistryEndpoint, response: RegistryResponse, what: str
) -> RegistryDeniedError | None:
    """Return the error for a 401 (or 403 of the API's root) that offers no usable way to log in.

    None if it offers one.
    """
    challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
    if any(
        offer.scheme == "basic" or (offer.scheme == "bearer" and offer.params.get("realm"))
        for offer in challenges
    ):
        return None
    return RegistryDeniedError(
        f"{endpoint.host} denied access to {what} with status {response.status}, and does not say "
        "how to log in (there is no WWW-Authenticate header that can be used); perhaps a proxy in "
        f"front of it answered instead{_detail_without_password(response, endpoint)}"
    )


def _detail_without_password(response: RegistryResponse, endpoint: RegistryEndpoint) -> str:
    return error_detail(
        response.body, endpoint.credentials.password if endpoint.credentials else ""
    )
