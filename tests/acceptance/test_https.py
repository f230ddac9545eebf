"""HTTPS as the README has it: Caddy in front of the real server, asking it which domains may
have a certificate.
"""

import asyncio
import ssl
import uuid
from pathlib import Path

import pytest

from tests.acceptance.test_push_to_running import publish
from tests.support.caddy import running_caddy
from tests.support.docker_registry import DockerRegistry
from tests.support.http_load import Client
from tests.support.ports import free_port
from tests.support.server import running_server

pytestmark = pytest.mark.anyio


async def test_a_domain_of_a_stage_gets_its_certificate_and_no_other_does(
    tmp_path: Path, engine_url: str, registry: DockerRegistry
) -> None:
    port = free_port()
    environ = {"TAGBOAT_INGRESS": "haproxy", "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{port}"}
    image = f"{registry.host}/acme/app-{uuid.uuid4().hex[:8]}"
    (tmp_path / "caddy").mkdir()
    with running_server(tmp_path, engine_url, **environ) as server:
        publish(image, "v1", body="hello")
        push = server.push(f"{image}:v1")
        changed = server.call(
            "PATCH",
            f"/api/stages/{push['stage']['id']}",
            {"domains": ["shop.example.com"], "watch_s": 0},
        )
        assert changed[0] == 200, changed
        assert (await asyncio.to_thread(server.ended, push["deploy"]))["status"] == "succeeded"
        async with running_caddy(tmp_path / "caddy", upstream=port, ask=server.port) as caddy:
            client = Client(caddy.port, tls=caddy.context(), server_name="shop.example.com")
            answer = await client.call("shop.example.com")
            assert (answer.status, answer.body.strip()) == (200, b"hello")
            await client.close()
            stranger = Client(caddy.port, tls=caddy.context(), server_name="stranger.example.com")
            with pytest.raises(ssl.SSLError):
                await stranger.call("stranger.example.com")
