"""What went wrong, in core errors and in sentences a person can act on.

Nothing here repeats a URL's query, a header or a credential: redirects to object storage carry signatures.
"""

import errno
import json
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import TypeVar

import aiohttp
import msgspec

from tagboat.core.errors import (
    RegistryError,
    RegistryProtocolError,
    RegistryUnreachableError,
)
from tagboat.core.proxies import Proxy
from tagboat.registry.addresses import NotAskedError

# OpenSSL's numbers (openssl/x509_vfy.h), which the ssl module does not name.
_NOT_YET_VALID, _HAS_EXPIRED, _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH = 9, 10, 62, 64
_MAX_WAIT_S = 24 * 60 * 60
_EARLIEST_UNIX_TIME = 1_000_000_000
_MAX_EXCERPT = 200
_PROXIED = "asked through the proxy"
_E = TypeVar("_E", bound=RegistryError)

# The first that fits counts: many of the library's errors are also OSErrors, TimeoutErrors or ValueErrors.
_SENTENCES: tuple[tuple[tuple[type[Exception], ...], type[RegistryError], str], ...] = (
    (
        (aiohttp.ClientConnectorDNSError,),
        RegistryUnreachableError,
        "is a host name that cannot be resolved; is the URL right, and does DNS work?",
    ),
    (
        (aiohttp.ClientProxyConnectionError,),
        RegistryUnreachableError,
        "cannot be asked: no connection to the proxy; is it up, and HTTP_PROXY or HTTPS_PROXY right?",
    ),
    (
        (aiohttp.ConnectionTimeoutError,),
        RegistryUnreachableError,
        "did not accept a connection in time; is it up, and does a firewall let it through?",
    ),
    ((TimeoutError,), RegistryUnreachableError, "did not answer in time"),
    (
        (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError),
        RegistryUnreachableError,
        "closed the connection before its answer was complete",
    ),
    (
        (aiohttp.InvalidURL, UnicodeError),
        RegistryProtocolError,
        "is not an address that anything can be asked at; is the URL right?",
    ),
    (
        (aiohttp.ClientResponseError, ValueError),
        RegistryProtocolError,
        "answered something that is not proper HTTP; is it a registry?",
    ),
)


class Flaw(Enum):
    """What is wrong with a certificate that is not trusted."""

    NAME = "it is for another host"
    DATES = "it is not valid today"
    AUTHORITY = "nobody that is trusted has signed it"


class TlsFailureError(RegistryUnreachableError):
    """The connection stands, but TLS does not: a certificate with a `flaw`, or no TLS at all. Trying again does not help."""

    retryable = False
    flaw: "Flaw | None" = None


class TooLargeError(RegistryProtocolError):
    """An answer is longer than what was asked for can be."""


def for_good(error: _E) -> _E:
    """Mark an error, else retryable, as one that stays until somebody changes something."""
    error.retryable = False
    return error


def from_library(error: Exception, host: str) -> RegistryError:
    """Translate an exception that aiohttp, asyncio or ssl raised while `host` was being asked."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_refusal(error, host)
    refused = getattr(error, "os_error", None)
    if isinstance(refused, NotAskedError):
        return RegistryProtocolError(f"{host} {refused}")
    if isinstance(
        error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError
    ):
        return _tls_failure(error, host)
    for kinds, kind, sentence in _SENTENCES:
        if isinstance(error, kinds):
            return kind(f"{host} {sentence}")
    if isinstance(error, OSError):
        return RegistryUnreachableError(f"{host} {_os_failure(error)}")
    return RegistryUnreachableError(f"{host} could not be asked ({type(error).__name__})")


def by_proxy(error: RegistryError, proxy: Proxy | None) -> RegistryError:
    """The same error, which says through which proxy it came, if it came through one and does not say so yet."""
    if proxy is not None and _PROXIED not in str(error):
        error.args = (f"{error} ({_PROXIED} {proxy})",)
    return error


def wait_until(retry_after: str | None, now: datetime) -> datetime | None:
    """Read a `Retry-After` header (RFC 9110: seconds or a date): never before `now`, at most 24 hours after it.

    Docker Hub has put the Unix time there, which is no number of seconds that anybody would wait. None where there is no
    such header, or none that can be read.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0") or "0"
        # Compared by length first: thousands of digits are no number worth reading.
        far = len(digits) > len(str(_EARLIEST_UNIX_TIME))
        return now + timedelta(
            seconds=_MAX_WAIT_S if far else min(_seconds(int(digits), now), _MAX_WAIT_S)
        )
    try:
        named = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    if named.tzinfo is None:
        named = named.replace(tzinfo=UTC)
    return min(max(named, now), now + timedelta(seconds=_MAX_WAIT_S)).astimezone(UTC)


