"""Speaking to the server: JSON over HTTP, every failure one sentence."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from tagboat.cli.place import Server
from tagboat.core.errors import NotFoundError, TagboatError

TIMEOUT_S = 90.0
_LOOPBACK = ("127.", "localhost", "[::1]")
_MOST_BYTES = 64 << 20


class Client:
    """Calls of the API."""

    def __init__(self, server: Server) -> None:
        self._server = server
        host = urlsplit(server.url).netloc
        handlers = [urllib.request.ProxyHandler({})] if host.startswith(_LOOPBACK) else []
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 - decoded JSON
        """GET `path`; raise TagboatError."""
        return self.call("GET", path + (f"?{urlencode(query)}" if query else ""))

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - decoded JSON
        """POST `body` to `path`; raise TagboatError."""
        return self.call("POST", path, body)

    def items(self, path: str, **query: object) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        cursor = None
        while True:
            page = self.get(path, **{"limit": 200, **query, **({"cursor": cursor} if cursor else {})})
            found.extend(page["items"])
            cursor = page["next"]
            if cursor is None:
                return found

    def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - decoded JSON
        """Call the API and return the decoded answer; raise NotFoundError for a 404, TagboatError for any other failure."""
        headers = {"Accept": "application/json"}
        data = None
        if method == "POST" and body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self._server.url + path, data, headers, method=method)  # noqa: S310 - http(s) by settings
        if self._server.token:
            # Not an ordinary header: those are carried along to wherever a redirect leads.
            request.add_unredirected_header("Authorization", f"Bearer {self._server.token}")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return _decode(answer.read(_MOST_BYTES), self._server.url)
        except urllib.error.HTTPError as error:
            raise _refused(error, self._server.url) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise TagboatError(f"the server at {self._server.url} cannot be reached ({reason}); does it run?") from None


def _decode(body: bytes, url: str) -> Any:  # noqa: ANN401 - decoded JSON
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise TagboatError(f"what answers at {url} is no Tagboat server; look at TAGBOAT_URL") from None


def _refused(error: urllib.error.HTTPError, url: str) -> TagboatError:
    if error.code == HTTPStatus.UNAUTHORIZED:
        return TagboatError(f"the server at {url} does not accept the token; set TAGBOAT_TOKEN to its admin token")
    try:
        detail = str(json.loads(error.read(_MOST_BYTES))["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        detail = f"the server at {url} answered {error.code}"
    return NotFoundError(detail) if error.code == HTTPStatus.NOT_FOUND else TagboatError(detail)
