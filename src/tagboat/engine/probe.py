"""Asks an instance on its loopback port whether it answers. Implements `tagboat.core.ports.Probe`."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from tagboat import __version__

_HOST = "127.0.0.1"
_CONNECT_S = 2.0
_WHOLE_S = 5.0
_STAYS_OPEN_S = 0.15
_LONGEST_LINE = 8192
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})\b")


class LoopbackProbe:
    """Probes 127.0.0.1. Never raises: None is a yes, a text says why not."""

    async def http(self, port: int, path: str) -> str | None:
        """GET `path` (which may have a query): 2xx and 3xx are a yes."""
        try:
            async with asyncio.timeout(_WHOLE_S), _connected(port) as (reader, writer):
                writer.write(_request(path))
                await writer.drain()
                status = await _status(reader)
        except TimeoutError:
            return f"no answer within {_WHOLE_S:g} s"
        except _NoConnectionError as error:
            return str(error)
        except OSError:
            return "it closed the connection without an answer"
        except ValueError:
            return "it answered something that is not HTTP"
        return None if 200 <= status < 400 else f"answered HTTP {status}"  # noqa: PLR2004 - the classes of HTTP

    async def tcp(self, port: int) -> str | None:
        """Connect; a yes is a connection that stays open for a moment or brings data.

        Docker's own proxy accepts every connection to a published port and closes it at once while the app does not listen
        yet, so that having connected proves nothing.
        """
        try:
            async with _connected(port) as (reader, _), asyncio.timeout(_STAYS_OPEN_S):
                if not await reader.read(1):
                    return "nothing listens on the port yet"
        except _NoConnectionError as error:
            return str(error)
        except TimeoutError:
            return None
        except OSError:
            return "nothing listens on the port yet"
        return None


class _NoConnectionError(Exception):
    """No connection came about; the text says why."""


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(_HOST, port, limit=_LONGEST_LINE)
    except TimeoutError:
        raise _NoConnectionError(f"no connection within {_CONNECT_S:g} s") from None
    except ConnectionRefusedError:
        raise _NoConnectionError("connection refused") from None
    except (OSError, OverflowError) as error:
        raise _NoConnectionError(f"no connection: {error}") from error
    try:
        yield reader, writer
    finally:
        # Not a polite close: what the app still has to send is not wanted.
        writer.transport.abort()


def _request(path: str) -> bytes:
    # Line breaks and whatever else would end the request line early are percent-encoded; what is encoded stays as it is.
    target = quote("/" + path.removeprefix("/"), safe="/?&=:;,@!$'()*+~%[]|-._")
    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: tagboat/{__version__}\r\n"
    return f"{head}Accept: */*\r\nConnection: close\r\n\r\n".encode("ascii")


async def _status(reader: asyncio.StreamReader) -> int:
    """Read the answer's status, past interim ones (1xx). Raises ValueError for what is no HTTP answer."""
    while True:
        line = await reader.readline()
        if not line:
            raise ConnectionResetError
        match = _STATUS_LINE.match(line)
        if not match:
            raise ValueError(line)
        if not match[1].startswith(b"1"):
            return int(match[1])
        while (await reader.readline()).strip():
            pass
