"""Calls of the API: JSON over HTTP, each failure one sentence."""

import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tagboat import __version__
from tagboat.cli.client_errors import ServerAwayError, not_tagboat, refused, unreachable
from tagboat.cli.context import ServerAddress
from tagboat.core.errors import TagboatError

if TYPE_CHECKING:
    from urllib.request import OpenerDirector, Request

CALL_TIMEOUT_S = 30.0
# For calls that make the server ask a registry or the engine before it answers.
LONG_TIMEOUT_S = 120.0
# For silence between events: the server sends a heartbeat every 15 s.
EVENT_TIMEOUT_S = 20.0
# The most that the API answers at once.
_PAGE_ITEMS = 200
# Another program at that address could answer without end.
_LINES_AT_ONCE = 1 << 16
_MAX_ANSWER_BYTES = 64 << 20


class ApiObject(dict[str, Any]):
    """A JSON object of the server. A field that is missing raises TagboatError."""

    def __missing__(self, name: str) -> object:
        raise TagboatError(
            f"the answer has no field {name!r}. Is it a Tagboat server of version {__version__}, "
            "as this command?"
        )


class StreamEvent(NamedTuple):
    """A server-sent event; its name and its id may be empty, and its data an empty object."""

    name: str
    id: str
    data: ApiObject


