"""HTTP to the provider: time-outs, size limits, no redirects, and no errors but the core's."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from socket import AF_UNSPEC, AddressFamily

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from tagboat import __version__
from tagboat.core.addresses import is_disguised, is_link_local
from tagboat.core.errors import IdentityProviderError
from tagboat.core.proxies import NO_PROXIES, Proxies, is_loopback_host, proxy_login

CONNECT_S, TOTAL_S = 5.0, 10.0
"""Seconds to connect with TLS, and for a whole request: a person is waiting."""
_MAX_BODY = 512 * 1024
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """A whole response with status 200 to 499, except redirects; `body` is any JSON value.

    `body` is None if the response is not JSON.
    """

    status: int
    body: object = field(repr=False)


class ProviderTransport:
    """Sends requests to the provider named `who`, through `proxies` if they apply.

    Connections are made inside the running loop when they are first needed.
    """

    def __init__(
        self,
        who: str,
        proxies: Proxies = NO_PROXIES,
        *,
        connect_s: float = CONNECT_S,
        total_s: float = TOTAL_S,
    ) -> None:
        self._who = who
        self._proxies = proxies
        self._timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=connect_s)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, url: str, token: str | None = None) -> ProviderResponse:
        """Get JSON, with `token` as a bearer token. Raises IdentityProviderError."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self._send("GET", url, headers, None)

    async def post(self, url: str, headers: Mapping[str, str], form: str) -> ProviderResponse:
        """Post an encoded form, and get JSON. Raises IdentityProviderError."""
        form_type = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._send("POST", url, {**headers, **form_type}, form)

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], form: str | None
    ) -> ProviderResponse:
        # Here too, although metadata is checked: the first address comes from the settings.
        expect_safe_url(url, self._who)
        try:
            return await self._exchange(method, URL(url, encoded=True), headers, form)
        except (TimeoutError, aiohttp.ServerTimeoutError):
            reason = "did not answer in time"
        except aiohttp.ClientConnectorCertificateError:
            reason = (
                "has a certificate that this machine does not trust; install its authority, "
                "or name its file in SSL_CERT_FILE"
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = f"cannot be reached ({type(error).__name__})"
            if isinstance(error, aiohttp.ClientConnectorDNSError):
                reason = "cannot be reached: its name cannot be resolved"
            elif isinstance(error, aiohttp.ClientConnectorError):
                reason = f"cannot be reached: {error.strerror or 'no connection'}"
        # The chain is cut because the library's texts hold whole URLs.
        raise IdentityProviderError(f"{self._who} ({shown_host_of(url)}) {reason}") from None

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], form: str | None
    ) -> ProviderResponse:
        proxy = self._proxies.of(url.scheme, url.host or "", url.port)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=16, resolver=_SafeResolver()),
                # Its cookies would be those of all people who sign in.
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                headers={"User-Agent": f"tagboat/{__version__}"},
            )
        async with self._session.request(
            method,
            url,
            headers={"Accept": "application/json", **headers},
            data=form,
            allow_redirects=False,
            proxy=f"http://{proxy}" if proxy else None,
            # Of https only: http is used on loopback, where there is no proxy.
            proxy_headers=proxy_login(proxy) or None,
        ) as response:
            expect_answer(response, f"{self._who} ({shown_host_of(str(url))})")
            body = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > _MAX_BODY:
                    raise IdentityProviderError(
                        f"{self._who} ({url.authority}) answered with over {_MAX_BODY} bytes"
                    )
            content: object = None
            # RecursionError: brackets in brackets.
            with contextlib.suppress(ValueError, RecursionError):
                content = json.loads(bytes(body))
            return ProviderResponse(response.status, content)


class _SafeResolver(AbstractResolver):
    """The system's resolver without link-local addresses, where clouds keep credentials."""

    def __init__(self) -> None:
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the allowed addresses of `host`. Raises OSError without one."""
        found = await self._system.resolve(host, port, family)
        allowed = [entry for entry in found if not is_link_local(entry["host"])]
        if not allowed:
            raise OSError("only link-local addresses")
        return allowed

    async def close(self) -> None:
        """Close the system's resolver."""
        await self._system.close()


def expect_safe_url(url: str, who: str) -> None:
    """Raise IdentityProviderError unless `url` is https, or http on loopback.

    A link-local address is refused, too.
    """
    try:
        parts = URL(url, encoded=True)
        host = parts.host or ""
    except ValueError:
        host = ""
    if not host or is_disguised(host) or is_link_local(host):
        raise IdentityProviderError(f"{who} names an address that is not asked for anything")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback_host(host)):
        raise IdentityProviderError(
            f"{who} names an address without TLS ({shown_host_of(url)}); "
            "tokens and secrets are sent over https only"
        )


def shown_host_of(url: str) -> str:
    """Return host and port of a URL, as messages name it."""
    return URL(url, encoded=True).authority.rpartition("@")[2]


def expect_answer(response: aiohttp.ClientResponse, host: str) -> None:
    """Raise IdentityProviderError for a 5xx or a redirect."""
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise IdentityProviderError(
            f"{host} failed with status {response.status}; its own log says why"
        )
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        # A redirected POST would bring the client secret to wherever it leads.
        raise IdentityProviderError(
            f"{host} answered with a redirect, which is not followed: "
            "TAGBOAT_OIDC_ISSUER must be the issuer's own URL"
        )
