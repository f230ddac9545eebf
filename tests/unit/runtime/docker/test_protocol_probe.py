"""The probe of apps that speak TLS, against a real one on loopback."""

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest

from tagboat.core.protocol import AppProtocol
from tagboat.runtime.docker.protocol_probe import ProtocolProbe
from tests.support.endpoints import at
from tests.support.private_ca import PrivateCa

pytestmark = pytest.mark.anyio


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(
        asyncio.IncompleteReadError, ConnectionError
    ):  # the probe hangs up when it knows enough
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
    writer.close()


async def test_no_authority_is_read_to_ask_an_app_whose_certificate_nobody_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = PrivateCa(tmp_path).issue("app").server_context()
    read: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *words: read.append(words))
    async with await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        assert await ProtocolProbe().ask(AppProtocol.HTTPS, at(port), "/") is None
        assert await ProtocolProbe().spoken(at(port)) is AppProtocol.HTTPS
    assert read == []
