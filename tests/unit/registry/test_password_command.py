import sys
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import InvalidValueError, PasswordCommandError
from tagboat.registry.password_command import (
    PASSWORD_LIFETIME,
    CommandedLogin,
    ask_command,
    bare_environment,
    first_words,
    parse_login,
    split_command,
)

BARE = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "LANG": "C.UTF-8"}
TOKEN = "eyJhbGciOiJIUzI1NiJ9abcdef0123456789"


def of(command: str, url: str = "https://r.example.com:5000") -> Registry:
    return Registry(id="r1", name="ours", url=url, kind=RegistryKind.OCI, password_command=command)


def script(folder: Path, text: str) -> str:
    path = folder / "give password"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return f"'{path}'"


def is_gone(pid_file: Path) -> bool:
    """Return whether the process has ended; a zombie waits for its new parent only."""
    status = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("printed", "login"),
    [
        (b"s3cr3t\n", CommandedLogin("", "s3cr3t")),
        (b"  with two words \r\n\n", CommandedLogin("", "with two words")),
        (b'{"password": "p"}', CommandedLogin("", "p")),
        (
            b'{"username": "AWS", "password": "p", "expires_in": 43200}',
            CommandedLogin("AWS", "p", timedelta(hours=12)),
        ),
        (b'{"password": "p", "expires_in": "90"}', CommandedLogin("", "p", timedelta(seconds=90))),
        (b'{"password": "p", "expires_in": -5}', CommandedLogin("", "p", timedelta(0))),
        (b'{"password": "p", "expires_in": 1e300}', CommandedLogin("", "p", timedelta(days=1))),
        (b'{"password": "p", "expires_in": null}', CommandedLogin("", "p", PASSWORD_LIFETIME)),
        (
            b'{"ServerURL": "x", "Username": "<token>", "Secret": "eyJ"}\n',
            CommandedLogin("<token>", "eyJ"),
        ),
    ],
)
def test_a_line_or_a_json_object_is_a_login(printed: bytes, login: CommandedLogin) -> None:
    assert parse_login(printed) == login


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (b"", "prints no password"),
        (b" \n", "prints no password"),
        (b"s3cr3t\nmore\n", "more than one line"),
        (b"\xff\xfe", "not UTF-8"),
        (b"s3\0cr3t", "control characters"),
        (b"s" * 20_000, "longer than 16384"),
        (b"{s3cr3t", "does not begin a JSON object"),
        (b"{" * 50_000, "does not begin a JSON object"),
        (b"{}", 'without "password"'),
        (b'{"password": 5}', 'without "password"'),
        (b'{"password": ""}', 'without "password"'),
        (b'{"password": "s3cr3t", "username": 5}', "username is not a string"),
        (b'{"password": "s3cr3t", "username": "a:b"}', "username with a colon"),
        (b'{"password": "s3cr3t", "expires_in": "soon"}', "expires_in is not a number"),
        (b'{"password": "s3cr3t", "expires_in": true}', "expires_in is not a number"),
        (b'{"password": "s3cr3t", "expires_in": NaN}', "expires_in is not a number"),
        (b'{"password": "s3cr3t", "expires_in": [1]}', "expires_in is not a number"),
    ],
)
def test_anything_else_is_refused_without_being_repeated(printed: bytes, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words) as caught:
        parse_login(printed)
    assert "s3" not in str(caught.value)


def test_no_login_shows_its_password() -> None:
    assert "s3cr3t" not in repr(parse_login(b"s3cr3t"))


@pytest.mark.parametrize(
    ("complaint", "shown"),
    [
        ("\n\nUnable to locate credentials\nmore\n", "Unable to locate credentials"),
        ("the password was hunter22", "the password was ***"),
        ("sent a-password-it-printed", "sent ***"),
        (f"bad token {TOKEN} given", "bad token *** given"),
        ("password=abc123 is wrong", "password=*** is wrong"),
        ("Authorization: Bearer abc is wrong", "Authorization: *** is wrong"),
        (
            "cannot reach https://me:word@r.example.com/v2",
            "cannot reach https://***@r.example.com/v2",
        ),
        (
            "no /home/deploy/.aws/credentials-2026-production.ini",
            "no /home/deploy/.aws/credentials-2026-production.ini",
        ),
        ("a\x1b[31m red\tline", "a[31m red line"),
        ("x" * 400, "x" * 300 + "…"),
        ("", "it said nothing; run it on the server's machine to see more"),
    ],
)
def test_the_first_line_is_shown_without_secrets(complaint: str, shown: str) -> None:
    assert first_words("aws", "a-password-it-printed\n", complaint, ["hunter22"]) == shown