def _seconds(number: int, now: datetime) -> int:
    return number if number < _EARLIEST_UNIX_TIME else max(number - int(now.timestamp()), 0)


def parse_json(body: bytes, source: str) -> object:
    """Decode a body; raise RegistryProtocolError naming `source` if it is not JSON."""
    try:
        return msgspec.json.decode(as_utf8(body))
    except (ValueError, RecursionError):
        raise RegistryProtocolError(
            f"{source} answered something that is not JSON; is it a registry?"
        ) from None


def as_utf8(body: bytes) -> bytes:
    """JSON in the encoding that everybody sends, from whichever it is in. Raises ValueError if it is in none."""
    encoding = json.detect_encoding(body)
    return body if encoding == "utf-8" else body.decode(encoding).encode()


def registry_errors(body: bytes) -> list[tuple[str, str]]:
    """Code and message of each error in an error body of the distribution specification; empty if it is none."""
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return []
    errors = decoded.get("errors") if isinstance(decoded, dict) else None
    if not isinstance(errors, list):
        return []
    return [
        (str(e.get("code") or ""), str(e.get("message") or ""))
        for e in errors
        if isinstance(e, Mapping)
    ]


def excerpt(body: bytes, secret: str = "") -> str:
    """` (CODE: message; …)` from an error body, printable, at most 200 characters and without `secret`; else empty."""
    text = "; ".join(": ".join(part for part in pair if part) for pair in registry_errors(body))
    if secret:
        text = text.replace(secret, "***")
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    if not text:
        return ""
    return f" ({text[:_MAX_EXCERPT]}…)" if len(text) > _MAX_EXCERPT else f" ({text})"


def _proxy_refusal(error: aiohttp.ClientHttpProxyError, host: str) -> RegistryUnreachableError:
    if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        remedy = "give its user and password in HTTP_PROXY and HTTPS_PROXY, as http://USER:PASSWORD@HOST:PORT"
        return for_good(
            RegistryUnreachableError(
                f"{host} was not asked: the proxy wants a login (407); {remedy}"
            )
        )
    return RegistryUnreachableError(
        f"{host} was not asked: the proxy let nothing through, with status {error.status}"
    )


def _tls_failure(error: Exception, host: str) -> TlsFailureError:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    reason = getattr(cause, "reason", None) or ""
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"the TLS certificate of {host} is not trusted: {cause.verify_message.rstrip('.')}"
    elif reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        text = f"{host} does not speak TLS on this port; if it is meant to be plain HTTP, its URL must begin with http://"
    else:
        text = f"no TLS connection to {host} could be made" + (
            f": {reason.replace('_', ' ').lower()}" if reason else ""
        )
    failure = TlsFailureError(text)
    failure.flaw = (
        _flaw(getattr(cause, "verify_code", 0))
        if isinstance(cause, ssl.SSLCertVerificationError)
        else None
    )
    return failure


def _flaw(verify_code: int) -> Flaw:
    if verify_code in {_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH}:
        return Flaw.NAME
    return Flaw.DATES if verify_code in {_NOT_YET_VALID, _HAS_EXPIRED} else Flaw.AUTHORITY


def _os_failure(error: OSError) -> str:
    number = error.errno
    if number == errno.ECONNREFUSED:
        return "refused the connection; is the registry up and the URL right?"
    if number in {errno.ECONNRESET, errno.EPIPE}:
        return "closed the connection before its answer was complete"
    reason = os.strerror(number) if isinstance(number, int) and number > 0 else "connection failed"
    return f"cannot be reached: {reason.lower()}"
