"""Speaking to the server: JSON over HTTP, every failure one sentence."""

import ipaddress
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from tagboat import __version__
from tagboat.cli.place import Server
from tagboat.core.errors import NotFoundError, TagboatError
from tagboat.data_dir import server_runs
from tagboat.http.problem import NO_ADDRESS

if TYPE_CHECKING:
    from urllib.error import HTTPError
    from urllib.request import OpenerDirector, Request

TIMEOUT_S = 30.0
LONG_TIMEOUT_S = 120.0
"""For calls that make the server ask a registry before it answers."""

_NO_TLS = "WRONG_VERSION_NUMBER"
"""OpenSSL's name for an answer in the clear."""

_PAGE = 200
_MOST_BYTES = 64 << 20
_NOT_NOW = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)


class Answer(dict[str, Any]):
    """A JSON object that the server sent. A field that is not in it raises TagboatError."""

    def __missing__(self, name: str) -> object:
        raise TagboatError(
            f"the answer has no {name!r}: is that a Tagboat server of version {__version__}, like this command?"
        )


class ServerAwayError(TagboatError):
    """The server does not answer, or not now: it may be starting."""


class TokenRefusedError(TagboatError):
    """The server does not know the token, or wants one."""


class Client:
    """Calls of the API. All raise NotFoundError for a 404, TagboatError for every other failure.

    `find` says where the server is by now; without it, it stays where it was. `timeout_s` is how many seconds a call may
    take that says nothing else.
    """

    def __init__(
        self,
        server: Server,
        find: Callable[[], Server] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._find = find or (lambda: server)
        self._opener = _opener(server.url)

    def find_again(self) -> bool:
        """Look where the server is by now, and return whether that is news. Raises ServerAwayError where it is nowhere."""
        try:
            server = self._find()
        except TagboatError as error:
            raise ServerAwayError(str(error)) from None
        news = server != self._server
        self._server, self._opener = server, _opener(server.url)
        return news

    def get(self, path: str, **query: object) -> Answer:
        """GET `path` with `query`."""
        return self._call("GET", _with_query(path, query))

    def get_long(self, path: str, **query: object) -> Answer:
        """The same for what makes the server ask a registry first."""
        return self._call("GET", _with_query(path, query), timeout_s=LONG_TIMEOUT_S)

    def post(
        self, path: str, body: Mapping[str, object] | None = None, *, timeout_s: float | None = None
    ) -> Answer:
        """POST `body`, or nothing, to `path`."""
        return self._call("POST", path, body, timeout_s=timeout_s)

    def put(self, path: str, body: Mapping[str, object]) -> Answer:
        """PUT `body` to `path`."""
        return self._call("PUT", path, body)

    def patch(self, path: str, body: Mapping[str, object]) -> Answer:
        """PATCH `path` with `body`."""
        return self._call("PATCH", path, body)

    def delete(self, path: str, *, timeout_s: float | None = None, **query: object) -> Answer:
        """DELETE `path`; an answer with no content is empty."""
        return self._call("DELETE", _with_query(path, query), timeout_s=timeout_s)

    def items(self, path: str, **query: object) -> list[Answer]:
        """All items of a list, page by page."""
        found: list[Answer] = []
        page = self.get(path, limit=_PAGE, **query)
        found.extend(page["items"])
        while page["next"] is not None:
            page = self.get(path, limit=_PAGE, **query, cursor=page["next"])
            found.extend(page["items"])
        return found

    def health(self) -> Answer:
        """How the server is, also where it says so with a 503."""
        return self._call("GET", "/api/health", sound=(HTTPStatus.SERVICE_UNAVAILABLE,))

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        timeout_s: float | None = None,
        sound: tuple[int, ...] = (),
    ) -> Answer:
        """Call the API; an answer with a status in `sound` is taken like a 2xx, and one with no content is empty."""
        from http.client import HTTPException
        from urllib.error import HTTPError

        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            with self._opener.open(self._request(method, path, body), timeout=timeout_s) as answer:
                return (
                    Answer()
                    if answer.status == HTTPStatus.NO_CONTENT
                    else self._decode(answer.read(_MOST_BYTES))
                )
        except HTTPError as error:
            with error:
                said = _read(error)
            if error.code in sound:
                return self._decode(said)
            raise self._refusal(error, said) from None
        except OSError as error:
            raise self._unreachable(error, timeout_s) from None
        except (HTTPException, ValueError):
            raise self._stranger() from None

    def _request(self, method: str, path: str, body: Mapping[str, object] | None) -> "Request":
        from urllib.request import Request

        headers = {"Accept": "application/json"}
        if self._server.token:
            headers["Authorization"] = f"Bearer {self._server.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        return Request(self._server.url + path, data, headers, method=method)  # noqa: S310 - settings take http(s) only

    def _decode(self, body: bytes) -> Answer:
        try:
            answer = json.loads(body, object_hook=Answer)
        except (ValueError, RecursionError):
            raise self._stranger() from None
        if not isinstance(answer, Answer):
            raise self._stranger()
        return answer

    def _refusal(self, error: "HTTPError", body: bytes) -> TagboatError:
        if error.code == HTTPStatus.UNAUTHORIZED:
            does = "does not accept the token" if self._server.token else "wants a token"
            return TokenRefusedError(
                f"the server at {self._server.url} {does}; set TAGBOAT_TOKEN to its TAGBOAT_ADMIN_TOKEN"
            )
        if location := error.headers.get("location"):
            return TagboatError(
                f"{self._server.url} sends on to {location}; set TAGBOAT_URL to the server itself"
            )
        detail = _detail(body)
        if detail is None:
            detail = (
                f"the server at {self._server.url} answered {error.code} {error.reason}; "
                f"does {self._server.named_by} name it?"
            )
        if error.code == HTTPStatus.NOT_FOUND:
            # Where an id is not known, the address is noise.
            if detail == NO_ADDRESS:
                return NotFoundError(
                    f"there is nothing at {error.url.partition('?')[0]}; {self._server_is_right()}"
                )
            return NotFoundError(detail.rstrip("."))
        return ServerAwayError(detail) if error.code in _NOT_NOW else TagboatError(detail)

    def _unreachable(self, error: OSError, timeout_s: float) -> ServerAwayError:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return ServerAwayError(
                f"the server at {self._server.url} did not answer within {timeout_s:.0f} s; its log may say why"
            )
        why = (reason.strerror if isinstance(reason, OSError) else None) or reason
        away = f"the server at {self._server.url} cannot be reached ({why})"
        if self._server.named_by == "TAGBOAT_URL":
            if getattr(reason, "reason", None) == _NO_TLS:
                return ServerAwayError(
                    f"the server at {self._server.url} does not speak TLS; does TAGBOAT_URL have to begin with http://?"
                )
            return ServerAwayError(f"{away}; does it run there, and is TAGBOAT_URL right?")
        if server_runs(Path(self._server.named_by).parent):
            return ServerAwayError(
                f"{away}, though it runs: it may be starting, or too busy; its log may say why"
            )
        return ServerAwayError(
            "the server is not running (it ended without cleaning up): start it with 'tagboat serve'"
        )

    def _server_is_right(self) -> str:
        return f"is {self._server.named_by} right, and is the server as new as this command ({__version__})?"

    def _stranger(self) -> TagboatError:
        return TagboatError(
            f"what answers at {self._server.url} is not a Tagboat server; look at {self._server.named_by}"
        )


def _opener(url: str) -> "OpenerDirector":
    """An opener that follows no redirect, which would carry the token elsewhere, and sends nothing for loopback to a proxy."""
    from urllib import request

    opener = request.OpenerDirector()
    opener.addheaders = [("User-Agent", f"tagboat/{__version__}")]
    for handler in (
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPErrorProcessor(),
        request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    if not _is_loopback(urlsplit(url).hostname or ""):
        opener.add_handler(request.ProxyHandler())
    return opener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _with_query(path: str, query: Mapping[str, object]) -> str:
    return path + (f"?{urlencode(query, errors='replace')}" if query else "")


def _read(error: "HTTPError") -> bytes:
    """What came with an error; an answer cut short says nothing."""
    from http.client import HTTPException

    try:
        return error.read(_MOST_BYTES)
    except (OSError, HTTPException):
        return b""


def _detail(body: bytes) -> str | None:
    """The sentence of a problem, with every field's own where it is about several; None if it is no problem (RFC 9457)."""
    try:
        problem = json.loads(body)
        fields = [f"{entry['field']}: {entry['message']}" for entry in problem.get("errors") or ()]
        return (
            f"{problem['detail']} ({'; '.join(fields)})"
            if len(fields) > 1
            else str(problem["detail"])
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
