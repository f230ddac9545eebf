"""The real server with a real OpenID provider: people sign in on its pages, and out again."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from tests.support.canaille import Browser, Canaille, Person, canaille
from tests.support.ports import free_port
from tests.support.server import Server

PASSWORD = "a long local password"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def provider(port: int) -> Iterator[Canaille]:
    people = [
        Person("ada", "ada@example.com", ["admins", "staff"]),
        Person("bob", "bob@example.com", ["staff"]),
        Person("eve", "eve@example.com", ["guests"]),
    ]
    ours = f"http://127.0.0.1:{port}"
    with canaille(f"{ours}/oidc/callback", f"{ours}/sign-in", people) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, engine_url: str, provider: Canaille, port: int) -> Iterator[Server]:
    (tmp_path / "client-secret").write_text(provider.client_secret)
    environ = {
        "TAGBOAT_OIDC_ISSUER": provider.issuer,
        "TAGBOAT_OIDC_CLIENT_ID": provider.client_id,
        "TAGBOAT_OIDC_CLIENT_SECRET_FILE": "client-secret",
        "TAGBOAT_OIDC_SCOPES": "profile email groups",
        "TAGBOAT_OIDC_ROLES": "admins=admin,staff=viewer",
        "TAGBOAT_OIDC_NAME": "Canaille",
        "TAGBOAT_LOCAL_SIGN_IN": "false",
    }
    running = Server(tmp_path, engine_url, environ, port)
    running.start()
    yield running
    assert running.terminate() == 0
    assert provider.client_secret not in running.log() + running.out()


def accounts(server: Server) -> dict[str, str]:
    return {one["name"]: one["role"] for one in server.items("/api/users")}


def test_people_sign_in_with_the_role_of_their_group_and_out_on_both_sides(server: Server) -> None:
    browser = Browser()
    page = browser.sign_in(f"{server.url}/oidc/start?next=/deploys", "ada")
    assert browser.url == f"{server.url}/deploys"
    assert "ada" in page.lower()
    other = Browser()
    other.sign_in(f"{server.url}/oidc/start", "bob")
    assert accounts(server) == {"ada": "admin", "bob": "viewer"}

    # A second sign-in asks for no password, because the provider still knows the browser.
    browser.open(f"{server.url}/oidc/start?next=/deploys")
    assert browser.url == f"{server.url}/deploys"

    token = re.search(r'name="csrf" value="([^"]+)"', browser.open(f"{server.url}/deploys"))
    assert token is not None
    leaving = browser.open(f"{server.url}/sign-out", {"csrf": token[1]})
    refresh = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', leaving)
    assert refresh is not None
    browser.open(unescape(refresh[1]))
    assert browser.url == f"{server.url}/sign-in"
    browser.open(f"{server.url}/deploys")
    assert browser.url.startswith(f"{server.url}/sign-in")
    # Signed out there, too: the provider asks who it is.
    assert 'name="login"' in browser.open(f"{server.url}/oidc/start")


def test_who_has_no_group_with_a_role_gets_a_sentence(server: Server) -> None:
    page = Browser().sign_in(f"{server.url}/oidc/start", "eve")
    assert "Your account at Canaille has no role in Tagboat" in unescape(page)
    assert accounts(server) == {}


def test_without_passwords_the_command_line_still_makes_accounts(server: Server) -> None:
    (server.directory / "password").write_text(PASSWORD)
    given = ("--password-file", "password")
    made = server.cli("users", "create", "root", "--admin", *given)
    assert made.returncode == 0, made.stderr
    reset = server.cli("users", "reset-password", "root", *given)
    assert reset.returncode == 0, reset.stderr
    assert accounts(server) == {"root": "admin"}
    browser = Browser()
    assert 'type="password"' not in browser.open(f"{server.url}/sign-in")
    refused = browser.open(f"{server.url}/sign-in", {"name": "root", "password": PASSWORD})
    assert "switched off" in refused
    browser.open(f"{server.url}/deploys")
    assert browser.url.startswith(f"{server.url}/sign-in")
    # No link for an account that could not be used.
    assert "/setup/" not in server.log()
