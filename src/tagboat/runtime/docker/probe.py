"""Health checks in plain HTTP and TCP: half of the `Probe` of a Docker engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import quote, unquote, urljoin, urlsplit

from tagboat import __version__
from tagboat.core.endpoint import LOOPBACK, Endpoint
from tagboat.core.health import CLOSED, NOBODY_LISTENS, REFUSED, Manner
from tagboat.runtime.docker.http_answer import LONGEST_LINE, ProbeAnswer, read_head, read_said

_CONNECT_WITHIN_S = 2.0
_STAYS_OPEN_S = 0.15
_AT_ONCE_S = 1.0
PLAINLY = Manner()


class LoopbackProbe:
    """Probes 127.0.0.1. Never raises: None is a yes, a text says why not."""

    async def http(self, endpoint: Endpoint, path: str, manner: Manner = PLAINLY) -> str | None:
        """GET `path` (which may have a query).

        2xx and 3xx are a yes, but for a redirect to the same path under https.
        """
        head, said = None, ""
        try:
            async with asyncio.timeout(manner.limit_s), _connected(endpoint) as (reader, writer):
                head = await _ask(reader, writer, path, manner)
                if head.status < 400:  # noqa: PLR2004 - the classes of HTTP
                    return problem_with(head, path, manner)
                said = await read_said(reader, head)
        except TimeoutError:
            # With a status the answer is known: a body that comes too late is left out.
            if head is None:
                return f"no answer within {round(manner.limit_s, 1):g} s"
        except _NoConnectionError as error:
            return str(error)
        except OSError:
            return CLOSED
        except ValueError:
            return "it answered something that is not HTTP"
        status = head.status
        phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
        # A body that only repeats the status in words adds nothing.
        repeated = {"", phrase.lower(), f"{status} {phrase}".lower()}
        more = "" if said.strip(" .").lower() in repeated else f": {said}"
        return f"answered HTTP {status}{more}"

    async def tcp(self, endpoint: Endpoint) -> str | None:
        """Connect.

        A yes is a connection that stays open for a moment or brings data, or any HTTP answer at
        once.

        Docker's own proxy accepts every connection to a published port and closes it at once while
        the app does not listen yet, so that having connected proves nothing. A paused or stuck app
        keeps connections open: that is for others to see.
        """
        try:
            async with _connected(endpoint) as (reader, _), asyncio.timeout(_STAYS_OPEN_S):
                if await reader.read(1):
                    return None
        except _NoConnectionError as error:
            return str(error)
        except TimeoutError:
            return None
        except OSError:
            pass
        # Some apps hang up on the silent, and answer a request all the same.
        try:
            async with asyncio.timeout(_AT_ONCE_S), _connected(endpoint) as (reader, writer):
                await _ask(reader, writer, "/", PLAINLY)
        except (TimeoutError, _NoConnectionError, OSError, ValueError):
            return NOBODY_LISTENS
        return None


class _NoConnectionError(Exception):
    """No connection came about; the text says why."""


@asynccontextmanager
async def _connected(
    endpoint: Endpoint,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            reader, writer = await asyncio.open_connection(
                endpoint.host, endpoint.port, limit=LONGEST_LINE
            )
    except TimeoutError:
        raise _NoConnectionError(f"no connection within {_CONNECT_WITHIN_S:g} s") from None
    except ConnectionRefusedError:
        raise _NoConnectionError(REFUSED) from None
    except (OSError, OverflowError) as error:
        raise _NoConnectionError(f"no connection: {error}") from error
    try:
        yield reader, writer
    finally:
        # Not a polite close: what the app still has to send is not wanted.
        writer.transport.abort()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, manner: Manner
) -> ProbeAnswer:
    writer.write(http_request(path, manner))
    await writer.drain()
    return await read_head(reader)


def problem_with(head: ProbeAnswer, path: str, manner: Manner) -> str | None:
    """Return why an answer below 400 is none: an app that forces https has not looked at it.

    None: it is one.
    """
    location = head.headers.get("location", "")
    try:
        named = urlsplit(location)
        leads_to = urlsplit(urljoin(f"{manner.proto}://{manner.host}/", location))
    except ValueError:
        return None
    # A path alone leads back into whatever scheme it was asked in.
    if not named.scheme and not named.netloc:
        return None
    is_same = _comparable(leads_to.path) == _comparable(urlsplit(path).path)
    if leads_to.scheme != "https" or not is_same:
        return None
    asked = f"HTTP {head.status} to the same path under https, which says nothing about its health"
    if manner.proto == "https":
        return (
            f"{asked}; let the app believe the header X-Forwarded-Proto, which says https already"
        )
    return (
        f"{asked}; with a TLS front, set TAGBOAT_PUBLIC_URL to its https:// address, so that it is"
        f" asked as that asks; without"
        " one, let the app answer this path in plain HTTP"
    )


def _comparable(path: str) -> str:
    """Return a path to compare.

    Percent-encoding and slashes at the ends are matters of spelling.
    """
    return unquote(path).strip("/")


def http_request(path: str, manner: Manner) -> bytes:
    """Return a GET of `path` as `manner` says, after which the connection is of no use any more."""
    lines = (
        f"GET {target(path)} HTTP/1.1",
        f"Host: {manner.host}",
        f"User-Agent: tagboat/{__version__}",
        "Accept: */*",
        # What a front adds: apps that force https look at X-Forwarded-Proto.
        f"X-Forwarded-For: {LOOPBACK}",
        f"X-Forwarded-Host: {manner.host}",
        f"X-Forwarded-Proto: {manner.proto}",
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


def target(path: str) -> str:
    """Return the path as a request names it.

    What would end its line early is percent-encoded, what is encoded stays as it is.
    """
    return quote("/" + path.removeprefix("/"), safe="/?&=:;,@!$'()*+~%[]|-._")
