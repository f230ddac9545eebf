import errno
import inspect
import socket
import ssl
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import client_exceptions
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tagboat.core.errors import RegistryError, RegistryProtocolError, RegistryUnreachableError
from tagboat.registry.failures import (
    TlsFailureError,
    error_detail,
    from_library,
    parse_json,
    wait_until,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = ConnectionKey(
    "h", 1, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
)
SECRET_URL = URL("https://storage.example.com/blob?signature=very-secret")
INFO = aiohttp.RequestInfo(SECRET_URL, "GET", CIMultiDictProxy(CIMultiDict()), SECRET_URL)
REFUSED = OSError(errno.ECONNREFUSED, "refused")
CERT = ssl.SSLCertVerificationError(1, "certificate verify failed")
CERT.verify_message = "self-signed certificate"

SAMPLES: dict[str, Exception] = {
    "ClientConnectionError": aiohttp.ClientConnectionError("Connector is closed"),
    "ClientConnectionResetError": aiohttp.ClientConnectionResetError(
        "Cannot write to closing transport"
    ),
    "ClientConnectorCertificateError": aiohttp.ClientConnectorCertificateError(KEY, CERT),
    "ClientConnectorDNSError": aiohttp.ClientConnectorDNSError(
        KEY, socket.gaierror(-2, "Name or service not known")
    ),
    "ClientConnectorError": aiohttp.ClientConnectorError(KEY, REFUSED),
    "ClientConnectorSSLError": aiohttp.ClientConnectorSSLError(
        KEY, ssl.SSLError(1, "handshake failure")
    ),
    "ClientError": aiohttp.ClientError(str(SECRET_URL)),
    "ClientHttpProxyError": aiohttp.ClientHttpProxyError(INFO, ()),
    "ClientOSError": aiohttp.ClientOSError(errno.ECONNRESET, "reset"),
    "ClientPayloadError": aiohttp.ClientPayloadError("not complete"),
    "ClientProxyConnectionError": aiohttp.ClientProxyConnectionError(KEY, REFUSED),
    "ClientResponseError": aiohttp.ClientResponseError(
        INFO, (), status=400, message=str(SECRET_URL)
    ),
    "ClientSSLError": aiohttp.ClientSSLError(KEY, ssl.SSLError(1, "handshake failure")),
    "ConnectionTimeoutError": aiohttp.ConnectionTimeoutError("Connection timeout"),
    "ContentTypeError": aiohttp.ContentTypeError(INFO, ()),
    "InvalidURL": aiohttp.InvalidURL(SECRET_URL),
    "InvalidUrlClientError": aiohttp.InvalidUrlClientError(SECRET_URL),
    "InvalidUrlRedirectClientError": aiohttp.InvalidUrlRedirectClientError(SECRET_URL),
    "NonHttpUrlClientError": aiohttp.NonHttpUrlClientError(SECRET_URL),
    "NonHttpUrlRedirectClientError": aiohttp.NonHttpUrlRedirectClientError(SECRET_URL),
    "RedirectClientError": client_exceptions.RedirectClientError(str(SECRET_URL)),
    "ServerConnectionError": aiohttp.ServerConnectionError("lost"),
    "ServerDisconnectedError": aiohttp.ServerDisconnectedError(),
    "ServerFingerprintMismatch": aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1),
    "ServerTimeoutError": aiohttp.ServerTimeoutError("timeout"),
    "SocketTimeoutError": aiohttp.SocketTimeoutError("timeout"),
    "TooManyRedirects": aiohttp.TooManyRedirects(INFO, ()),
    "UnixClientConnectorError": client_exceptions.UnixClientConnectorError("/x", KEY, REFUSED),
    "WSMessageTypeError": aiohttp.WSMessageTypeError("x"),
    "WSServerHandshakeError": aiohttp.WSServerHandshakeError(INFO, ()),
}


def library_errors() -> list[type[Exception]]:
    found = (kind for _, kind in inspect.getmembers(client_exceptions, inspect.isclass))
    return [
        kind
        for kind in found
        if issubclass(kind, Exception) and kind.__module__ == client_exceptions.__name__
    ]