class Client:
    """Calls of the API. All raise NotFoundError for a 404, TagboatError for other failures.

    `find` returns where the server is now; without it, the address never changes. `timeout_s` is
    the limit in seconds of calls that give none.
    """

    def __init__(
        self,
        server: ServerAddress,
        find: Callable[[], ServerAddress] | None = None,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._find = find or (lambda: server)
        self._opener = _build_opener(server.url)

    def find_again(self) -> bool:
        """Look up the server's address again; return whether it or the token has changed.

        Raises ServerAwayError if no server is found.
        """
        try:
            server = self._find()
        except TagboatError as error:
            raise ServerAwayError(str(error)) from None
        has_changed = server != self._server
        self._server, self._opener = server, _build_opener(server.url)
        return has_changed

    def get(self, path: str, **query: object) -> ApiObject:
        """GET `path` with `query`."""
        return self._call("GET", _with_query(path, query))

    def get_long(self, path: str, **query: object) -> ApiObject:
        """GET `path` with `query`, with time for the server to ask a registry or the engine."""
        return self._call("GET", _with_query(path, query), timeout_s=LONG_TIMEOUT_S)

    def post(
        self, path: str, body: Mapping[str, object] | None = None, *, timeout_s: float | None = None
    ) -> ApiObject:
        """POST `body`, or nothing, to `path`."""
        return self._call("POST", path, body, timeout_s=timeout_s)

    def put(self, path: str, body: Mapping[str, object]) -> ApiObject:
        """PUT `body` to `path`."""
        return self._call("PUT", path, body)

    def get_versioned(self, path: str) -> tuple[ApiObject, str | None]:
        """GET `path`; also return its version (ETag), None if the server names none."""
        return self._exchange("GET", path)

    def patch(
        self, path: str, body: Mapping[str, object], *, version: str | None = None
    ) -> ApiObject:
        """PATCH `path` with `body`. Raises StaleVersionError if it has not that `version` now."""
        return self._call("PATCH", path, body, version=version)

    def delete(self, path: str, *, timeout_s: float | None = None, **query: object) -> ApiObject:
        """DELETE `path`; an answer with no content is an empty object."""
        return self._call("DELETE", _with_query(path, query), timeout_s=timeout_s)

    def pages(self, path: str, **query: object) -> Iterator[ApiObject]:
        """GET a list page by page."""
        page = self.get(path, limit=_PAGE_ITEMS, **query)
        yield page
        while page["next"] is not None:
            page = self.get(path, limit=_PAGE_ITEMS, **query, cursor=page["next"])
            yield page

    def items(self, path: str, **query: object) -> list[ApiObject]:
        """GET all items of a list."""
        return [item for page in self.pages(path, **query) for item in page["items"]]

    def health(self) -> ApiObject:
        """GET the server's health, which comes with status 503 if the database is out."""
        return self._call("GET", "/api/health", accept=(HTTPStatus.SERVICE_UNAVAILABLE,))

    def events(self, **query: object) -> Iterator[ApiObject]:
        """Yield the server's events as they happen, until the server ends the stream.

        First comes one without a topic, whose `id` is the place in the stream. Raises
        NotFoundError if the server has no events, as older ones have none.
        """
        for event in self.stream("/api/events", query):
            yield event.data or ApiObject(id=event.id, topic="")

    def stream(
        self,
        path: str,
        query: Mapping[str, object],
        last_id: str = "",
        body: Mapping[str, object] | None = None,
    ) -> Iterator[StreamEvent]:
        """Yield the server-sent events of `path` from that after `last_id` on, until they end.

        With a `body`, it is posted, and the events are the answer.
        """
        method = "GET" if body is None else "POST"
        request = self._request(method, _with_query(path, query), body)
        request.add_header("Accept", "text/event-stream")
        if last_id:
            request.add_header("Last-Event-ID", last_id)
        with (
            self._failures(EVENT_TIMEOUT_S),
            self._opener.open(request, timeout=EVENT_TIMEOUT_S) as stream,
        ):
            fields: dict[str, str] = {}
            for line in stream:
                name, _, value = line.decode(errors="replace").rstrip("\r\n").partition(":")
                if name or value:
                    fields[name] = value.removeprefix(" ")
                    continue
                # A blank line ends an event; a heartbeat is a comment, which has no name.
                if "data" in fields or "id" in fields:
                    data = self._decode(fields.get("data", "{}").encode())
                    yield StreamEvent(fields.get("event", ""), fields.get("id", ""), data)
                fields = {}

    def lines(self, path: str, **query: object) -> Iterator[bytes]:
        """Yield the lines of an answer that is not JSON as a whole, each with its line feed."""
        request = self._request("GET", _with_query(path, query))
        with (
            self._failures(LONG_TIMEOUT_S),
            self._opener.open(request, timeout=LONG_TIMEOUT_S) as stream,
        ):
            rest = b""
            # Not by iteration: http.client's readline takes an answer that is cut off for its end.
            while part := stream.read(_LINES_AT_ONCE):
                *whole, rest = (rest + part).split(b"\n")
                yield from (line + b"\n" for line in whole)
            if rest:
                yield rest

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        timeout_s: float | None = None,
        accept: tuple[int, ...] = (),
        version: str | None = None,
    ) -> ApiObject:
        """Call the API; a status in `accept` counts as success, as every 2xx does."""
        answer, _ = self._exchange(
            method, path, body, timeout_s=timeout_s, accept=accept, version=version
        )
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        timeout_s: float | None = None,
        accept: tuple[int, ...] = (),
        version: str | None = None,
    ) -> tuple[ApiObject, str | None]:
        """Call the API; also return the version (ETag) of the answer."""
        from urllib.error import HTTPError

        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        request = self._request(method, path, body)
        if version is not None:
            request.add_header("If-Match", version)
        with self._failures(timeout_s):
            try:
                with self._opener.open(request, timeout=timeout_s) as answer:
                    is_empty = answer.status == HTTPStatus.NO_CONTENT
                    read = ApiObject() if is_empty else self._decode(answer.read(_MAX_ANSWER_BYTES))
                    return read, answer.headers.get("etag")
            except HTTPError as error:
                if error.code not in accept:
                    raise
                with error:
                    return self._decode(error.read(_MAX_ANSWER_BYTES)), None

    def _request(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> "Request":
        from urllib.request import Request

        headers = {"Accept": "application/json"}
        if self._server.token:
            headers["Authorization"] = f"Bearer {self._server.token}"
        if body is not None:
            # Not on calls without a body: a proxy might wait for one.
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        url = self._server.url + path
        return Request(url, data, headers, method=method)  # noqa: S310 - http(s) by the settings

    @contextmanager
    def _failures(self, timeout_s: float) -> Iterator[None]:
        """Turn the failures of urllib into errors that name the server."""
        from http.client import HTTPException, IncompleteRead
        from urllib.error import HTTPError

        try:
            yield
        except HTTPError as error:
            content = b""
            # An answer that is cut short explains nothing: the status has to do.
            with error, suppress(OSError, HTTPException):
                content = error.read(_MAX_ANSWER_BYTES)
            raise refused(self._server, error, content) from None
        except OSError as error:
            raise unreachable(self._server, error, timeout_s) from None
        except IncompleteRead:
            raise ServerAwayError(
                f"the server at {self._server.url} broke its answer off. Run the command again;"
                " the server's log may say why"
            ) from None
        # Bytes that are not HTTP, or a URL that cannot be used.
        except (HTTPException, ValueError):
            raise not_tagboat(self._server) from None

    def _decode(self, body: bytes) -> ApiObject:
        try:
            # A field that is missing at any depth is an error with its name.
            answer = json.loads(body, object_hook=ApiObject)
        except (ValueError, RecursionError):
            raise not_tagboat(self._server) from None
        if not isinstance(answer, ApiObject):
            raise not_tagboat(self._server)
        return answer


def _build_opener(url: str) -> "OpenerDirector":
    from urllib import request

    # urllib's default opener follows redirects, which would carry the token elsewhere.
    opener = request.OpenerDirector()
    opener.addheaders = [("User-Agent", f"tagboat/{__version__}")]
    for handler in (
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPErrorProcessor(),
        request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    # A proxy cannot reach the loopback of this machine.
    if not is_this_machine(urlsplit(url).hostname or ""):
        opener.add_handler(request.ProxyHandler())
    return opener


def is_this_machine(host: str) -> bool:
    """Return whether a host name or address is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _with_query(path: str, query: Mapping[str, object]) -> str:
    # A parameter with several values is sent once for each.
    return path + (f"?{urlencode(query, doseq=True, errors='replace')}" if query else "")
