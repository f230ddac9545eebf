"""The demo's server: the real one in its own process, used through its API."""

import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from demo.processes import Processes, Running
from demo.show import DemoError, say, title
from demo.waiting import await_value
from tagboat.ingress.process import end_haproxy

SERVER = "tagboat"
READY = "tagboat ready on "
_START_TIMEOUT_S = 180.0
_CALL_TIMEOUT_S = 60.0
_DEPLOY_TIMEOUT_S = 180.0
_PAGE_TIMEOUT_S = 10.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A proxy of the environment has no business with loopback."""


class Server:
    """A Tagboat server with its data in the demo's folder.

    `before` are the words of a program that runs it, `environ` more settings.
    """

    def __init__(
        self,
        folder: Path,
        processes: Processes,
        before: Sequence[str] = (),
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.data_dir = folder / "data"
        self.token_file = folder / "token"
        self.url = ""
        self._processes = processes
        self._before = before
        self._given = environ
        self._token = secrets.token_urlsafe(24)

    def start(self, port: int, ingress_port: int, engine_url: str) -> None:
        """Start server and HAProxy on these ports of 127.0.0.1; wait until ready, or DemoError."""
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(self._token + "\n")
        running = self._processes.start(
            SERVER,
            [*self._before, str(program()), "serve"],
            self._environ(port, ingress_port, engine_url),
        )
        log = self._processes.log(SERVER)
        self.url = await_value(
            lambda: self._look(running),
            _START_TIMEOUT_S,
            "the start of Tagboat",
            f"what it wrote is in {log}",
        )

    def call(self, method: str, path: str, body: object | None = None) -> Any:  # noqa: ANN401 - JSON
        """Call the API with the admin token. Raises DemoError with what it answered."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        return ask(method, self.url + path, headers, body)

    def add_account(self, name: str) -> None:
        """Make an admin to sign in as by a link; nobody gets to know its password."""
        body = {"name": name, "role": "admin", "password": secrets.token_urlsafe(24)}
        self.call("POST", "/api/users", body)

    def sign_in_link(self, name: str) -> str:
        """Return a new link that signs a browser in as an account, once; older ones end."""
        environ = os.environ | {"TAGBOAT_DATA_DIR": str(self.data_dir)}
        for other in ("TAGBOAT_URL", "TAGBOAT_TOKEN"):
            environ.pop(other, None)
        done = subprocess.run(
            [str(program()), "users", "sign-in-link", name],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"no sign-in link: {done.stderr.strip()}")
        return done.stdout.strip()

    def webhook_url(self) -> str:
        """The URL that senders call, with its secret."""
        return str(self.call("GET", "/api/settings/webhook")["url"])

    def await_end(self, deploy_id: str) -> Any:  # noqa: ANN401 - JSON
        """The deploy, once it has ended one way or another."""

        def look() -> Any:  # noqa: ANN401 - JSON
            deploy = self.call("GET", f"/api/deploys/{deploy_id}")
            return None if deploy["status"] in {"queued", "running"} else deploy

        log = self._processes.log(SERVER)
        return await_value(look, _DEPLOY_TIMEOUT_S, "the deploy", f"Tagboat's log is {log}")

    def await_live(self, deploy_id: str) -> Any:  # noqa: ANN401 - JSON
        """The instance that the deploy has brought.

        Raises DemoError when the deploy did not succeed.
        """
        deploy = self.await_end(deploy_id)
        if deploy["status"] != "succeeded":
            raise DemoError(
                f"the deploy of {deploy['tag']} {deploy['status']}: {deploy['reason']}\n"
                f"{deploy['log']}".rstrip()
            )
        return self.live(deploy["stage"]["id"])

    def end_ingress(self) -> bool:
        """End the HAProxy that Tagboat has started and that outlives it; whether there was one."""
        return end_haproxy(self.data_dir / "ingress")

    def live(self, stage_id: str) -> Any:  # noqa: ANN401 - JSON
        """The stage's live instance."""
        instances = self.call("GET", f"/api/instances?stage={stage_id}")["items"]
        return next(instance for instance in instances if instance["state"] == "live")

    def _environ(self, port: int, ingress_port: int, engine_url: str) -> dict[str, str]:
        others = {
            name: value for name, value in os.environ.items() if not name.startswith("TAGBOAT_")
        }
        return others | {
            "TAGBOAT_HOST": "127.0.0.1",
            "TAGBOAT_PORT": str(port),
            "TAGBOAT_DATA_DIR": str(self.data_dir),
            "TAGBOAT_DOCKER_HOST": engine_url,
            "TAGBOAT_INGRESS": "haproxy",
            "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{ingress_port}",
            "TAGBOAT_ADMIN_TOKEN_FILE": str(self.token_file),
            "TAGBOAT_LOG_FORMAT": "console",
            **self._given,
        }

    def _look(self, running: Running) -> str | None:
        written = self._processes.log(SERVER).read_text(errors="replace").splitlines()
        for line in written:
            if line.startswith(READY):
                return line.removeprefix(READY).strip()
        if not running.is_alive:
            raise DemoError(f"Tagboat ended at once:\n{self._processes.tail(SERVER)}")
        return None


def say_link(server: Server, account: str, heading: str) -> None:
    """Print a new link that signs a browser in as an account."""
    title(heading)
    say(server.sign_in_link(account))
    say(f"It signs you in as the admin “{account}”, once, within an hour.")


def program() -> Path:
    """The command `tagboat` beside the interpreter that runs this."""
    return Path(sys.executable).parent / "tagboat"


def ask(method: str, url: str, headers: dict[str, str], body: object | None = None) -> Any:  # noqa: ANN401 - JSON
    """Send JSON and return the JSON that is answered.

    Raises DemoError for anything but a success.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with _OPENER.open(request, timeout=_CALL_TIMEOUT_S) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(1000).decode(errors="replace")
        raise DemoError(f"Tagboat answered {error.code}: {said}") from None
    except OSError as error:
        raise DemoError(f"Tagboat does not answer: {error}") from None


def page(url: str) -> str:
    """The page at a URL of this machine. Raises OSError when it does not answer with one."""
    parts = urllib.parse.urlsplit(url)
    # Every name below localhost is this machine, but not every system's resolver knows (RFC 6761,
    # section 6.3).
    here = parts._replace(netloc=f"127.0.0.1:{parts.port}").geturl()
    with _OPENER.open(
        urllib.request.Request(here, headers={"Host": parts.netloc}), timeout=_PAGE_TIMEOUT_S
    ) as response:
        return str(response.read().decode()).strip()
