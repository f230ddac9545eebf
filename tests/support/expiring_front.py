"""A front before a real registry whose passwords die, as those of cloud registries do."""

import http.client
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "host", "authorization"}
_EXPIRED = (
    b'{"errors":[{"code":"DENIED","message":'
    b'"Your authorization token has expired. Reauthenticate and try again."}]}'
)
USERNAME = "AWS"


class ExpiringFront:
    """Reads of the registry `behind`, with the password that `command` has printed.

    Each is good for `life_s` seconds, and until `expire`: then it is refused as Amazon ECR does.
    With `dies_at_pull`, all die as soon as anybody but Tagboat reads, once.
    """

    def __init__(self, behind: str, folder: Path, life_s: float) -> None:
        self.behind = behind
        self.life_s = life_s
        self.refused = 0
        self.dies_at_pull = False
        self._printed = folder / "printed"
        self._printed.touch()
        self._not_before = 0.0
        script = folder / "give-password"
        script.write_text(
            f"#!/bin/sh\npassword=secret-$(date +%s.%N)\necho $password >> '{self._printed}'\n"
            f'printf \'{{"username":"{USERNAME}","password":"%s"}}\' $password\n'
        )
        script.chmod(0o700)
        self.command = str(script)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def passwords(self) -> list[str]:
        """All passwords that the command has printed, in order."""
        return self._printed.read_text().split()

    def expire(self) -> None:
        """Let all passwords die that were printed so far."""
        self._not_before = time.time()

    def accepts(self, authorization: str) -> bool:
        """Return whether this login is good now."""
        pair = b64decode(authorization.removeprefix("Basic ") or "").decode()
        password = pair.removeprefix(f"{USERNAME}:")
        if password not in self.passwords:
            return False
        made_at = float(password.removeprefix("secret-"))
        return made_at > max(self._not_before, time.time() - self.life_s)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(front: ExpiringFront) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            authorization = self.headers.get("Authorization", "")
            is_ours = self.headers.get("User-Agent", "").startswith("tagboat/")
            if authorization and front.dies_at_pull and not is_ours:
                front.dies_at_pull = False
                front.expire()
            if not authorization:
                challenge = ("WWW-Authenticate", 'Basic realm="ecr"')
                self.answer(401, [challenge], b"{}")
            elif not front.accepts(authorization):
                front.refused += 1
                self.answer(403, [("Content-Type", "application/json")], _EXPIRED)
            else:
                self.pass_on()

        def do_HEAD(self) -> None:
            self.do_GET()

        def pass_on(self) -> None:
            behind = http.client.HTTPConnection(front.behind, timeout=120)
            sent = {n: v for n, v in self.headers.items() if n.lower() not in _HOP_BY_HOP}
            behind.request(self.command, self.path, headers=sent)
            answer = behind.getresponse()
            self.answer(answer.status, answer.getheaders(), answer.read())
            behind.close()

        def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def expiring_front(behind: str, folder: Path, life_s: float = 3600) -> Iterator[ExpiringFront]:
    """A front before the registry at `behind` (`HOST:PORT`), with its command in `folder`."""
    front = ExpiringFront(behind, folder, life_s)
    try:
        yield front
    finally:
        front.close()
