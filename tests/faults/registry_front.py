"""A front before a real registry that fails on demand, for Tagboat (`tagboat/` in the
User-Agent), the engine, or both.
"""

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}
_PATIENCE_S = 90.0


@dataclass(frozen=True)
class Fault:
    """What befalls requests by `agent` (its beginning) for a path with `path` in it, at most
    `times` of them.

    `status`, `code` and `headers` are an answer in the registry's place, `code` that of an error
    of the distribution specification, or `page` its body when it is none of a registry's; `cut`
    sends half of the body and hangs up; `hang` answers nothing before the fault is over; with
    `away` the front is closed to everybody from then on.
    """

    status: int | None = None
    code: str = "UNKNOWN"
    headers: Mapping[str, str] = field(default_factory=dict)
    page: bytes | None = None
    cut: bool = False
    hang: bool = False
    away: bool = False
    agent: str = ""
    path: str = "/"
    times: int = 1 << 30


class Front:
    """`host` is where images are pulled from.

    Nothing befalls anybody until `fail`, and after `mend`.
    """

    def __init__(self, registry: str) -> None:
        self.registry = registry
        self.asked: list[str] = []
        self.connections: set[socket.socket] = set()
        self._fault: Fault | None = None
        self._struck = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.open()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    def open(self) -> None:
        """Listen, on the port of the first time."""
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                front.connections.add(self.connection)

            def finish(self) -> None:
                front.connections.discard(self.connection)
                super().finish()

            def do_GET(self) -> None:
                front.serve(self)

            do_HEAD = do_GET  # noqa: N815 - as http.server wants it

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def close(self) -> None:
        """Refuse connections, and hang up on those there are."""
        self.mend()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in tuple(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def fail(self, fault: Fault) -> None:
        with self._lock:
            self._fault, self._struck = fault, 0
            self._over.clear()

    def mend(self) -> None:
        with self._lock:
            self._fault = None
            self._over.set()

    @property
    def struck(self) -> int:
        """How many requests the fault has befallen."""
        return self._struck

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        fault = self._befalls(request)
        if fault is not None and fault.away:
            self.close()
            return
        if fault is not None and fault.hang:
            self._over.wait(_PATIENCE_S)
        if fault is not None and fault.status is not None:
            said = json.dumps(
                {"errors": [{"code": fault.code, "message": "by order of the test"}]}
            ).encode()
            kind = "application/json" if fault.page is None else "text/html"
            body = said if fault.page is None else fault.page
            _send(request, fault.status, {"Content-Type": kind, **fault.headers}, body)
            return
        answer, body = self._fetch(request)
        _send(
            request,
            answer.status,
            dict(answer.getheaders()),
            body,
            cut=fault is not None and fault.cut,
        )

    def _befalls(self, request: BaseHTTPRequestHandler) -> Fault | None:
        agent = request.headers.get("User-Agent", "")
        with self._lock:
            self.asked.append(f"{agent.partition('/')[0]} {request.command} {request.path}")
            fault = self._fault
            if fault is None or not agent.startswith(fault.agent) or fault.path not in request.path:
                return None
            if self._struck >= fault.times:
                return None
            self._struck += 1
            return fault

    def _fetch(self, request: BaseHTTPRequestHandler) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.registry, timeout=_PATIENCE_S)
        try:
            connection.request(request.command, request.path, headers=dict(request.headers))
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    cut: bool = False,
) -> None:
    try:
        if cut and request.command == "HEAD":  # whose answer has no body to be cut
            request.connection.shutdown(socket.SHUT_RDWR)
        request.send_response(status)
        sent = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
        for name, value in ({"Content-Length": str(len(body))} | sent).items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        request.close_connection = True  # who asked has hung up


@contextmanager
def registry_front(registry: str) -> Iterator[Front]:
    front = Front(registry)
    try:
        yield front
    finally:
        front.close()
