import os
from pathlib import Path

import pytest

from tagboat.core.errors import EngineUnavailableError
from tagboat.runtime.docker.engine import DockerRuntime
from tagboat.runtime.docker.ssh import explained

CHANGED = f"""{"@" * 59}
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
{"@" * 59}
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key verification failed.
"""


@pytest.mark.parametrize(
    ("said", "words", "hint"),
    [
        ("", "", ""),
        (
            (
                'Authenticated to box ([192.0.2.1]:22) using "publickey".\nTransferred: '
                "sent 1, received 2 bytes, in 0.1 s\n"
            ),
            "",
            "",
        ),
        (
            (
                'Authenticated to box ([192.0.2.1]:22) using "publickey".\r\nConnection to '
                "box closed by remote host.\r\n"
            ),
            "Connection to box closed by remote host.",
            "",
        ),
        (
            "me@box: Permission denied (publickey).\n",
            "me@box: Permission denied (publickey).",
            "add the public key to its",
        ),
        (
            "No ED25519 host key is known for box.\nHost key verification failed.\n",
            "No ED25519 host key is known for box. Host key verification failed.",
            "run ssh to it once, as the user that runs Tagboat",
        ),
        (CHANGED, "Host key verification failed.", "remove the old one with ssh-keygen -R"),
        ("sh: 1: docker: not found\n", "sh: 1: docker: not found", "must be installed there"),
    ],
)
def test_what_ssh_said_is_explained(said: str, words: str, hint: str) -> None:
    told = explained(said)
    assert told == words if not hint else told.startswith(f"{words} (")
    assert hint in told


@pytest.mark.anyio
async def test_ssh_gets_what_it_needs_of_our_environment_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ssh"
    program.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/seen.new; mv {tmp_path}/seen.new {tmp_path}/seen\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TAGBOAT_ADMIN_TOKEN", "a-secret-of-this-test")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent.sock")
    engine = DockerRuntime("ssh://box.invalid")
    with pytest.raises(EngineUnavailableError):
        await engine.version()
    await engine.close()
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "seen").read_text().splitlines())
    assert seen["SSH_AUTH_SOCK"] == "/run/agent.sock"
    assert seen.keys() <= {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SSH_AUTH_SOCK",
        "KRB5CCNAME",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    }
