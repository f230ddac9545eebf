"""The registries that the documents name, which no machine of a test can look up.

Whoever asks the proxy for one of them gets to a registry of this process, over TLS.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.fake_registry import GITEA, FakeRegistry, fake_registry
from tests.support.forward_proxy import forward_proxy, pump
from tests.support.private_ca import PrivateCa

PASSWORD = "correct horse battery"
HOSTS = ("git.example.com", "1234.dkr.ecr.eu-central-1.amazonaws.com")
TAGS = ("v1.0.0", "v1.3.0", "v1.4.0", "v1.5.0-rc1", "v1.5.0", "main", "pr-41", "pr-42")
"""The tags of each image, oldest first."""
IMAGES = ("acme/shop", "acme/api", "acme/worker", "acme/app", "acme/site")


@dataclass(frozen=True)
class ExampleRegistries:
    """Both are needed to reach them: the proxy's URL and the file of the authority to trust."""

    proxy: str
    ca: Path
    digests: dict[str, str]


@contextmanager
def example_registries(folder: Path) -> Iterator[ExampleRegistries]:
    """Run them in a thread until the block ends."""
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        started = asyncio.run_coroutine_threadsafe(_start(stack, folder), loop)
        yield started.result(30)
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _start(stack: AsyncExitStack, folder: Path) -> ExampleRegistries:
    login = ("deploy", PASSWORD)
    registry = await stack.enter_async_context(fake_registry(GITEA, login=login))
    digests = _fill(registry)
    ca = PrivateCa(folder)
    context = ca.issue("registries", names=HOSTS).server_context()
    port = int(registry.url.rpartition(":")[2])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, their_writer), pump(their_reader, writer))

    front = await stack.enter_async_context(
        await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    )
    there = f"127.0.0.1:{front.sockets[0].getsockname()[1]}"
    # Where its login is, as it tells those who ask it.
    registry.url = f"https://{HOSTS[0]}"
    hosts = {f"{host}:443": there for host in HOSTS}
    proxy = await stack.enter_async_context(forward_proxy(hosts))
    return ExampleRegistries(f"http://{proxy.host}", ca.path, digests)


def _fill(registry: FakeRegistry) -> dict[str, str]:
    """Put the images there; return their digests by `IMAGE:TAG`."""
    config = {"os": "linux", "architecture": "amd64"}
    return {
        f"{image}:{tag}": registry.add_image(
            image, tag, config | {"created": f"2026-11-{day:02}T08:00:00Z", "author": image}
        )
        for image in IMAGES
        for day, tag in enumerate(TAGS, 1)
    }
