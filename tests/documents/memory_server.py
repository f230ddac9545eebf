"""Real servers for the documents' commands, with a runtime in memory whose apps all answer.

One container is not Tagboat's own: `DOCUMENTS_THEIRS` is the image of `shop-web-1`, as
`NAME:TAG@DIGEST`, for a reader who moves in.

Each line on standard input is the environment of a server, which runs in a process of its own until
it is ended. To load the program takes longer than most pages do, so that it is done once.
"""

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tagboat.core.catalog import Registry
from tagboat.core.container_facts import ContainerFacts
from tagboat.core.image import Digest, ImageInfo, ImageName, parse_image_name
from tagboat.core.workload import WorkloadSpec
from tagboat.runtime.memory import MemoryImage, MemoryRuntime
from tagboat.settings import load_settings

THEIRS = "shop-web-1"
SERVER: Any = import_module("tagboat.app")
ENGINES: Any = import_module("tagboat.engine_choice")


class ReadersRuntime(MemoryRuntime):
    """Pulls whatever the registry has; what runs only once exits at once with 0."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()
        # Ids are counted: another server's, on the same data, must not be those of the one before.
        self._made = os.getpid() * 1000
        for network in ("shop_default", "acme"):  # Compose, or the reader, has made it
            self.add_network(network)

    async def pull(
        self,
        image: ImageName,
        digest: Digest,
        registry: Registry | None,
        progress: Callable[[str], None],
    ) -> ImageInfo:
        """Pull an app that listens on a port and writes a line."""
        name, _, their_digest = os.environ["DOCUMENTS_THEIRS"].partition("@")
        names = (name,) if digest == their_digest else ()
        info = ImageInfo(tcp_ports=(8080,))
        content = MemoryImage(info=info, log=("listening on port 8080",), names=names)
        self.publish(image, digest, content)
        return await super().pull(image, digest, registry, progress)

    async def start(self, workload: str) -> None:
        """Start it; it exits if it is a command that runs once."""
        await super().start(workload)
        if not self.spec(workload).restarts:
            self.exit(workload, 0)

    async def inspect_container(self, name: str) -> ContainerFacts | None:
        """Return the facts of a container; that of somebody else runs from the first look on."""
        if name == THEIRS and self._find(name) is None:
            tagged, _, digest = os.environ["DOCUMENTS_THEIRS"].partition("@")
            image = parse_image_name(tagged.rpartition(":")[0])
            await self.pull(image, Digest(digest), None, lambda _: None)
            env = {"LOG_LEVEL": "info", "DB_PASSWORD": "correct horse battery"}
            await self.create(
                WorkloadSpec(name=name, image=f"{image}@{digest}", labels={}, env=env)
            )
            await self.start(name)
        return await super().inspect_container(name)

    async def root_dir(self) -> str:
        """Return a folder that exists."""
        return "/"

    async def close(self) -> None:
        """There is nothing to close."""


def serve(environ: dict[str, str], log: str) -> int:
    """Serve as the environment says, and write a log."""
    os.environ.clear()
    os.environ.update(environ)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    _say(str(os.getpid()))
    ENGINES.DockerRuntime = ReadersRuntime
    code: int = SERVER.serve(load_settings(os.environ, cwd=Path("/"), is_tty=False))
    return code


def main() -> None:
    """Run servers one after another, and say with which code each has ended."""
    for line in sys.stdin:
        asked = json.loads(line)
        if (child := os.fork()) == 0:
            code = 1
            try:
                code = serve(asked["environ"], asked["log"])
            finally:
                sys.stdout.flush()
                os._exit(code)
        _say(f"ended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
