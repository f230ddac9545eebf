"""Canaille, an OpenID provider that others wrote, on loopback with its database in memory.

It runs in a process of its own: `python -m tests.support.canaille`, with its setup as JSON on
stdin. People sign in on its pages with name and password, as `Browser` does.
"""

import contextlib
import http.cookiejar
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any

from tests.support.ports import free_port

_ROOT = Path(__file__).parents[2]
_START_S = 60.0
_STOP_S = 10.0
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Person:
    """Somebody with an account at the provider."""

    name: str
    email: str
    groups: Sequence[str] = ()


@dataclass(frozen=True)
class Canaille:
    """A running provider. The client is confidential, with `client_secret_basic`."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)


class Browser:
    """Follows redirects, keeps cookies and fills in forms, like a person's browser.

    `stop_at` is the beginning of the URLs that it does not open, which are then in `stopped_at`.
    """

    def __init__(self, stop_at: str = "never:") -> None:
        self.stop_at = stop_at
        self.stopped_at = ""
        self.url = ""
        jar = http.cookiejar.CookieJar()
        browser = self

        class Redirects(urllib.request.HTTPRedirectHandler):
            def redirect_request(
                self,
                req: urllib.request.Request,
                fp: IO[bytes],
                code: int,
                msg: str,
                headers: HTTPMessage,
                newurl: str,
            ) -> urllib.request.Request | None:
                if newurl.startswith(browser.stop_at):
                    browser.stopped_at = newurl
                    return None
                return super().redirect_request(req, fp, code, msg, headers, newurl)

        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(jar), Redirects()
        )

    def open(self, url: str, form: Mapping[str, str] | None = None) -> str:
        """Open a page, or send a form to it, and return the page on which that ends."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        parts = urllib.parse.urlsplit(url)
        headers = {} if form is None else {"Origin": f"{parts.scheme}://{parts.netloc}"}
        try:
            with self._opener.open(
                urllib.request.Request(url, data, headers), timeout=120
            ) as answer:
                self.url = answer.geturl()
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                # Only a redirect that was not followed is no page.
                return "" if error.code in {302, 303} else str(error.read().decode())

    def sign_in(self, url: str, name: str) -> str:
        """Open a page that leads to the provider, sign in there, and agree to share the data.

        Return the page on which that ends.
        """
        self.open(url)
        self.open(self.url, {"login": name})
        page = self.open(self.url, {"password": PASSWORD})
        if 'value="accept"' in page:
            page = self.open(self.url, {"answer": "accept"})
        return page


@contextlib.contextmanager
def canaille(
    callback_url: str, after_logout_url: str, people: Sequence[Person]
) -> Iterator[Canaille]:
    """Run a provider that knows `people` and one client with those two addresses."""
    port = free_port()
    running = Canaille(f"http://127.0.0.1:{port}", "tagboat", secrets.token_urlsafe(24))
    setup = {
        "port": port,
        "client_secret": running.client_secret,
        "callback_url": callback_url,
        "after_logout_url": after_logout_url,
        "people": [asdict(person) for person in people],
    }
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.support.canaille"],
        cwd=_ROOT,
        env={**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1", "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(setup))
    process.stdin.close()
    try:
        _wait(f"{running.issuer}/.well-known/openid-configuration", process)
        yield running
    finally:
        process.terminate()
        process.wait(_STOP_S)


def _wait(url: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert process.poll() is None, "Canaille did not start"
            assert time.monotonic() < end, "Canaille does not answer"
            time.sleep(0.1)


def _serve(setup: Mapping[str, Any]) -> None:
    """Run Canaille in this process."""
    from canaille import create_app  # noqa: PLC0415 - only the process that runs it loads it
    from canaille.app import models  # noqa: PLC0415
    from canaille.backends import Backend  # noqa: PLC0415
    from joserfc.jwk import RSAKey  # noqa: PLC0415
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
            pass

    key = RSAKey.generate_key(2048)
    key.ensure_kid()
    app = create_app(
        config={
            "SECRET_KEY": secrets.token_hex(16),
            "WTF_CSRF_ENABLED": False,
            "PREFERRED_URL_SCHEME": "http",
            "SERVER_NAME": f"127.0.0.1:{setup['port']}",
            "CANAILLE": {
                "DATABASE": "memory",
                "JAVASCRIPT": False,
                "LOGGING": {"version": 1, "disable_existing_loggers": False},
                "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc"]}},
            },
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
        },
        env_file=None,
    )
    with app.app_context():
        groups: dict[str, list[Any]] = {}
        for person in setup["people"]:
            user = models.User(
                user_name=person["name"],
                display_name=person["name"],
                family_name=person["name"],
                formatted_name=person["name"].title(),
                emails=[person["email"]],
                password=PASSWORD,
            )
            Backend.instance.save(user)
            for group in person["groups"]:
                groups.setdefault(group, []).append(user)
        for name, members in groups.items():
            Backend.instance.save(models.Group(display_name=name, members=members))
        client = models.Client(
            client_id="tagboat",
            client_secret=setup["client_secret"],
            client_name="Tagboat",
            redirect_uris=[setup["callback_url"]],
            post_logout_redirect_uris=[setup["after_logout_url"]],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "profile", "email", "groups"],
            token_endpoint_auth_method="client_secret_basic",
        )
        Backend.instance.save(client)
        # ID tokens name these; a client has an identity once it is saved.
        Backend.instance.update(client, audience=[client])
        Backend.instance.save(client)
    server = make_server("127.0.0.1", setup["port"], app, threaded=True, request_handler=Quiet)
    server.serve_forever()


if __name__ == "__main__":
    _serve(json.load(sys.stdin))
