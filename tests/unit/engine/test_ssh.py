import pytest

from tagboat.engine.ssh import explained

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
            'Authenticated to box ([192.0.2.1]:22) using "publickey".\nTransferred: sent 1, received 2 bytes, in 0.1 s\n',
            "",
            "",
        ),
        (
            'Authenticated to box ([192.0.2.1]:22) using "publickey".\r\nConnection to box closed by remote host.\r\n',
            "Connection to box closed by remote host.",
            "",
        ),
        ("me@box: Permission denied (publickey).\n", "me@box: Permission denied (publickey).", "add the public key to its"),
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
