"""OpenSSH's server on a free loopback port, letting this user in by a key of the test's own, and
a client that knows it.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.ports import free_port

_START_S = 120.0
_RUN = Path("/run/sshd")  # where sshd wants an empty directory to lock its unprivileged half in


class Sshd:
    """`url` is an engine behind it; `program` a directory with an `ssh` that uses the keys of
    here, to be put on the path.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"
        self.program = folder / "bin"
        self._folder = folder
        self._server = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": str(folder / "host_key"),
            "AuthorizedKeysFile": str(folder / "authorized_keys"),
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "StrictModes": "no",
            "UsePAM": "no",
            "PidFile": "none",
            "SetEnv": f"PATH={os.environ['PATH']}",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._make_key("host_key")
        self._make_key("user_key")
        self._install_client()
        self.mend()

    @property
    def log(self) -> str:
        return (self._folder / "sshd.log").read_text(errors="replace")

    def new_user_key(self) -> None:
        """Have the client come with a key that the server does not know."""
        self._make_key("user_key")

    def new_host_key(self) -> None:
        """Have the server come with a key that the client does not know."""
        self.stop()
        self._make_key("host_key")
        self.start()

    def forget_host(self) -> None:
        """Have the client never have heard of the server."""
        (self._folder / "known_hosts").write_text("")

    def hide_docker(self) -> None:
        """Have nothing but a shell on the server's path."""
        self.stop()
        self._write_config("sshd_config", self._server | {"SetEnv": f"PATH={self._folder}"})
        self.start()

    def mend(self) -> None:
        """Undo all of it, and run."""
        self.stop()
        (self._folder / "known_hosts").write_text(
            f"[127.0.0.1]:{self.port} {(self._folder / 'host_key.pub').read_text()}"
        )
        (self._folder / "authorized_keys").write_text((self._folder / "user_key.pub").read_text())
        self._write_config("sshd_config", self._server)
        self.start()

    def start(self) -> None:
        _RUN.mkdir(mode=0o755, exist_ok=True)
        program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
        assert program is not None, "there is no sshd"
        with (self._folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-D", "-e", "-f", self._folder / "sshd_config"], stdout=log, stderr=log
            )
        end = time.monotonic() + _START_S
        while not self._listens():
            assert self._process.poll() is None and time.monotonic() < end, self.log  # noqa: PT018 - one question
            time.sleep(0.02)

    def stop(self) -> None:
        """End it and every connection through it."""
        process, self._process = self._process, None
        if process is None:
            return
        self._hang_up(process.pid)
        process.terminate()
        process.wait(_START_S)

    def hang_up(self) -> None:
        """End every connection; more can be made."""
        assert self._process is not None
        self._hang_up(self._process.pid)

    @staticmethod
    def _hang_up(listener: int) -> None:
        """Its children are one for each connection; what those run ends by itself when nobody is
        at the other end.
        """
        end = time.monotonic() + _START_S
        while children := Path(f"/proc/{listener}/task/{listener}/children").read_text().split():
            assert time.monotonic() < end, "connections that cannot be ended"
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGTERM)  # hands it on to its own, and buries them
            time.sleep(0.02)

    def _make_key(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        command = [
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            name,
            "-f",
            str(self._folder / name),
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def _write_config(self, name: str, options: Mapping[str, str]) -> None:
        (self._folder / name).write_text(
            "".join(f"{option} {value}\n" for option, value in options.items())
        )

    def _install_client(self) -> None:
        folder = self._folder
        options = {"IdentityFile": "user_key", "UserKnownHostsFile": "known_hosts"}
        files = {option: str(folder / name) for option, name in options.items()}
        self._write_config("ssh_config", {**files, "IdentitiesOnly": "yes"})
        self.program.mkdir()
        wrapper = self.program / "ssh"
        # ssh looks for its own configuration in the home of the user's account, whatever HOME says.
        wrapper.write_text(
            f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder / "ssh_config"} "$@"\n'
        )
        wrapper.chmod(0o700)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@contextmanager
def running_sshd(folder: Path) -> Iterator[Sshd]:
    """Run one until the block ends."""
    folder.mkdir()
    sshd = Sshd(folder)
    try:
        yield sshd
    finally:
        sshd.stop()
