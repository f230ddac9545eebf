"""Debian's `docker-registry` on a free loopback port.

Plain, with a login, over TLS, or notifying a webhook.
"""

import json
import secrets
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port
from tests.support.private_ca import Certificate

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Endpoint:
    """A URL that hears of every event. Times are Go durations."""

    url: str
    name: str = "tagboat"
    timeout: str = "2s"
    threshold: int = 3
    backoff: str = "200ms"


class DockerRegistry:
    """A registry whose content survives `stop` and is there again, on its port, after `start`."""

    def __init__(
        self,
        folder: Path,
        *,
        login: tuple[str, str] | None,
        endpoints: Sequence[Endpoint],
        tls: Certificate | None,
        token: Mapping[str, str] | None,
        data: Path | None,
        address: str,
    ) -> None:
        self.host = f"{address}:{free_port()}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self.login = login
        self.data = data or folder / "data"
        self._config = folder / "config.yml"
        self._log = folder / "registry.log"
        self._passwords = folder / "htpasswd"
        self._process: subprocess.Popen[bytes] | None = None
        if login:
            self._passwords.write_text(_htpasswd(*login))
        # JSON is YAML, and needs no writer for it.
        self._config.write_text(
            json.dumps(_config(self.host, self.data, endpoints, tls, _auth(folder, login, token)))
        )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(self._config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"docker-registry ended with status {self._process.returncode}:\n{self.log}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(
                    f"docker-registry did not answer within {_START_TIMEOUT_S:.0f} s:\n{self.log}"
                )
            time.sleep(0.02)

    def change_login(self, username: str, password: str) -> None:
        """Take only this login from the next `start` on."""
        self._passwords.write_text(_htpasswd(username, password))
        self.login = username, password

    def stop(self) -> None:
        """End it and wait until its port is closed; nothing if it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v2/", timeout=2):
                return True
        except urllib.error.HTTPError as error:
            with error:
                return error.code == 401
        except urllib.error.URLError as error:
            # A certificate that nobody trusts has come from somewhere.
            return isinstance(error.reason, ssl.SSLCertVerificationError)
        except OSError:
            return False


@contextmanager
def docker_registry(
    *,
    login: tuple[str, str] | None = None,
    endpoints: Sequence[Endpoint] = (),
    tls: Certificate | None = None,
    token: Mapping[str, str] | None = None,
    data: Path | None = None,
    address: str = "127.0.0.1",
) -> Iterator[DockerRegistry]:
    """Run a registry at an address of this network until the block ends.

    `login` makes it ask for that username and password (htpasswd, bcrypt).

    `token` is its configuration for a login service (see token_server), `data` a folder that
    another registry's content is in already.
    """
    with tempfile.TemporaryDirectory(prefix="tagboat-registry-") as folder:
        registry = DockerRegistry(
            Path(folder),
            login=login,
            endpoints=endpoints,
            tls=tls,
            token=token,
            data=data,
            address=address,
        )
        registry.start()
        try:
            yield registry
        finally:
            registry.stop()


def _htpasswd(username: str, password: str) -> str:
    made = subprocess.run(
        ["htpasswd", "-Bbn", username, password], check=True, capture_output=True, text=True
    )
    return made.stdout.strip() + "\n"


def _auth(
    folder: Path, login: tuple[str, str] | None, token: Mapping[str, str] | None
) -> Mapping[str, Mapping[str, str]] | None:
    if token:
        return {"token": token}
    return (
        {"htpasswd": {"realm": "tagboat tests", "path": str(folder / "htpasswd")}}
        if login
        else None
    )


def _config(
    host: str,
    data: Path,
    endpoints: Sequence[Endpoint],
    tls: Certificate | None,
    auth: Mapping[str, Mapping[str, str]] | None,
) -> Mapping[str, object]:
    http: dict[str, object] = {"addr": host, "secret": secrets.token_hex(16)}
    if tls:
        http["tls"] = {"certificate": str(tls.chain), "key": str(tls.key)}
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {
            "filesystem": {"rootdirectory": str(data)},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
        },
        "http": http,
        "notifications": {
            "endpoints": [
                {
                    "name": e.name,
                    "url": e.url,
                    "timeout": e.timeout,
                    "threshold": e.threshold,
                    "backoff": e.backoff,
                }
                for e in endpoints
            ]
        },
    }
    if auth:
        config["auth"] = auth
    return config
