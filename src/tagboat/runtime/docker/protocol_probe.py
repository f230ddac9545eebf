"""Health checks of apps that speak TLS or HTTP/2, and finding out which: the whole `Probe`."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable
from http import HTTPStatus

from tagboat import __version__
from tagboat.core.endpoint import Endpoint
from tagboat.core.generics import T
from tagboat.core.health import REFUSED, Manner
from tagboat.core.protocol import AppProtocol, spoken
from tagboat.runtime.docker import h2c
from tagboat.runtime.docker.http_answer import read_head
from tagboat.runtime.docker.probe import LoopbackProbe, http_request, target

_WHOLE_S = 5.0
_SAYS_S = 0.5
_LONGEST_GREETING = 4096
_BAD_REQUESTS = (b"HTTP/1.1 400", b"HTTP/1.0 400")
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ProtocolProbe(LoopbackProbe):
    """Probes 127.0.0.1 in any protocol. Never raises: None is a yes, a text says why not."""

    async def ask(
        self,
        protocol: AppProtocol,
        endpoint: Endpoint,
        path: str,
        host: str = "localhost",
        limit_s: float = _WHOLE_S,
    ) -> str | None:
        """GET `path` in `protocol`, with `host` as its Host: 2xx and 3xx are a yes.

        Waits at most `limit_s` seconds.
        """
        if protocol is AppProtocol.HTTP:
            return await self.http(endpoint, path)
        problem = None
        try:
            async with asyncio.timeout(limit_s):
                if protocol is AppProtocol.HTTPS:
                    async with _connection(endpoint, _unverified()) as (reader, writer):
                        writer.write(http_request(path, Manner(host=host, proto="https")))
                        status = (await read_head(reader)).status
                else:
                    status = await _status_by_h2c(endpoint, path, host)
            if not HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST:
                problem = f"answered HTTP {status}"
        except TimeoutError:
            problem = f"no answer within {limit_s:g} s"
        except ConnectionRefusedError:
            problem = REFUSED
        # Before OSError and ValueError: each of these is one of them.
        except (ssl.SSLError, h2c.NoHttp2Error):
            problem = f"it does not speak {protocol.value}, which the project's protocol says"
        except ValueError:
            problem = "it answered something that is not HTTP"
        except (OSError, EOFError):
            problem = "it closed the connection without an answer"
        return problem

    async def spoken(self, endpoint: Endpoint) -> AppProtocol | None:
        """Return the protocol spoken where HTTP/1.1 is not, None where nothing shows it."""
        heard = b""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_SAYS_S), _connection(endpoint) as (reader, writer):
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                while (
                    len(heard) < _LONGEST_GREETING
                    and not spoken(heard)
                    and (chunk := await reader.read(_LONGEST_GREETING))
                ):
                    heard += chunk
        found = spoken(heard)
        if found or (heard and not heard.startswith(_BAD_REQUESTS)):
            return found
        # Many only hang up on what they do not understand, or call it bad. Who answers in a
        # protocol speaks it.
        tls, h2c_status = await asyncio.gather(
            _within(_shakes_hands(endpoint)), _within(_status_by_h2c(endpoint, "/", "localhost"))
        )
        return AppProtocol.HTTPS if tls else (AppProtocol.H2C if h2c_status else None)


async def _within(asked: Awaitable[T]) -> T | None:
    """Return the answer if one comes soon."""
    with contextlib.suppress(OSError, EOFError, ValueError):
        async with asyncio.timeout(_SAYS_S):
            return await asked
    return None


async def _shakes_hands(endpoint: Endpoint) -> bool:
    async with _connection(endpoint, _unverified()):
        return True


async def _status_by_h2c(endpoint: Endpoint, path: str, host: str) -> int:
    async with _connection(endpoint) as (reader, writer):
        writer.write(
            h2c.h2c_request(
                target(path), host, [("user-agent", f"tagboat/{__version__}"), ("accept", "*/*")]
            )
        )
        while True:
            head = await reader.readexactly(h2c.HEAD_LENGTH)
            status, reply = h2c.heard(head, await reader.readexactly(h2c.payload_length(head)))
            if status is not None:
                return status
            writer.write(reply)


@contextlib.asynccontextmanager
async def _connection(
    endpoint: Endpoint, context: ssl.SSLContext | None = None
) -> AsyncIterator[_Streams]:
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=context)
    try:
        yield reader, writer
    finally:
        # Not a polite close: what the app still has to send is not wanted.
        writer.transport.abort()


def _unverified() -> ssl.SSLContext:
    """For an app on our own loopback port, whose certificate nobody else sees."""
    # Not the default one: that reads all the system's authorities, some 20 ms and 2 MB, to ask none
    # of them.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
