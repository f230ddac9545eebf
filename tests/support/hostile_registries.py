"""A small fleet of registries that mean harm: endless, huge, dripping, lying, leading elsewhere.

Each listens on loopback.
"""

import asyncio
import itertools
import json
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MIB = 1024 * 1024


@dataclass
class Hostile:
    """A running one. `asked` are method, path with query, and `Authorization` of every request."""

    host: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Of one without TLS."""
        return f"http://{self.host}"


@asynccontextmanager
async def hostile(
    handler: Handler, address: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Hostile]:
    """Run a server that answers everything by `handler`, on a free port of a loopback `address`."""
    made = Hostile()

    async def handle(request: web.Request) -> web.StreamResponse:
        made.asked.append(
            (request.method, request.raw_path, request.headers.get("Authorization", ""))
        )
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, 0, ssl_context=tls).start()
        made.host = ":".join(map(str, runner.addresses[0][:2]))
        yield made
    finally:
        await runner.cleanup()


def body(content: bytes, **headers: str) -> Handler:
    """The same to everybody."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            body=content, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    return answer


def huge(size: int) -> Handler:
    """A list of tags of `size` bytes, all in one page, whatever is asked for."""
    return body(
        b'{"tags": ["' + b'","'.join(b"t%07d" % number for number in range(size // 11)) + b'"]}'
    )


def crowded(size: int) -> Handler:
    """A list with as many tags as fit into `size` bytes."""
    return body(b'{"tags": [' + b",".join([b'"a"'] * (size // 4)) + b"]}")


def junk(size: int) -> Handler:
    """Pages of one new tag and `size` bytes that mean nothing, each with a link to another."""
    padding = b",".join([b'{"a":{}}'] * (size // 9))
    numbers = itertools.count()

    async def answer(request: web.Request) -> web.Response:
        page = b'{"junk": [' + padding + b'], "tags": ["t%d"]}' % next(numbers)
        return web.Response(
            body=page, headers={"Link": f'<{request.path}?last={next(numbers)}>; rel="next"'}
        )

    return answer


def endless(per_page: int) -> Handler:
    """Pages of `per_page` new tags, for ever."""
    numbers = itertools.count()

    async def answer(request: web.Request) -> web.Response:
        tags = [f"t{next(numbers)}" for _ in range(per_page)]
        return web.json_response(
            {"tags": tags}, headers={"Link": f'<{request.path}?last={tags[-1]}>; rel="next"'}
        )

    return answer


def nested(size: int) -> Handler:
    """JSON as deep as it is long, where nobody looks."""
    return body(b'{"a": ' + b"[" * size)


@cache
def packed_blanks(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(b" " * MIB) for _ in range(size // MIB)) + packer.flush()


def bomb(size: int, coding: str = "gzip") -> Handler:
    """`size` bytes of blanks, packed into next to nothing."""
    return body(packed_blanks(size), Content_Encoding=coding)


def dripping(every_s: float) -> Handler:
    """One byte each `every_s` seconds."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(every_s)

    return answer


def leading_to(url: str) -> Handler:
    """A redirect, always."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": url})

    return answer


def asking_for_logins_at(*realms: str) -> Handler:
    """Wants a token of each of these login services in turn, and is never content."""
    left = list(realms)

    async def answer(_: web.Request) -> web.Response:
        realm = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(
            status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
        )

    return answer


async def giving_tokens(_: web.Request) -> web.Response:
    """A login service that lets everybody in, for a moment."""
    return web.json_response({"token": "t", "expires_in": 1})


def lying(digest: str) -> Handler:
    """Says of every manifest that it is the one of that digest."""
    manifest = json.dumps({"schemaVersion": 2, "config": {"digest": digest}}).encode()
    return body(manifest, Docker_Content_Digest=digest)
