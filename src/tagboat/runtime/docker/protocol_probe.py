"""Health checks of apps that speak TLS or HTTP/2, and finding out which: the whole `Probe`."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable
from http import HTTPStatus

from tagboat.core.endpoint import Endpoint
from tagboat.core.generics import T
from tagboat.core.health import CLOSED, REFUSED, Manner
from tagboat.core.protocol import AppProtocol, spoken
from tagboat.runtime.docker.h2c import NoHttp2Error, ask_by_h2c
from tagboat.runtime.docker.http_answer import ProbeAnswer, read_head
from tagboat.runtime.docker.probe import (
    PLAINLY,
    LoopbackProbe,
    http_request,
    problem_with,
    target,
)

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
        path: str | None,
        manner: Manner = PLAINLY,
    ) -> str | None:
        """GET `path` in `protocol`, and judge the answer as `http` does.

        Without a path any answer is a yes, whatever its status.
        """
        if protocol is AppProtocol.HTTP:
            return await (self.tcp(endpoint) if path is None else self.http(endpoint, path, manner))
        problem = None
        try:
            async with asyncio.timeout(manner.limit_s):
                if protocol is AppProtocol.HTTPS:
                    async with _connection(endpoint, _unverified()) as (reader, writer):
                        writer.write(http_request(path or "/", manner))
                        head = await read_head(reader)
                else:
                    head = await _head_by_h2c(endpoint, path or "/", manner)
            if path is not None:
                is_bad = not HTTPStatus.OK <= head.status < HTTPStatus.BAD_REQUEST
                told = f"answered HTTP {head.status}"
                problem = told if is_bad else problem_with(head, path, manner)
        except TimeoutError:
            problem = f"no answer within {manner.limit_s:g} s"
        except ConnectionRefusedError:
            problem = REFUSED
        # Before OSError and ValueError: each of these is one of them.
        except (ssl.SSLError, NoHttp2Error):
            problem = f"it does not speak {protocol.value}, which the project's protocol says"
        except ValueError:
            problem = "it answered something that is not HTTP"
        except (OSError, EOFError):
            problem = CLOSED
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
        tls, h2c = await asyncio.gather(
            _within(_shakes_hands(endpoint)), _within(_head_by_h2c(endpoint, "/", PLAINLY))
        )
        return AppProtocol.HTTPS if tls else (AppProtocol.H2C if h2c else None)


async def _within(asked: Awaitable[T]) -> T | None:
    """Return the answer if one comes soon."""
    with contextlib.suppress(OSError, EOFError, ValueError):
        async with asyncio.timeout(_SAYS_S):
            return await asked
    return None


async def _shakes_hands(endpoint: Endpoint) -> bool:
    async with _connection(endpoint, _unverified()):
        return True


async def _head_by_h2c(endpoint: Endpoint, path: str, manner: Manner) -> ProbeAnswer:
    async with _connection(endpoint) as (reader, writer):
        return await ask_by_h2c(reader, writer, target(path), manner)


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