@pytest.mark.parametrize("kind", library_errors(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_library_is_translated(kind: type[Exception]) -> None:
    error = SAMPLES.get(kind.__name__) or kind("x")
    assert type(error) is kind
    translated = from_library(error, "git.example.com")
    assert isinstance(translated, RegistryError)
    assert "git.example.com" in str(translated)
    assert "very-secret" not in str(translated)


@pytest.mark.parametrize(
    ("error", "kind", "words", "retryable"),
    [
        (
            SAMPLES["ClientConnectorError"],
            RegistryUnreachableError,
            "refused the connection; is the registry up",
            True,
        ),
        (SAMPLES["ClientConnectorDNSError"], RegistryUnreachableError, "cannot be resolved", True),
        (
            SAMPLES["ConnectionTimeoutError"],
            RegistryUnreachableError,
            "did not accept a connection in time",
            True,
        ),
        (SAMPLES["SocketTimeoutError"], RegistryUnreachableError, "did not answer in time", True),
        (
            SAMPLES["ClientPayloadError"],
            RegistryUnreachableError,
            "before its answer was complete",
            True,
        ),
        (
            SAMPLES["ClientOSError"],
            RegistryUnreachableError,
            "before its answer was complete",
            True,
        ),
        (SAMPLES["ClientResponseError"], RegistryProtocolError, "not proper HTTP", False),
        (
            SAMPLES["ClientConnectorCertificateError"],
            TlsFailureError,
            "not trusted: self-signed certificate",
            False,
        ),
        (SAMPLES["ClientConnectorSSLError"], TlsFailureError, "TLS", False),
        (ssl.SSLError(1, "x"), TlsFailureError, "TLS", False),
        (TimeoutError(), RegistryUnreachableError, "did not answer in time", True),
        (
            OSError(errno.EHOSTUNREACH, "x"),
            RegistryUnreachableError,
            "cannot be reached: no route to host",
            True,
        ),
        (
            OSError("strange"),
            RegistryUnreachableError,
            "cannot be reached: connection failed",
            True,
        ),
        (ValueError("x"), RegistryProtocolError, "not proper HTTP", False),
    ],
)
def test_what_is_said_and_whether_to_try_again(
    error: Exception, kind: type[RegistryError], words: str, *, retryable: bool
) -> None:
    translated = from_library(error, "git.example.com")
    assert type(translated) is kind
    assert words in str(translated)
    assert translated.retryable is retryable


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 5 ", 5),
        ("86400", 86400),
        ("86401", 86400),
        ("000000000000120", 120),
        ("9" * 5000, 86400),
        (str(int(NOW.timestamp()) + 300), 300),
        (str(int(NOW.timestamp()) - 300), 0),
        ("9999999999", 86400),
        ("Tue, 24 Nov 2026 12:01:30 GMT", 90),
        ("Tue, 24 Nov 2026 12:01:30 -0000", 90),
        ("Tue, 24 Nov 2026 13:01:30 +0100", 90),
        ("Tue, 24 Nov 2020 12:00:00 GMT", 0),
        ("Tue, 24 Nov 2099 12:00:00 GMT", 86400),
        ("Fri, 31 Dec 9999 23:59:59 -1400", 86400),
    ],
)
def test_retry_after(header: str, seconds: int) -> None:
    assert wait_until(header, NOW) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "header", [None, "", "soon", "-5", "1.5", "٣", "Tue, 99 Nov 2026 12:00:00 GMT"]
)
def test_retry_after_that_cannot_be_read(header: str | None) -> None:
    assert wait_until(header, NOW) is None


@given(st.text(max_size=40))
def test_retry_after_is_never_in_the_past_nor_far_off(header: str) -> None:
    found = wait_until(header, NOW)
    assert found is None or NOW <= found <= NOW + timedelta(hours=24)


def test_the_detail_is_capped_printable_and_without_the_password() -> None:
    body = (
        b'{"errors": [{"code": "DENIED", "message": "no\\n hunter2 here"}, '
        b'{"code": "X", "message": "%s"}]}' % (b"y" * 999)
    )
    shown = error_detail(body, "hunter2")
    assert shown.startswith(" (DENIED: no")
    assert "hunter2" not in shown
    assert shown.isprintable()
    assert len(shown) <= 205


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>hello</html>", b"[]", b'{"errors": 1}', b'{"errors": [1, null]}', b"[" * 100_000],
    ids=range(6),
)
def test_the_detail_of_what_is_no_registry_error_is_empty(body: bytes) -> None:
    assert error_detail(body) == ""


def test_parse_json_names_the_source() -> None:
    with pytest.raises(
        RegistryProtocolError, match="git.example.com answered something that is not JSON"
    ):
        parse_json(b"<html>", "git.example.com")
