"""Realms that may be asked for a token, and tokens in their responses."""

from datetime import timedelta

import pytest
from yarl import URL

from tagboat.core.errors import RegistryProtocolError
from tagboat.registry.endpoint import RegistryEndpoint
from tagboat.registry.login_service import DEFAULT_LIFETIME, parse_token, usable_realm


@pytest.mark.parametrize(
    ("realm", "base", "expected"),
    [
        (
            "https://auth.example.com/token",
            "https://r.example.com",
            "https://auth.example.com/token",
        ),
        (
            "https://auth.example.com/token",
            "http://r.example.com",
            "https://auth.example.com/token",
        ),
        ("http://auth.example.com/token", "http://r.example.com", "http://auth.example.com/token"),
        ("/token", "https://r.example.com", "https://r.example.com/token"),
        (
            "https://me:pw@auth.example.com/t?x=1#f",
            "https://r.example.com",
            "https://auth.example.com/t?x=1",
        ),
        (
            "https://Auth.example.com/ToKen",
            "https://r.example.com",
            "https://auth.example.com/ToKen",
        ),
    ],
)
def test_usable_realm(realm: str, base: str, expected: str) -> None:
    assert str(usable_realm(realm, RegistryEndpoint(URL(base)))) == expected


@pytest.mark.parametrize(
    "realm", ["http://r.example.com/token", "ftp://x/y", "https://[x", "file:///etc/passwd"]
)
def test_realms_that_get_nothing(realm: str) -> None:
    with pytest.raises(RegistryProtocolError, match=r"r\.example\.com names a login service"):
        usable_realm(realm, RegistryEndpoint(URL("https://r.example.com")))


@pytest.mark.parametrize(
    ("body", "token", "seconds"),
    [
        (b'{"token": "t"}', "t", 60),
        (b'{"access_token": "t", "expires_in": 300}', "t", 300),
        (b'{"token": "t", "access_token": "u"}', "t", 60),
        (b'{"token": "", "access_token": "u", "expires_in": 0.5}', "u", 0.5),
        (b'{"token": "t", "expires_in": 0}', "t", 60),
        (b'{"token": "t", "expires_in": -5}', "t", 60),
        (b'{"token": "t", "expires_in": true}', "t", 60),
        (b'{"token": "t", "expires_in": "300"}', "t", 60),
    ],
)
def test_parse_token(body: bytes, token: str, seconds: float) -> None:
    assert parse_token(body, DEFAULT_LIFETIME, "a") == (token, timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 5}',
        b'{"token": "a b"}',
        b'{"token": "a\\r\\nX: y"}',
        b'{"token": "\xc3\xbc"}',
    ],
)
def test_what_is_no_token(body: bytes) -> None:
    with pytest.raises(RegistryProtocolError, match=r"auth\.example\.com"):
        parse_token(body, DEFAULT_LIFETIME, "auth.example.com")
