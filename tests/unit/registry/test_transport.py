"""Servers that fail in every way a server can.

Nothing but errors of the core's tree comes of it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import (
    RegistryError,
    RegistryProtocolError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
)
from tagboat.core.image import ImageName
from tagboat.registry.client import RegistryClient
from tagboat.registry.connections import Timeouts
from tagboat.registry.failures import TlsFailureError
from tests.support.clock import FakeClock
from tests.support.fake_registry import fake_registry, json_body, status
from tests.unit.registry.conftest import Sleeps

GOOD = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"tags":["a"]'
)
WHOLE = GOOD.replace(b"13", b"14") + b"}"


class RawServer:
    """Sends fixed bytes to each connection, one after the other the given answers, the last for
    ever; None: silence.
    """

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.connected = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = self.answers[min(self.connections, len(self.answers) - 1)]
        self.connections += 1
        self.connected.set()
        try:
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(
    *answers: bytes | None, context: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    made = RawServer(*answers)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


def image(port: int) -> ImageName:
    return ImageName(f"127.0.0.1:{port}", "acme/app")


def registry(url: str) -> Registry:
    return Registry(id="r1", name="r", url=url, kind=RegistryKind.OCI)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", RegistryUnreachableError, "closed the connection before its answer was complete"),
        (
            GOOD.replace(b"13", b"500"),
            RegistryUnreachableError,
            "closed the connection before its answer was complete",
        ),
        (
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ta',
            RegistryUnreachableError,
            "before its answer was complete",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            RegistryError,
            "127.0.0.1",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", RegistryProtocolError, "not proper HTTP"),
        (b"220 mail.example.com ESMTP\r\n\r\n", RegistryProtocolError, "not proper HTTP"),
        (b"\x00\xff\xfe\r\n\r\n", RegistryProtocolError, "not proper HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
            RegistryProtocolError,
            "not proper HTTP",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
            RegistryProtocolError,
            "is gzip, and it is not",
        ),
        (GOOD, RegistryProtocolError, "not JSON"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", RegistryProtocolError, "status 204"),
        (
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
            RegistryProtocolError,
            "not a web address",
        ),
        (
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: file:///etc/passwd\r\n\r\n",
            RegistryProtocolError,
            "redirects to",
        ),
        (
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://[x\r\n\r\n",
            RegistryProtocolError,
            "not a URL",
        ),
        (
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://[::zz]:1/\r\n\r\n",
            RegistryUnreachableError,
            "cannot be",
        ),
        (
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ?\r\n\r\n",
            RegistryProtocolError,
            "in circles",
        ),
        (
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
            RegistryUnreachableError,
            "127.0.0.1:1 refused",
        ),
    ],
)
async def test_broken_answers(
    client: RegistryClient, answer: bytes, kind: type[RegistryError], words: str
) -> None:
    async with raw_server(answer) as server:
        for call in (
            client.list_tags(image(server.port), None),
            client.resolve(image(server.port), "v1", None),
        ):
            with pytest.raises(RegistryError):
                await call
        with pytest.raises(kind, match=words):
            await client.list_tags(image(server.port), None)


@pytest.mark.anyio
async def test_nobody_there(client: RegistryClient, sleeps: Sleeps) -> None:
    with pytest.raises(
        RegistryUnreachableError,
        match="127.0.0.1:1 refused the connection; is the registry up and the URL right",
    ):
        await client.list_tags(image(1), None)
    assert sleeps == [0.2, 0.6]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host", ["a" * 64 + ".example.com", "999.999.999.999:5000", "[::zz]:1", "[:::]"]
)
async def test_hosts_that_cannot_be(client: RegistryClient, host: str) -> None:
    with pytest.raises(RegistryError, match="is not a valid|nor an address") as caught:
        await client.list_tags(ImageName(host, "acme/app"), None)
    assert not caught.value.retryable


@pytest.mark.anyio
async def test_silence(clock: FakeClock, sleeps: Sleeps) -> None:
    client = RegistryClient(
        clock=clock, sleep=sleeps, timeouts=Timeouts(connect=1, read=0.05, total=5)
    )
    async with raw_server(None) as server:
        with pytest.raises(RegistryUnreachableError, match="did not answer in time") as caught:
            await client.list_tags(image(server.port), None)
        assert caught.value.retryable
        assert server.connections == 3
        await client.close()


@pytest.mark.anyio
async def test_a_call_ends_after_its_whole_time(clock: FakeClock, sleeps: Sleeps) -> None:
    client = RegistryClient(
        clock=clock, sleep=sleeps, timeouts=Timeouts(connect=1, read=5, total=0.1, listing=0.2)
    )
    async with raw_server(None, None) as server:
        with pytest.raises(
            RegistryUnreachableError, match="did not finish answering within 0.1 seconds"
        ):
            await client.resolve(image(server.port), "v1", None)
        with pytest.raises(
            RegistryUnreachableError, match="did not finish answering within 0.2 seconds"
        ):
            await client.list_tags(image(server.port), None)
        await client.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "first",
    [b"", GOOD.replace(b"13", b"500"), b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"],
)
async def test_a_failure_that_passes_is_not_noticed(client: RegistryClient, first: bytes) -> None:
    async with raw_server(first, first, WHOLE) as server:
        assert await client.list_tags(image(server.port), None) == ["a"]
        assert server.connections == 3


@pytest.mark.anyio
async def test_what_is_not_implemented_is_not_asked_again(
    client: RegistryClient, sleeps: Sleeps
) -> None:
    async with fake_registry() as fake:
        digest = fake.add_image("acme/app", "v1", {})
        fake.answer_next(status(501))
        assert await client.resolve(ImageName(fake.host, "acme/app"), "v1", None) == digest
        assert [asked.method for asked in fake.asked] == ["HEAD", "GET"]
        assert sleeps == []


@pytest.mark.anyio
async def test_a_server_error_is_tried_three_times(client: RegistryClient, sleeps: Sleeps) -> None:
    async with fake_registry() as fake:
        fake.answer_next(*[status(500, body=b"secret stack trace")] * 3)
        with pytest.raises(RegistryUnreachableError, match="failed with status 500") as caught:
            await client.list_tags(ImageName(fake.host, "acme/app"), None)
        assert caught.value.retryable
        assert len(fake.asked) == 3
        assert sleeps == [0.2, 0.6]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "header", "seconds"),
    [
        (429, {"Retry-After": "30"}, 30),
        (429, {"Retry-After": "Tue, 24 Nov 2026 12:05:00 GMT"}, 300),
        (429, {"Retry-After": "99999999"}, 86400),
        (429, {}, None),
        (429, {"Retry-After": "soon"}, None),
        (503, {"Retry-After": "30"}, 30),
    ],
)
async def test_too_many_requests(
    client: RegistryClient, clock: FakeClock, code: int, header: dict[str, str], seconds: int | None
) -> None:
    async with fake_registry() as fake:
        fake.answer_next(status(code, header))
        with pytest.raises(RegistryRateLimitedError, match=fake.host) as caught:
            await client.list_tags(ImageName(fake.host, "acme/app"), None)
        assert caught.value.retry_at == (
            None if seconds is None else clock.now + timedelta(seconds=seconds)
        )
        assert len(fake.asked) == 1


@pytest.mark.anyio
async def test_who_took_long_to_fail_is_not_asked_again_at_once(
    client: RegistryClient, clock: FakeClock, sleeps: Sleeps
) -> None:
    def slowly(_: web.Request) -> web.Response:
        clock.advance(4.5)
        return web.Response(status=502)

    async with fake_registry() as fake:
        fake.answer_next(status(502), slowly, status(502))
        with pytest.raises(RegistryUnreachableError, match="failed with status 502"):
            await client.list_tags(image(int(fake.host.partition(":")[2])), None)
        assert (len(fake.asked), sleeps) == (2, [0.2])


@pytest.mark.anyio
async def test_too_many_tokens_count_as_too_many_requests(
    client: RegistryClient, clock: FakeClock
) -> None:
    async with fake_registry(auth="bearer") as fake:
        fake.answer_next(lambda _: None, status(429, {"Retry-After": "30"}))
        with pytest.raises(RegistryRateLimitedError) as caught:
            await client.list_tags(ImageName(fake.host, "acme/app"), None)
        assert caught.value.retry_at == clock.now + timedelta(seconds=30)


@pytest.mark.anyio
async def test_redirects_at_home_keep_the_login(client: RegistryClient) -> None:
    async with fake_registry(auth="bearer") as fake:
        fake.tags["acme/app"] = ["v1"]
        await client.list_tags(ImageName(fake.host, "acme/app"), None)
        fake.answer_next(status(307, {"Location": "/v2/acme/app/tags/list?moved=1"}))
        assert await client.list_tags(ImageName(fake.host, "acme/app"), None) == ["v1"]
        assert fake.asked[-1].authorization.startswith("Bearer ")


@pytest.mark.anyio
async def test_after_close_nothing_is_asked(clock: FakeClock, sleeps: Sleeps) -> None:
    client = RegistryClient(clock=clock, sleep=sleeps)
    async with fake_registry() as fake:
        fake.answer_next(json_body({"tags": ["a"]}))
        await client.list_tags(ImageName(fake.host, "acme/app"), None)
        await client.close()
        await client.close()
        with pytest.raises(
            RegistryUnreachableError, match="the registry client is closed"
        ) as caught:
            await client.list_tags(ImageName(fake.host, "acme/app"), None)
        assert not caught.value.retryable
        assert len(fake.asked) == 1


@pytest.mark.anyio
async def test_close_in_the_middle_of_a_call(clock: FakeClock, sleeps: Sleeps) -> None:
    client = RegistryClient(clock=clock, sleep=sleeps)
    async with raw_server(None) as server:
        call = asyncio.ensure_future(client.list_tags(image(server.port), None))
        await server.connected.wait()
        await client.close()
        with pytest.raises(RegistryUnreachableError, match="closed"):
            await call


def self_signed(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for 127.0.0.1 that nobody vouches for, and a client's
    that trusts it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    )
    built = (
        built.serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    built = built.add_extension(
        x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
    )
    certificate = built.sign(key, hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.mark.anyio
async def test_a_certificate_that_is_not_trusted(
    tmp_path: Path, clock: FakeClock, sleeps: Sleeps
) -> None:
    server_side, client_side = self_signed(tmp_path)
    strict = RegistryClient(clock=clock, sleep=sleeps)
    trust_context = RegistryClient(clock=clock, sleep=sleeps, ssl_context=client_side)
    async with raw_server(WHOLE, context=server_side) as server:
        there = registry(f"https://localhost:{server.port}")
        with pytest.raises(
            TlsFailureError, match="TLS certificate of localhost:[0-9]+ is not trusted: self-signed"
        ) as caught:
            await strict.list_tags(image(server.port), there)
        assert isinstance(caught.value, RegistryUnreachableError)
        assert not caught.value.retryable
        assert sleeps == []
        assert await trust_context.list_tags(image(server.port), there) == ["a"]
        with pytest.raises(TlsFailureError, match="not trusted"):
            await trust_context.list_tags(
                image(server.port), registry(f"https://127.0.0.1:{server.port}")
            )
        await strict.close()
        await trust_context.close()


@pytest.mark.anyio
async def test_plain_http_where_tls_is_expected(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        with pytest.raises(
            TlsFailureError,
            match="does not speak TLS on this port; if it is meant to be plain HTTP",
        ):
            await client.list_tags(
                ImageName(fake.host, "acme/app"), registry(fake.url.replace("http:", "https:"))
            )
