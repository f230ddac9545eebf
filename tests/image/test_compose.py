"""The compose file with the image, as people run them: a deploy, and updates without a lost
request. The image is built once; its base by debootstrap, where that cannot be pulled.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tagboat import __version__
from tests.acceptance.test_push_to_running import publish
from tests.faults.traffic import page, traffic
from tests.support.docker_registry import DockerRegistry
from tests.support.ports import free_port
from tools.install_check import LIST_PACKAGES, needed_packages

COMPOSE_FILE = Path(__file__).parents[2] / "contrib" / "compose.yaml"
IMAGE = "tagboat:check"
HOST = "hello-dev.localhost"
_HEALTHY_S = 60.0


@dataclass
class Stack:
    """The services in a folder of their own."""

    folder: Path
    port: int
    own_port: int
    socket: str

    def write_env(self, **more: str) -> None:
        settings = {
            "DOCKER_IMAGE": IMAGE,
            "DOCKER_GID": str(Path(self.socket).stat().st_gid),
            "DOCKER_SOCKET": self.socket,
            "TAGBOAT_PORT": str(self.own_port),
            "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{self.port}",
            **more,
        }
        lines = (f"{name}={value}\n" for name, value in settings.items())
        (self.folder / ".env").write_text("".join(lines))

    def compose(self, *words: str, check: bool = True) -> str:
        clean = {name: value for name, value in os.environ.items() if "TAGBOAT" not in name}
        done = subprocess.run(
            ["docker-compose", *words],
            cwd=self.folder,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not (check and done.returncode), done.stdout + done.stderr
        return done.stdout + done.stderr

    def tagboat(self, *words: str, service: str = "tagboat") -> str:
        return self.execute(service, "tagboat", *words)

    def page(self) -> tuple[int, str]:
        """Ask the app; where nobody listens, the logs say why."""
        try:
            return page(self.port, HOST)
        except OSError as error:
            raise AssertionError(self.compose("ps") + self.compose("logs")) from error

    def shell(self, service: str, line: str) -> str:
        return self.execute(service, "sh", "-c", line)

    def execute(self, service: str, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", "exec", self.container(service), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert not (check and done.returncode), done.stdout + done.stderr
        return (done.stdout + done.stderr).strip()

    def container(self, service: str) -> str:
        labels = {"project": self.folder.name, "service": service}
        filters = [
            f"--filter=label=com.docker.compose.{key}={value}" for key, value in labels.items()
        ]
        return subprocess.check_output(["docker", "ps", "-q", *filters], text=True).strip()

    def until_healthy(self, service: str) -> None:
        end = time.monotonic() + _HEALTHY_S
        state = ["docker", "inspect", "-f", "{{.State.Health.Status}}", self.container(service)]
        while subprocess.check_output(state, text=True).strip() != "healthy":
            assert time.monotonic() < end, self.compose("logs")
            time.sleep(0.2)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, engine_url: str) -> Iterator[Stack]:
    socket = engine_url.removeprefix("unix://")
    subprocess.run([COMPOSE_FILE.parents[1] / "tools" / "image", IMAGE], check=True)
    folder = tmp_path_factory.mktemp("tagboat-check")
    stack = Stack(folder, free_port(), free_port(), socket)
    shutil.copy(COMPOSE_FILE, stack.folder)
    stack.write_env()
    try:
        stack.compose("up", "-d")
        stack.until_healthy("tagboat")
        yield stack
        stack.execute("tagboat", "tagboat", "projects", "delete", "hello", "--yes", check=False)
    finally:
        stack.compose("down", "-v", check=False)


@pytest.fixture(scope="module")
def image(stack: Stack, docker_registry: DockerRegistry) -> str:
    image = f"{docker_registry.host}/acme/hello"
    publish(image, "v1", body="one")
    stack.tagboat("projects", "create", image)
    stack.tagboat("stages", "edit", "hello", "dev", "--watch", "1")
    assert "v1" in stack.tagboat("deploy", "hello", "dev", "v1", "--wait")
    return image


def test_it_is_this_version_and_finds_nothing_wrong(stack: Stack) -> None:
    assert stack.tagboat("--version").strip().endswith(__version__)
    assert "All is well." in stack.tagboat("doctor")


def test_the_image_has_only_what_the_server_needs(stack: Stack) -> None:
    said = stack.execute("tagboat", "/opt/tagboat/bin/python", "-c", LIST_PACKAGES)
    assert {canonicalize_name(name) for name in said.split()} == needed_packages()


def test_neither_is_root_and_the_ingress_has_routes_only(stack: Stack) -> None:
    for service in ("tagboat", "ingress"):
        assert stack.shell(service, "id -un") == "tagboat"
        refused = stack.execute(service, "touch", "/etc/x", check=False)
        assert "read-only file system" in refused.lower()
    assert stack.shell("ingress", "ls /var/lib/tagboat") == "ingress"
    assert stack.shell("ingress", "test -e /var/run/docker.sock || echo none") == "none"
    assert "encryption.key" in stack.shell("tagboat", "ls /var/lib/tagboat")


def test_in_a_network_of_its_own_doctor_says_what_it_needs(stack: Stack) -> None:
    group = str(Path(stack.socket).stat().st_gid)
    options = ["--volume", f"{stack.socket}:/var/run/docker.sock", "--group-add", group]
    alone = ["docker", "run", "--detach", "--rm", *options, IMAGE]
    container = subprocess.check_output(alone, text=True).strip()
    try:
        said, end = "", time.monotonic() + _HEALTHY_S
        while "--network host" not in said:
            assert time.monotonic() < end, said
            doctor = ["docker", "exec", container, "tagboat", "doctor"]
            done = subprocess.run(doctor, capture_output=True, text=True, check=False)
            said = done.stdout + done.stderr
            time.sleep(0.5)
    finally:
        subprocess.run(["docker", "stop", "-t", "1", container], check=True)


def test_both_see_the_same_haproxy(stack: Stack, image: str) -> None:
    assert stack.page() == (200, "one"), image
    assert "HAProxy runs" in stack.tagboat("ingress", "status", service="ingress")
    assert "in another container" in stack.tagboat("ingress", "status")


def test_a_restart_of_the_server_loses_no_request(stack: Stack, image: str) -> None:
    with traffic(stack.port, HOST) as asked:
        asked.goes_on()
        subprocess.run(["docker", "restart", stack.container("tagboat")], check=True)
        stack.until_healthy("tagboat")
        publish(image, "v2", body="two")
        stack.tagboat("deploy", "hello", "dev", "v2", "--wait")
        assert asked.goes_on() == "two"
    assert asked.failures == []


def test_an_update_with_other_settings_loses_no_request(stack: Stack, image: str) -> None:
    """HAProxy is reloaded from the server's new container, and stays in its own."""
    before = stack.container("ingress"), stack.container("tagboat")
    with traffic(stack.port, HOST) as asked:
        asked.goes_on()
        stack.write_env(TAGBOAT_INGRESS_TRUSTED="127.0.0.0/8,192.0.2.0/24")
        stack.compose("up", "-d", "--no-deps", "tagboat")
        stack.until_healthy("tagboat")
        publish(image, "v3", body="three")
        stack.tagboat("deploy", "hello", "dev", "v3", "--wait")
        assert asked.goes_on() == "three"
    assert asked.failures == []
    assert stack.container("ingress") == before[0]
    assert stack.container("tagboat") != before[1]
    assert "192.0.2.0/24" in stack.shell("ingress", "cat /var/lib/tagboat/ingress/*.cfg")


def test_a_restart_of_the_ingress_is_followed_by_the_server(stack: Stack, image: str) -> None:
    subprocess.run(["docker", "restart", stack.container("ingress")], check=True)
    stack.until_healthy("ingress")
    publish(image, "v4", body="four")
    stack.tagboat("deploy", "hello", "dev", "v4", "--wait")
    assert stack.page() == (200, "four")
    listening = stack.shell("tagboat", "grep -l haproxy /proc/[0-9]*/comm || echo none")
    assert listening == "none", "the server starts none of its own"
