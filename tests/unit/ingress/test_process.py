import os
import signal
from pathlib import Path

import pytest

from tagboat.core.errors import SettingsError
from tagboat.ingress.process import (
    Program,
    our_processes,
    parse_version_text,
    running_master,
    send_signal,
)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (
            (
                "HAProxy version 2.6.12-1+deb12u4 2026/10/17\nFeature list : +OPENSSL "
                "+LUA\nBuilt with Lua version : Lua 5.3.6\n"
            ),
            Program("h", "2.6.12-1+deb12u4", lua=True, tls=True),
        ),
        ("HAProxy version 3.2.1 2026\n", Program("h", "3.2.1", lua=False, tls=False)),
        ("HAProxy version 10.0-dev3 2030\n", Program("h", "10.0-dev3", lua=False, tls=False)),
    ],
)
def test_what_can_be_used(text: str, program: Program) -> None:
    assert parse_version_text("h", text) == program


@pytest.mark.parametrize(
    "text",
    [
        "HA-Proxy version 1.8.4 2018\n",
        "HAProxy version 2.5.14 2023\n",
        "HA-Proxy version 2.2.9-2 2021\n",
    ],
)
def test_what_is_too_old(text: str) -> None:
    with pytest.raises(SettingsError, match=r"Tagboat needs 2\.6 or newer: please update it"):
        parse_version_text("h", text)


def test_what_is_no_haproxy() -> None:
    with pytest.raises(SettingsError, match="h is not HAProxy"):
        parse_version_text("h", "usage: h [options]\n")


@pytest.mark.parametrize("text", [None, "", "no number\n", "0\n", "999999999\n", "{own}"])
def test_a_pid_file_proves_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "haproxy.pid").write_text(text.format(own=os.getpid()))
    assert running_master(tmp_path) is None
    assert our_processes(tmp_path) == []


def test_a_stranger_is_not_signalled(tmp_path: Path) -> None:
    send_signal(os.getpid(), signal.SIGKILL, tmp_path)
