"""The real server, with a runtime in memory whose apps all answer at once."""

import asyncio
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tagboat.core.image import Digest, ImageInfo, ImageName
from tagboat.runtime.memory import MemoryRuntime
from tagboat.settings import load_settings

PULLS_END = "BENCH_PULLS_GO_ON" not in os.environ


class AlwaysPulled(MemoryRuntime):
    """Holds every image that it is asked for."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    async def inspect_image(self, image: str) -> ImageInfo | None:
        """Return the image's description; the image is kept from now on."""
        name, _, digest = image.partition("@")
        host, _, path = name.partition("/")
        if digest and PULLS_END:
            self.publish(ImageName(host, path), Digest(digest))
            await self.pull(ImageName(host, path), Digest(digest), None, lambda _: None)
        return ImageInfo(tcp_ports=(8080,)) if PULLS_END else None

    async def pull(self, *words: Any) -> ImageInfo:  # noqa: ANN401 - the protocol's
        """Pull, unless that is to go on for ever."""
        if not PULLS_END:
            await asyncio.Event().wait()
        return await super().pull(*words)

    async def close(self) -> None:
        """There is nothing to close."""


def main() -> int:
    """Serve as the environment says."""
    server: Any = import_module("tagboat.app")
    engines: Any = import_module("tagboat.engine_choice")
    engines.DockerRuntime = AlwaysPulled
    code: int = server.serve(load_settings(os.environ, cwd=Path("/"), is_tty=False))
    return code


if __name__ == "__main__":
    sys.exit(main())
