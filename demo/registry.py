"""The demo's registry: Debian's `docker-registry` on loopback, with or without notifications."""

import json
import secrets
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from demo.processes import Processes, Running
from demo.show import DemoError
from demo.waiting import await_value

REGISTRY = "registry"
PROGRAM = "docker-registry"
_START_TIMEOUT_S = 20.0


class Registry:
    """A registry whose content lies in the demo's folder; started again, it has it still."""

    def __init__(self, folder: Path, processes: Processes, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self._folder = folder
        self._processes = processes

    def start(self, webhook_url: str | None) -> None:
        """Start a registry that notifies `webhook_url`, if given; raise DemoError if it fails."""
        program = shutil.which(PROGRAM)
        if program is None:
            raise DemoError(
                f"the program {PROGRAM} is missing",
                "install it (Debian, Ubuntu: apt-get install docker-registry)",
            )
        config = self._folder / "registry.json"
        config.touch(mode=0o600)  # it holds the webhook's secret
        # JSON is YAML, and needs no writer for it.
        config.write_text(json.dumps(self._config(webhook_url)))
        running = self._processes.start(REGISTRY, [program, "serve", str(config)])
        log = self._processes.log(REGISTRY)
        await_value(
            lambda: self._look(running),
            _START_TIMEOUT_S,
            "the start of the registry",
            f"what it wrote is in {log}",
        )

    def stop(self) -> None:
        """End it."""
        self._processes.end(REGISTRY)

    def _look(self, running: Running) -> bool | None:
        if not running.is_alive:
            raise DemoError(f"the registry ended at once:\n{self._processes.tail(REGISTRY)}")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://{self.host}/v2/", timeout=2
            ):
                return True
        except OSError:
            return None

    def _config(self, webhook_url: str | None) -> dict[str, object]:
        endpoint = {
            "name": "tagboat",
            "url": webhook_url,
            "timeout": "10s",
            "threshold": 3,
            "backoff": "1s",
        }
        return {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "images")}},
            "http": {"addr": self.host, "secret": secrets.token_hex(16)},
            "notifications": {"endpoints": [endpoint] if webhook_url else []},
        }
