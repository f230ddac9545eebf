import pytest
from starlette.requests import Request

from tagboat.core.oidc import SignInAttempt
from tagboat.web.oidc_cookie import OidcCookie

COOKIE = OidcCookie(secure=True)


def request(header: str) -> Request:
    return Request({"type": "http", "headers": [(b"cookie", header.encode("latin-1"))]})


def sent_back(path: str, cookie: OidcCookie = COOKIE) -> tuple[SignInAttempt, str] | None:
    _, value = cookie.set_header(SignInAttempt("s" * 43), path)
    return cookie.read(request(value.decode().partition(";")[0]))


@pytest.mark.parametrize("path", ["/", "/deploys?status=failed&q=a%20b", "/ä;,=\u2603"])
def test_attempt_and_path_come_back(path: str) -> None:
    assert sent_back(path) == (SignInAttempt("s" * 43), path)


def test_a_path_that_is_too_long_is_forgotten() -> None:
    assert sent_back("/" + "x" * 3_000) == (SignInAttempt("s" * 43), "/")


def test_a_path_to_another_site_is_none_of_ours() -> None:
    assert sent_back("//evil.example.com") == (SignInAttempt("s" * 43), "/")


@pytest.mark.parametrize("value", ["", "x", "s" * 42, "s" * 44 + ".Lw", "s" * 42 + "!.Lw"])
def test_without_a_secret_there_is_no_attempt(value: str) -> None:
    assert COOKIE.read(request(f"{COOKIE.name}={value}")) is None


@pytest.mark.parametrize("path", ["", "!", "_w", "Lw==", "L"])
def test_a_path_that_cannot_be_read_is_the_first_page(path: str) -> None:
    assert COOKIE.read(request(f"{COOKIE.name}={'s' * 43}.{path}")) == (
        SignInAttempt("s" * 43),
        "/",
    )


def test_over_tls_no_other_host_can_set_it() -> None:
    assert COOKIE.set_header(SignInAttempt("s"), "/")[1] == (
        b"__Host-tagboat-oidc=s.Lw; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
    )
    assert COOKIE.clear_header()[1].startswith(b"__Host-tagboat-oidc=; Path=/; Max-Age=0;")


def test_on_plain_loopback_it_has_no_prefix() -> None:
    plain = OidcCookie(secure=False)
    assert plain.set_header(SignInAttempt("s"), "/")[1].startswith(b"tagboat-oidc=s.Lw;")
    assert b"Secure" not in plain.set_header(SignInAttempt("s"), "/")[1]
    assert sent_back("/deploys", plain) == (SignInAttempt("s" * 43), "/deploys")
