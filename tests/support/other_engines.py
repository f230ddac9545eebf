"""Engines that stand in for Docker run by root: Podman, and Docker run by an ordinary user.

Each with a storage of its own, and with a registry that it reaches.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.engine_traces import mounts_below
from tests.support.docker_registry import docker_registry
from tests.support.dockerd import started_engine
from tests.support.ports import free_port

_USER = "tagboat-rootless"
_USER_ID = 64123
_FIRST_OF_ITS_IDS = 6_400_000


@dataclass(frozen=True)
class OtherEngine:
    """An engine by its URL, and the host of a registry that both it and the tests reach."""

    url: str
    registry: str


@contextmanager
def podman() -> Iterator[OtherEngine]:
    """Run Podman's API as root until the block ends."""
    with docker_registry() as registry, _folder() as folder:
        plain = folder / "registries.conf"
        plain.write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        limits = folder / "containers.conf"
        # Its own defaults are above what root may have on some machines.
        limits.write_text(
            '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
        )
        url = f"unix://{folder}/podman.sock"
        storage = ("--root", str(folder / "root"), "--runroot", str(folder / "run"))
        network = ("--network-backend", "netavark", "--network-config-dir", str(folder / "net"))
        command = ("podman", *storage, *network, "--runtime", "runc")
        serve = (*command, "system", "service", "--time", "0", url)
        files = {"CONTAINERS_REGISTRIES_CONF": str(plain), "CONTAINERS_CONF": str(limits)}
        with started_engine(serve, url, files):
            yield OtherEngine(url, registry.host)


@contextmanager
def rootless_docker() -> Iterator[OtherEngine]:
    """Run Docker as an ordinary user until the block ends, as its `dockerd-rootless.sh` does.

    The user, and the ids that it may give away, exist for this engine only.
    """
    with _folder() as folder:
        folder.chmod(0o755)
        for name in ("home", "run", "data"):
            (folder / name).mkdir()
            os.chown(folder / name, _USER_ID, _USER_ID)
        user = f"{_USER}:x:{_USER_ID}:{_USER_ID}::{folder}/home:/bin/sh\n"
        (folder / "passwd").write_text(Path("/etc/passwd").read_text() + user)
        (folder / "ids").write_text(f"{_USER}:{_FIRST_OF_ITS_IDS}:65536\n")
        (folder / "start.sh").write_text(_START_ROOTLESS)
        url = f"unix://{folder}/run/docker.sock"
        start = ("unshare", "--mount", "--propagation", "private", "sh", "-e")
        with started_engine((*start, str(folder / "start.sh"), str(folder)), url):
            yield OtherEngine(url, _registry_within(url, folder))


_START_ROOTLESS = f"""\
mount --bind "$1/passwd" /etc/passwd
for file in /etc/subuid /etc/subgid; do
  [ -e "$file" ] || : >"$file"
  mount --bind "$1/ids" "$file"
done
mount -t tmpfs -o mode=755 tmpfs /dev/net
mknod -m 666 /dev/net/tun c 10 200
exec setpriv --reuid {_USER_ID} --regid {_USER_ID} --clear-groups env --ignore-environment \\
  HOME="$1/home" XDG_RUNTIME_DIR="$1/run" PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  rootlesskit --net=slirp4netns --mtu=1500 --disable-host-loopback --port-driver=builtin \\
  --copy-up=/etc --copy-up=/run --propagation=rslave sh -c '
    rm -f /run/docker /run/containerd /run/xtables.lock
    exec dockerd --rootless --host "unix://$0/run/docker.sock" --data-root "$0/data" \\
      --exec-root "$0/run/docker" --pidfile "$0/run/docker.pid"' "$1"
"""


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tagboat-engine-"))
    try:
        yield folder
    finally:
        for mount in mounts_below(folder):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(folder)


def _registry_within(url: str, folder: Path) -> str:
    """Run a registry in a container: such an engine does not reach the machine's own 127.0.0.1."""
    port = free_port()
    host = f"127.0.0.1:{port}"
    content = folder / "registry"
    program = shutil.which("docker-registry") or "docker-registry"
    needs = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    libraries = [word for word in needs.split() if word.startswith("/")]
    for file in (program, *libraries):
        target = content / ("docker-registry" if file == program else file.lstrip("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    (content / "config.yml").write_text(
        f'{{"version": "0.1", "http": {{"addr": ":{port}", "secret": "for-tests"}},'
        ' "storage": {"filesystem": {"rootdirectory": "/images"}}}'
    )
    docker = ("docker", "--host", url)
    packed = shutil.make_archive(str(folder / "registry"), "tar", content)
    serve = ("/docker-registry", "serve", "/config.yml")
    for words in (
        ("import", packed, "registry:tests"),
        ("run", "--detach", "--publish", f"{host}:{port}", "registry:tests", *serve),
    ):
        subprocess.run([*docker, *words], check=True, capture_output=True)
    return host