def test_docker_s_helpers_complain_on_standard_output() -> None:
    said = ("credentials not found in native keychain\n", "")
    assert first_words("/opt/docker-credential-pass", *said, []) == said[0].strip()
    assert "native" not in first_words("pass", *said, [])


@pytest.mark.parametrize("command", ["", "  ", "''", "aws 'open", "a \\"])
def test_a_command_line_without_a_program_is_refused(command: str) -> None:
    with pytest.raises(InvalidValueError):
        split_command(command)


def test_only_three_variables_are_given_on() -> None:
    given = {"PATH": "/bin", "HOME": "/me", "TAGBOAT_TOKEN": "t", "AWS_PROFILE": "p", "LANG": ""}
    assert bare_environment(given) == {"PATH": "/bin", "HOME": "/me", "LANG": "C.UTF-8"}
    assert bare_environment({}).keys() == {"PATH", "HOME", "LANG"}


@pytest.mark.anyio
async def test_a_command_gets_the_address_and_a_bare_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAGBOAT_ADMIN_TOKEN", "not for commands")
    seen = tmp_path / "seen"
    command = script(tmp_path, f"read server; (echo $server $1; pwd; env) > {seen}; echo s3cr3t")
    assert await ask_command(of(f"{command} 'a b'"), BARE) == CommandedLogin("", "s3cr3t")
    lines = seen.read_text().splitlines()
    assert lines[:2] == ["r.example.com:5000 a b", "/"]
    assert {line.partition("=")[0] for line in lines[2:]} - {"PWD", "_", "SHLVL", "OLDPWD"} == {
        *BARE
    }


@pytest.mark.anyio
async def test_docker_hub_is_named_as_docker_does(tmp_path: Path) -> None:
    command = script(tmp_path, 'read server; printf \'{"Username":"u","Secret":"%s"}\' $server')
    login = await ask_command(of(command, "https://registry-1.docker.io"), BARE)
    assert login.password == "https://index.docker.io/v1/"


@pytest.mark.anyio
async def test_no_shell_reads_the_command() -> None:
    login = await ask_command(of("echo $HOME `id` ; > /nowhere"), BARE)
    assert login.password == "$HOME `id` ; > /nowhere"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo no credentials >&2; exit 3", r"give password\) ended with exit code 3: no cred"),
        ("kill -9 $$", "ended with signal 9: it said nothing"),
        ("exec yes", "prints more than 64 KiB"),
        ("exec yes >&2", "prints more than 64 KiB"),
        ("exit 0", "prints no password"),
    ],
)
async def test_a_failure_says_what_happened(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PasswordCommandError, match=words) as caught:
        await ask_command(of(script(tmp_path, text)), BARE)
    assert str(caught.value).startswith("the password command of ours ")
    assert caught.value.retryable


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program --x", "there is no program no-such-program in /usr/bin:/bin"),
        ("/etc", "cannot be started .*: Permission denied"),
        ("'open", "is not a command line"),
    ],
)
async def test_a_command_that_cannot_start_is_not_tried_again(command: str, words: str) -> None:
    with pytest.raises(PasswordCommandError, match=words) as caught:
        await ask_command(of(command), BARE)
    assert not caught.value.retryable


@pytest.mark.anyio
async def test_one_that_hangs_is_ended_with_all_it_has_started(tmp_path: Path) -> None:
    child = f"{sys.executable} -c 'import time; time.sleep(60)'"
    pid = tmp_path / "pid"
    command = script(tmp_path, f"{child} & echo $! > {pid}; wait")
    for limit_s in (0.5, 5.0, 30.0):
        began = monotonic()
        with pytest.raises(PasswordCommandError, match=f"did not end within {limit_s:g} s"):
            await ask_command(of(command), BARE, limit_s=limit_s)
        assert monotonic() - began < 55  # it did not wait for its end
        if pid.exists():  # else it had no time to begin: the machine is busy elsewhere
            break
    assert is_gone(pid)
