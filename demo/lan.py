"""A network of hosts, each of which is a network namespace of this machine.

Nothing is made in the machine's own namespace. Addresses are of 198.18.0.0/15 (RFC 2544, for tests
of networks between hosts of one's own), and no namespace has a default route: nothing can leave.
Needs root, and Debian's iproute2.
"""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

from demo.show import DemoError

LAN = "198.18.77"
_CLONE_NEWNET = 0x40000000

T = TypeVar("T")


class Lan:
    """A network whose namespaces have names that begin with `mark`."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def lay(self) -> None:
        """Make the network, without hosts."""
        lan = self.namespace("lan")
        for line in (
            f"ip netns add {lan}",
            f"ip -n {lan} link add br0 type bridge",
            f"ip -n {lan} link set br0 up",
        ):
            _run(line)

    def remove(self) -> None:
        """Remove it with all of its hosts; what is gone already is no trouble."""
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            if line.startswith(f"{self.mark}-"):
                _run(f"ip netns delete {line.split()[0]}")

    def namespace(self, host: str) -> str:
        """Return the name of the network namespace of a host."""
        return f"{self.mark}-{host}"

    def host(self, name: str, number: int) -> None:
        """Make one more host of the LAN; `within` runs programs there."""
        own, lan = self.namespace(name), self.namespace("lan")
        for line in (
            f"ip netns add {own}",
            f"ip -n {own} link set lo up",
            f"ip -n {lan} link add v-{name} type veth peer name eth0 netns {own}",
            f"ip -n {lan} link set v-{name} master br0 up",
            f"ip -n {own} addr add {LAN}.{number}/24 dev eth0",
            f"ip -n {own} link set eth0 up",
        ):
            _run(line)

    def within(self, host: str, *command: str) -> list[str]:
        """Return a command that runs `command` in the network of a host."""
        return ["nsenter", f"--net=/run/netns/{self.namespace(host)}", *command]

    def in_network(self, host: str, work: Callable[[], T]) -> T:
        """Do `work` in a thread that is in the network of this host."""
        answer: list[T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                self.enter(host)
                answer.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again, in the caller's thread
                failure.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return answer[0]

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Have this thread, and those that it starts, in the network of a host for the block."""
        with Path("/proc/thread-self/ns/net").open() as own:
            self.enter(host)
            try:
                yield
            finally:
                _set_network(own)

    def enter(self, host: str) -> None:
        """Put the calling thread into the network of this host."""
        with Path(f"/run/netns/{self.namespace(host)}").open() as network:
            _set_network(network)

    def cable(self, host: str, state: str) -> None:
        """Let the cable of a host be `up` or `down`."""
        _run(f"ip -n {self.namespace('lan')} link set v-{host} {state}")


def _run(line: str) -> None:
    done = subprocess.run(line.split(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(
            f"“{line}” failed: {done.stderr.strip()}",
            "network namespaces need a machine, or a container that is privileged",
        )


def _set_network(network: TextIO) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
