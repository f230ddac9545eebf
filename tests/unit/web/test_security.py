import pytest
from starlette.requests import Request

from tagboat.core.errors import ForbiddenError
from tagboat.web.forms import Form
from tagboat.web.security import POLICY, check_origin, check_token, own_path


def a_request(**headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": sent})


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("/deploys?status=failed", "/deploys?status=failed"),
        ("/", "/"),
        ("/a//b", "/a//b"),
        ("", "/"),
        ("deploys", "/"),
        ("//evil.example.com", "/"),
        ("/\\evil.example.com", "/"),
        ("https://evil.example.com/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\n/evil.example.com", "/"),
        ("/\t/evil.example.com", "/"),
    ],
)
def test_only_paths_of_this_site_are_gone_to(address: str, kept: str) -> None:
    assert own_path(address) == kept


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-origin", "origin": "null"},
        {"sec_fetch_site": "none"},
        {"host": "tagboat.example.com", "origin": "https://tagboat.example.com"},
        {"host": "127.0.0.1:7070", "origin": "http://127.0.0.1:7070"},
    ],
)
def test_forms_of_our_own_pages_pass(headers: dict[str, str]) -> None:
    check_origin(a_request(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "tagboat.example.com"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "host": "a.example.com", "origin": "https://a.example.com"},
        {"host": "tagboat.example.com", "origin": "https://evil.example.com"},
        {"host": "127.0.0.1:7070", "origin": "http://127.0.0.1:8080"},
        {"host": "tagboat.example.com", "origin": "null"},
        {"origin": ""},
    ],
)
def test_forms_of_other_sites_do_not(headers: dict[str, str]) -> None:
    with pytest.raises(ForbiddenError, match="another site"):
        check_origin(a_request(**headers))


def test_the_token_is_in_the_form_or_in_the_header() -> None:
    check_token(a_request(), Form({"csrf": ("right",)}), "right")
    check_token(a_request(x_csrf_token="right"), Form(), "right")


@pytest.mark.parametrize(
    ("form", "header", "token"),
    [
        ("", "", "right"),
        ("wrong", "right", "right"),
        ("", "wrong", "right"),
        ("ü", "", "right"),
        ("", "", ""),
    ],
)
def test_any_other_token_is_refused(form: str, header: str, token: str) -> None:
    with pytest.raises(ForbiddenError, match="Reload the page"):
        check_token(a_request(x_csrf_token=header), Form({"csrf": (form,)}), token)


def test_the_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "frame-ancestors 'none'" in POLICY
