"""Apps that begin when a test says so: until then their deploy is under way."""

import subprocess
from collections.abc import Sequence

from tests.support.server import Server


def held_back(cmd: Sequence[str]) -> tuple[str, ...]:
    """The command of an app that begins with `cmd`, a line of the shell, after `let_go`."""
    *shell, line = cmd
    return (*shell, f"trap 'exit 0' TERM; until [ -e /go ]; do sleep 0.1; done; {line}")


def let_go(server: Server, deploy: str) -> None:
    """Let the app of a deploy begin, which was held back."""
    docker = ("docker", "-H", server.engine_url)

    def begins() -> bool:
        named = ("ps", "-q", "--filter", f"label=tagboat.deploy={deploy}")
        found = subprocess.run((*docker, *named), capture_output=True, check=True, text=True)
        words = ("exec", found.stdout.strip(), "/bin/sh", "-c", ": > /go")
        done = subprocess.run((*docker, *words), capture_output=True, check=False)
        return done.returncode == 0

    server.until(begins, "the container of the deploy")
