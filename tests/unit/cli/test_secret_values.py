import os
import pty
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tagboat.cli import secret_values
from tagboat.cli.secret_values import read_secret
from tagboat.core.errors import TagboatError
from tagboat.core.secret_refs import parse_secret_ref

ENVIRON = {"SET": "value\n", "EMPTY": ""}


def read(text: str, folder: Path, *, is_file: bool = False) -> str | None:
    return read_secret(parse_secret_ref(text), ENVIRON, folder, is_file=is_file)


def test_values_come_from_variables_files_and_commands(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("line\n\n")
    assert read("env:SET", tmp_path) == "value\n"
    assert read("env:EMPTY or keep", tmp_path) == ""
    assert read("file:key", tmp_path) == "line"
    assert read("file:key", tmp_path, is_file=True) == "line\n\n"
    assert read("exec:cat key | head -1", tmp_path) == "line"
    assert [read(text, tmp_path) for text in ("keep", "env:GONE or keep")] == [None, None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("env:GONE", "the variable GONE is not set"),
        ("file:gone", "gone cannot be read (No such file or directory)"),
        ("exec:exit 3", "the command failed with exit code 3"),
        ("exec:true", "the command printed nothing"),
        ("exec:echo", "the command printed nothing"),
        ("exec:printf '\\377'", "not UTF-8"),
        ("exec:yes | head -c 600000", "longer than"),
        ("exec:yes", "the value is longer than 524288 characters"),
        ("exec:yes ä", "the value is longer than 524288 characters"),
        ("file:/dev/zero", "the value is longer than 524288 characters"),
        ("file:.", "cannot be read (Is a directory)"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(TagboatError, match=says.replace("(", r"\(").replace(")", r"\)")):
        read(text, tmp_path)


def test_an_empty_secret_is_written_on_purpose(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert [read(text, tmp_path) for text in ("env:EMPTY", "file:empty")] == ["", ""]
    with pytest.raises(TagboatError, match="printed nothing"):
        read("exec:true", tmp_path, is_file=True)


def is_running(pid: int) -> bool:
    try:
        # One that has ended, and whose parent has not asked for its end yet, is a Z.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("ending", "says"), [("exec yes", "longer than"), ("exec sleep 600", "did not end within 1 s")]
)
def test_a_command_that_is_ended_takes_its_children_along(
    ending: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_values, "COMMAND_LIMIT_S", 1.0)
    with pytest.raises(TagboatError, match=says):
        read(f"exec:(sleep 600; true) & echo $! > child; {ending}", tmp_path)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 30
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_output_without_end_takes_little_memory(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TagboatError, match="longer than"):
        read("exec:yes", tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_background_processes_of_a_command_that_succeeds_go_on(tmp_path: Path) -> None:
    pid = int(read("exec:sleep 600 >/dev/null 2>&1 & echo $! | tee pid", tmp_path) or "")
    try:
        assert is_running(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_pipe_is_read_and_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    writing = threading.Thread(target=(tmp_path / "pipe").write_text, args=("value\n",))
    writing.start()
    assert read("file:pipe", tmp_path) == "value"
    writing.join()
    monkeypatch.setattr(secret_values, "COMMAND_LIMIT_S", 0.2)
    with pytest.raises(TagboatError, match="pipe is not a file, and did not end within 0 s: does"):
        read("file:pipe", tmp_path)


@pytest.mark.parametrize("printing", ["echo value", "true"])
def test_process_substitution_and_standard_input_are_read(printing: str, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tagboat.cli.secret_values import *;"
        "ref = SecretRef(RefKind.FILE, sys.argv[1]);"
        "print(read_secret(ref, {}, Path(), is_file=False))"
    )
    value = "value\n" if printing != "true" else "\n"
    for shell in (f'"$@" <({printing})', f'{printing} | "$@" /dev/stdin'):
        done = subprocess.run(
            ["bash", "-c", shell, "bash", sys.executable, "-c", program],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert done.stdout == value


def test_a_terminal_is_refused(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with pytest.raises(TagboatError, match="is a terminal: name a file"):
            read(f"file:{os.ttyname(theirs)}", tmp_path)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_command_may_ask_on_the_terminal(tmp_path: Path) -> None:
    """As password managers do. Afterwards the terminal is ours again."""
    program = (
        "import os; from pathlib import Path; from tagboat.cli.secret_values import *;"
        "ref = SecretRef(RefKind.EXEC, 'read answer < /dev/tty; echo $answer');"
        "print([read_secret(ref, {}, Path(), is_file=False) for _ in range(2)]);"
        "print(os.tcgetpgrp(0) == os.getpgrp())"
    )
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tmp_path)
        os.execv(sys.executable, [sys.executable, "-c", program])  # noqa: S606 - its own code
    os.write(terminal, b"first\nsecond\n")
    said = b""
    # Reading from a terminal that nobody has open any more is an error.
    while b"True" not in said and b"False" not in said and b"Error" not in said:
        said += os.read(terminal, 1000)
    os.waitpid(pid, 0)
    os.close(terminal)
    assert b"['first', 'second']" in said
    assert b"True" in said
