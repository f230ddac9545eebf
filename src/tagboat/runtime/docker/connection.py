"""The connection to a Docker engine.

Made when first needed, every use of it limited in time, every failure one of ours.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

# aiodocker lets aiohttp's own errors and types through, so the code that maps them must know both.
import aiohttp
from aiodocker import Docker, DockerError
from msgspec import Struct, field

from tagboat.core.errors import EngineError, EngineUnavailableError, TagboatError
from tagboat.runtime.docker.address import EngineAddress, EngineTransport
from tagboat.runtime.docker.refusal import NO_CONNECTION, clean, other_version, refusal
from tagboat.runtime.docker.ssh import SshTunnel
from tagboat.runtime.docker.unreachable import why_unreachable

Explain = Callable[[DockerError], EngineError]

ASK_S = 20.0
CHANGE_S = 60.0
"""Seconds for a question to the engine, and for a call that changes something."""
_CONNECT_S = 20
# Another program at the address must not fill the memory with a line without end.
_LONGEST_MESSAGE = 1 << 20

_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""A connection on which nothing is said is known to be dead after a minute.

Linux asks after 30 s, and thrice 10 s later.
"""


class StreamRequest(Struct, frozen=True, kw_only=True):
    """A call whose answer is read as it comes: in all at most `limit_s` seconds (None.

    Any time), `idle_s` for each chunk.

    Without `idle_s` the engine may be silent for as long as the connection lives. That it has died
    is then for the transport to say: a Unix socket closes with its engine, TCP keeps asking, and so
    does ssh.
    """

    path: str
    doing: str
    idle_s: float | None
    limit_s: float | None = None
    method: str = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class DockerConnection:
    """One engine's API.

    The version is agreed on with the engine, and again after the connection was lost. `verifies`
    is whether an error of the engine itself is looked into, see `verify`.
    """

    def __init__(self, address: EngineAddress, *, verifies: bool = True) -> None:
        self._address = address
        self._verifies = verifies
        self._docker: Docker | None = None
        self._tunnel: SshTunnel | None = None

    @asynccontextmanager
    async def use(
        self, doing: str, limit_s: float | None, explain: Explain | None = None
    ) -> AsyncIterator[Docker]:
        """Lend the client for at most `limit_s` seconds (None: any time).

        Failures by then are raised as EngineError.

        `doing` completes "the engine could not …"; `explain` judges the engine's refusals in the
        place of `refusal`.
        """
        try:
            async with asyncio.timeout(limit_s):
                if self._tunnel is not None and not self._tunnel.passable:
                    await self.close()
                yield self._client()
        # From the caller's block, which runs in here: ours already, though some are ValueErrors.
        except TagboatError:
            raise
        except TimeoutError as error:
            raise self._lost("it gave no answer in time", doing) from error
        except DockerError as error:
            if error.status == NO_CONNECTION:
                # aiodocker's error is words only; its context is the system's error, with a number.
                why = await self._why(error.__context__ or error)
                raise self._lost(why, doing) from error
            if self._verifies and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                await self.verify(doing)
            if other_version(error):
                self._renegotiate()
            raise (explain(error) if explain else refusal(error, doing)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(await self._why(error), doing) from error
        except (ValueError, KeyError, TypeError) as error:
            # What aiodocker raises on an answer that is not the Docker API's, such as a proxy's
            # page.
            raise EngineError(
                f"{self._address.shown} does not answer like a Docker engine; check the address"
            ) from error

    @asynccontextmanager
    async def stream(
        self, request: StreamRequest, explain: Explain | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Lend the chunks of an answer's body; see `use` for what is raised."""
        async with self.use(request.doing, request.limit_s, explain) as docker:
            # Even where the body may be silent for days, the head of the answer comes soon.
            async with asyncio.timeout(_CONNECT_S if request.idle_s is None else request.idle_s):
                # aiodocker's public streams read a dropped connection as the end, never close the
                # response when the reader stops, and keep all of a log in memory.
                response = await docker._do_query(  # noqa: SLF001
                    request.path, request.method, params=request.params, headers=request.headers
                )
            try:
                yield _chunks_of(response, request.idle_s)
            finally:
                response.close()

    async def close(self) -> None:
        """Close every connection. A later use opens new ones."""
        docker, tunnel = self._docker, self._tunnel
        self._docker = self._tunnel = None
        if docker is not None:
            await docker.close()
            await docker.connector.close()
        if tunnel is not None:
            await tunnel.close()

    async def verify(self, doing: str) -> None:
        """Raise EngineUnavailableError where the engine takes no new connection.

        One that is told to stop ends its containers first. Meanwhile it answers, with errors of its
        own, on the connections that it has: those are closed then.
        """
        other = DockerConnection(self._address, verifies=False)
        try:
            async with other.use(doing, ASK_S) as docker:
                await docker.version()
        except EngineUnavailableError:
            await self.close()
            raise
        except EngineError:
            # Any answer will do.
            pass
        finally:
            await other.close()

    def _client(self) -> Docker:
        if self._docker is None:
            connector: aiohttp.BaseConnector
            match self._address.transport:
                case EngineTransport.UNIX:
                    connector = aiohttp.UnixConnector(str(self._address.socket))
                case EngineTransport.SSH:
                    self._tunnel = SshTunnel(self._address)
                    connector = aiohttp.UnixConnector(str(self._tunnel.path))
                case EngineTransport.TLS:
                    connector = aiohttp.TCPConnector(
                        ssl=_tls_context(self._address.certificates), socket_factory=_kept_alive
                    )
                case EngineTransport.PLAIN:
                    connector = aiohttp.TCPConnector(socket_factory=_kept_alive)
            # With a connector of our own aiodocker neither looks into the environment nor into
            # ~/.docker.
            self._docker = Docker(
                url=self._address.base_url,
                connector=connector,
                # No total: by default aiohttp breaks off any call after five minutes, long pulls
                # included.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            )
        return self._docker

    def _lost(self, why: str, doing: str) -> EngineUnavailableError:
        self._renegotiate()
        return EngineUnavailableError(
            f"the Docker engine at {self._address.shown} could not {doing}: {why}"
        )

    def _renegotiate(self) -> None:
        """Agree on the API's version again: another release may have taken the engine's place."""
        if self._docker is not None:
            self._docker.api_version = "auto"

    async def _why(self, error: BaseException) -> str:
        said = await self._tunnel.last_words() if self._tunnel else ""
        cause = getattr(error, "os_error", error)
        words = why_unreachable(cause, self._address.socket) or clean(str(cause))
        words = words or type(cause).__name__
        return f"ssh said: {clean(said)}" if said else words


async def messages(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Return the JSON objects of a stream, one a line.

    Raises ValueError when it is none; one that was cut short is left out.
    """
    pending = b""
    async for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield dict(json.loads(line))
        if len(pending) > _LONGEST_MESSAGE:
            raise ValueError("a message without end")


async def _chunks_of(
    response: aiohttp.ClientResponse, idle_s: float | None
) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(idle_s):
            chunk = await response.content.readany()
        if not chunk:
            return
        yield chunk


def _kept_alive(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def _tls_context(certificates: Path | None) -> ssl.SSLContext:
    if certificates is None:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    except OSError as error:
        raise EngineUnavailableError(
            "the TLS files for the Docker engine cannot be used; ca.pem, cert.pem and key.pem are"
            " expected in"
            f" {certificates}: {error}"
        ) from error
    return context
