"""Registry errors: exceptions of libraries and error bodies, as core errors with a next step.

Nothing here repeats a URL's query, a header or a credential: redirects to object storage carry
signatures.
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
_MAX_DETAIL = 200
_PROXIED = "asked through the proxy"
_E = TypeVar("_E", bound=RegistryError)

# The first match counts: many of the library's errors are also OSErrors, TimeoutErrors or
# ValueErrors.
_SENTENCES: tuple[tuple[tuple[type[Exception], ...], type[RegistryError], str], ...] = (
    (
        (aiohttp.ClientConnectorDNSError,),
        RegistryUnreachableError,
        "is a host name that cannot be resolved; is the URL right, and does DNS work?",
    ),
    (
        (aiohttp.ClientProxyConnectionError,),
        RegistryUnreachableError,
        (
            "cannot be asked: no connection to the proxy; is it up, "
            "and HTTP_PROXY or HTTPS_PROXY right?"
        ),
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
        "is not a valid address; is the URL right?",
    ),
    (
        (aiohttp.ClientResponseError, ValueError),
        RegistryProtocolError,
        "answered something that is not proper HTTP; is it a registry?",
    ),
)


class Flaw(Enum):
    """Reasons why a certificate is not trusted."""

    NAME = "it is for another host"
    DATES = "it is not valid today"
    AUTHORITY = "no trusted authority has signed it"


class TlsFailureError(RegistryUnreachableError):
    """A connection without TLS, or a certificate with a `flaw`. Trying again does not help."""

    retryable = False
    flaw: "Flaw | None" = None


class ResponseTooLargeError(RegistryProtocolError):
    """A response longer than a valid one can be."""


def mark_permanent(error: _E) -> _E:
    """Mark an error that is else retryable: it stays until a person changes something."""
    error.retryable = False
    return error


def from_library(error: Exception, host: str) -> RegistryError:
    """Translate an exception that aiohttp, asyncio or ssl raised in a request to `host`."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_failure(error, host)
    refused = getattr(error, "os_error", None)
    if isinstance(refused, NotAskedError):
        return RegistryProtocolError(f"{host} {refused}")
    if isinstance(
        error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError
    ):
        return tls_failure(error, host)
    for kinds, kind, sentence in _SENTENCES:
        if isinstance(error, kinds):
            return kind(f"{host} {sentence}")
    if not isinstance(error, OSError):
        return RegistryUnreachableError(f"{host} could not be asked ({type(error).__name__})")
    number = error.errno
    if number == errno.ECONNREFUSED:
        reason = "refused the connection; is the registry up and the URL right?"
    elif number in {errno.ECONNRESET, errno.EPIPE}:
        reason = "closed the connection before its answer was complete"
    else:
        # Resolvers put their own negative numbers there, which the system has no text for.
        known = isinstance(number, int) and number > 0
        text = os.strerror(number) if known and number else "connection failed"
        reason = f"cannot be reached: {text.lower()}"
    return RegistryUnreachableError(f"{host} {reason}")


def by_proxy(error: RegistryError, proxy: Proxy | None) -> RegistryError:
    """Add the proxy, if any, to the text of an error, once, and return the error."""
    if proxy is not None and _PROXIED not in str(error):
        error.args = (f"{error} ({_PROXIED} {proxy})",)
    return error


def wait_until(retry_after: str | None, now: datetime) -> datetime | None:
    """Parse a `Retry-After` header (RFC 9110: seconds or a date): 24 hours after `now` at most.

    Never before `now`. None if the header is missing or invalid.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0") or "0"
        # Compared by length first: thousands of digits take long to parse.
        if len(digits) > len(str(_EARLIEST_UNIX_TIME)):
            return now + timedelta(seconds=_MAX_WAIT_S)
        seconds = int(digits)
        # Docker Hub has put the Unix time there.
        if seconds >= _EARLIEST_UNIX_TIME:
            seconds = max(seconds - int(now.timestamp()), 0)
        return now + timedelta(seconds=min(seconds, _MAX_WAIT_S))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max(date, now), now + timedelta(seconds=_MAX_WAIT_S)).astimezone(UTC)


def parse_json(body: bytes, source: str) -> object:
    """Decode a body. Raises RegistryProtocolError naming `source` if it is not JSON."""
    try:
        return msgspec.json.decode(as_utf8(body))
    except (ValueError, RecursionError):
        raise RegistryProtocolError(
            f"{source} answered something that is not JSON; is it a registry?"
        ) from None


def as_utf8(body: bytes) -> bytes:
    """Convert JSON from any encoding that RFC 4627 allowed to UTF-8. Raises ValueError."""
    encoding = json.detect_encoding(body)
    return body if encoding == "utf-8" else body.decode(encoding).encode()


def registry_errors(body: bytes) -> list[tuple[str, str]]:
    """Return code and message of each error in an error body (distribution specification).

    Empty if the body is anything else.
    """
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


def error_detail(body: bytes, secret: str = "") -> str:
    """Return ` (CODE: message; …)` from an error body, empty if it has none.

    Printable, at most 200 characters, and without `secret`.
    """
    # The text is shown to people and in logs: no control characters, no novel, no password.
    text = "; ".join(": ".join(part for part in pair if part) for pair in registry_errors(body))
    if secret:
        text = text.replace(secret, "***")
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    if not text:
        return ""
    return f" ({text[:_MAX_DETAIL]}…)" if len(text) > _MAX_DETAIL else f" ({text})"


def _proxy_failure(error: aiohttp.ClientHttpProxyError, host: str) -> RegistryUnreachableError:
    if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return mark_permanent(
            RegistryUnreachableError(
                f"{host} was not asked: the proxy wants a login (407); give its user and password "
                "in HTTP_PROXY and HTTPS_PROXY, as http://USER:PASSWORD@HOST:PORT"
            )
        )
    return RegistryUnreachableError(
        f"{host} was not asked: the proxy let nothing through, with status {error.status}"
    )


def tls_failure(error: Exception, host: str) -> TlsFailureError:
    """Translate an error of TLS, with the flaw of the certificate if that is the reason."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    reason = getattr(cause, "reason", None) or ""
    if isinstance(cause, ssl.SSLCertVerificationError):
        failure = TlsFailureError(
            f"the TLS certificate of {host} is not trusted: {cause.verify_message.rstrip('.')}"
        )
        code = getattr(cause, "verify_code", 0)
        # All other codes are about the chain of signatures.
        failure.flaw = Flaw.AUTHORITY
        if code in {_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH}:
            failure.flaw = Flaw.NAME
        elif code in {_NOT_YET_VALID, _HAS_EXPIRED}:
            failure.flaw = Flaw.DATES
        return failure
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return TlsFailureError(
            f"{host} does not speak TLS on this port; if it is meant to be plain HTTP, "
            "its URL must begin with http://"
        )
    detail = f": {reason.replace('_', ' ').lower()}" if reason else ""
    return TlsFailureError(f"no TLS connection to {host} could be made{detail}")
