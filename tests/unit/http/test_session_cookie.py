"""The cookie that a browser gets, and the token of its forms."""

import pytest

from tagboat.http.session_cookie import SessionCookie, csrf_token

SECRET = "A" * 42 + "_"


@pytest.mark.parametrize(
    ("secure", "header"),
    [
        (
            True,
            f"__Host-tagboat={SECRET}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure",
        ),
        (False, f"tagboat={SECRET}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"),
    ],
)
def test_the_cookie_is_for_this_host_and_no_script(secure: bool, header: str) -> None:
    assert SessionCookie(secure).set_header(SECRET) == (b"set-cookie", header.encode())
    cleared = SessionCookie(secure).clear_header()[1].decode()
    assert cleared == header.replace(SECRET, "").replace("2592000", "0")


@pytest.mark.parametrize(
    ("cookies", "found"),
    [
        ([f"__Host-tagboat={SECRET}"], SECRET),
        ([f"a=b; __Host-tagboat={SECRET}; c=d"], SECRET),
        (["a=b", f"__Host-tagboat={SECRET}"], SECRET),
        ([f"tagboat={SECRET}"], ""),
        ([f"x__Host-tagboat={SECRET}"], ""),
        (["__Host-tagboat="], ""),
        ([f"__Host-tagboat={SECRET}x"], ""),
        (["__Host-tagboat=' OR 1=1"], ""),
        ([f"__Host-tagboat=short; __Host-tagboat={SECRET}"], SECRET),
        (["\xff"], ""),
        ([], ""),
    ],
)
def test_only_what_can_be_ours_is_read(cookies: list[str], found: str) -> None:
    headers = [(b"cookie", one.encode("latin-1")) for one in cookies]
    assert SessionCookie(secure=True).read({"headers": headers}) == found


def test_forms_of_each_session_have_a_token_that_is_not_the_secret() -> None:
    assert csrf_token(SECRET) == csrf_token(SECRET)
    assert len({csrf_token(SECRET), csrf_token("B" * 43), SECRET}) == 3
