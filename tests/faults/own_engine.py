"""A Docker engine of the tests' own, which may be killed.

With a bridge, a store and sockets that no other engine has.

With `--bridge=none` the engine would delete the bridge of the one beside it, so a bridge is made
for it here. Without iptables, published ports are served by the engine's own proxies.
"""

import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.engine_traces import mounts_below
from tests.support.dockerd import answers

_UP_S = 60.0
_ADDRESS = "10.213.77.1/24"


class OwnEngine:
    """`kill` is SIGKILL; `start` starts it with what it had."""

    def __init__(self, directory: Path, bridge: str) -> None:
        self.url = f"unix://{directory / 'docker.sock'}"
        self._directory = directory
        self._bridge = bridge
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = self._directory
        (folder / "docker.pid").unlink(missing_ok=True)
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(
                        "dockerd",
                        "--host",
                        self.url,
                        "--data-root",
                        folder / "data",
                        "--exec-root",
                        folder / "exec",
                    ),
                    *("--pidfile", folder / "docker.pid", "--config-file", folder / "daemon.json"),
                    *(
                        "--bridge",
                        self._bridge,
                        "--iptables=false",
                        "--ip-masq=false",
                        "--ip-forward=false",
                    ),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + _UP_S
        while not answers(self.url):
            said = (folder / "log").read_text(errors="replace")[-3000:]
            up = self._process.poll() is None and time.monotonic() < end
            assert up, f"dockerd did not come up:\n{said}"
            time.sleep(0.1)

    def kill(self) -> None:
        """Let it die, and containerd, whose parent it was, with it."""
        assert self._process is not None
        helper_file = self._directory / "exec" / "containerd" / "containerd.pid"
        helper = int(helper_file.read_text())
        self._process.kill()
        self._process.wait()
        end = time.monotonic() + _UP_S
        while Path(f"/proc/{helper}/exe").exists():
            assert time.monotonic() < end, "containerd outlives dockerd"
            time.sleep(0.02)
        # Without an init that reaps processes, the next one would take this for a running one.
        helper_file.unlink()

    def stop(self) -> None:
        """End it, with all that it runs."""
        assert self._process is not None
        if self._process.poll() is not None:
            self.start()
        self._process.terminate()
        self._process.wait(60)


@contextmanager
def own_engine() -> Iterator[OwnEngine]:
    """Run one until the block ends; as root."""
    bridge = f"tbf{uuid.uuid4().hex[:8]}"
    # Not pytest's own: the path of a socket may have 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="tbf-"))
    (directory / "daemon.json").write_text("{}")
    subprocess.run(["ip", "link", "add", "name", bridge, "type", "bridge"], check=True)
    engine = OwnEngine(directory, bridge)
    try:
        subprocess.run(["ip", "addr", "add", _ADDRESS, "dev", bridge], check=True)
        subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
        engine.start()
        yield engine
    finally:
        engine.stop()
        subprocess.run(["ip", "link", "delete", bridge], check=True)
        for mount in mounts_below(directory):
            subprocess.run(["umount", "--lazy", mount], check=True)
        shutil.rmtree(directory)
