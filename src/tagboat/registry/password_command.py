"""Commands that print the password of a registry: how they run, and what they may print.

They run without a shell and with a bare environment, since they are given by the API. On standard
input they get the registry's address, as the credential helpers of Docker expect it.
"""

import asyncio
import contextlib
import json
import math
import os
import re
import shlex
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePath

from tagboat.core.catalog import Registry
from tagboat.core.errors import InvalidValueError, PasswordCommandError
from tagboat.core.image import DOCKER_HUB
from tagboat.core.masking import MASK, mask_values
from tagboat.registry.failures import mark_permanent

PASSWORD_LIMIT_S = 30.0
MAX_PRINTED = 64 * 1024
"""Bytes that a command may print."""
PASSWORD_LIFETIME = timedelta(hours=1)
"""Lifetime of a password whose command does not say how long it is good for."""
LONGEST_LIFETIME = timedelta(hours=24)
HELPER_PREFIX = "docker-credential-"
_MAX_PASSWORD = 16 * 1024
_MAX_COMPLAINT = 300
_LAST_OUTPUT_S = 1.0
# By this address Docker stores the login of Docker Hub.
_DOCKER_HUB_SERVER = "https://index.docker.io/v1/"
_KEPT_VARIABLES = ("PATH", "HOME", "LANG")
_URL_LOGIN = re.compile(r"(://)[^/@\s]+@")
_NAMED_SECRET = re.compile(
    r"((?:password|passwd|secret|token|authorization|api[-_]?key)\b[\"']?\s*[:=]\s*)"
    r"(?:(?:basic|bearer)\s+)?\S+",
    re.IGNORECASE,
)
# As tokens and keys are made: long, with letters and digits, and in no path.
_TOKEN_LIKE = re.compile(
    r"(?<![/\w.-])(?=[\w+=-]*[0-9])(?=[\w+=-]*[A-Za-z])[\w+=-]{20,}(?![/\w.-])"
)


@dataclass(frozen=True, slots=True)
class CommandedLogin:
    """The login that a command has printed. `username` is empty if it named none."""

    username: str
    password: str = field(repr=False)
    lifetime: timedelta = PASSWORD_LIFETIME


@dataclass(slots=True)
class _Printed:
    """The bytes that a command has printed so far, at most `MAX_PRINTED` and a few."""

    content: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def is_too_long(self) -> bool:
        return len(self.content) > MAX_PRINTED

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")


def bare_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that commands get: PATH, HOME and LANG, and nothing of our own."""
    kept = {name: environ[name] for name in _KEPT_VARIABLES if environ.get(name)}
    return {"PATH": os.defpath, "HOME": "/", "LANG": "C.UTF-8"} | kept


def split_command(command: str) -> list[str]:
    """Return the words of a command line, split as a shell does. Raises InvalidValueError."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InvalidValueError(
            f"is not a command line: {str(error).lower()} (words are split as a shell does)"
        ) from None
    if not words or not words[0]:
        raise InvalidValueError("has no program: give a command line")
    return words


async def ask_command(
    registry: Registry,
    environment: Mapping[str, str],
    secrets: Iterable[str] = (),
    limit_s: float = PASSWORD_LIMIT_S,
) -> CommandedLogin:
    """Run the password command of `registry`, and return the login that it prints.

    `secrets` are masked in messages. Raises PasswordCommandError that says what to do.
    """
    try:
        words = split_command(registry.password_command)
        # A file, not a pipe: many commands end without reading it, in the middle of a write.
        with tempfile.TemporaryFile() as asked:
            asked.write(f"{helper_server(registry)}\n".encode())
            asked.seek(0)
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asked,
                stdout=PIPE,
                stderr=PIPE,
                cwd="/",
                env=dict(environment),
                # A group of its own, so that what it has started can be ended with it.
                start_new_session=True,
            )
    except InvalidValueError as error:
        raise _command_failure(registry, str(error), permanent=True) from None
    except FileNotFoundError:
        fault = f"cannot be started: there is no program {words[0]} in {environment['PATH']}"
        hint = "; install it on the server's machine, or give its whole path"
        raise _command_failure(registry, fault + hint, permanent=True) from None
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or "it is not a program"
        fault = f"cannot be started ({words[0]}): {fault}"
        raise _command_failure(registry, fault, permanent=True) from None
    printed, complaint = _Printed(), _Printed()
    try:
        async with asyncio.timeout(limit_s):
            code = await finish_command(process, printed, complaint)
    except TimeoutError:
        raise _command_failure(registry, f"({words[0]}) did not end within {limit_s:g} s") from None
    finally:
        if process.returncode is None:
            _kill(process)
            await process.wait()
    if printed.is_too_long or complaint.is_too_long:
        raise _command_failure(registry, f"({words[0]}) prints more than {MAX_PRINTED // 1024} KiB")
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        said = first_words(words[0], printed.text, complaint.text, secrets)
        raise _command_failure(registry, f"({words[0]}) ended with {how}: {said}")
    try:
        return parse_login(bytes(printed.content))
    except InvalidValueError as error:
        raise _command_failure(registry, f"({words[0]}) {error}") from None


def parse_login(printed: bytes) -> CommandedLogin:
    """Return the login in what a command has printed: one line, or a JSON object.

    Raises InvalidValueError that repeats nothing of it.
    """
    try:
        text = printed.decode().strip()
    except UnicodeDecodeError:
        raise InvalidValueError("prints what is not UTF-8 text") from None
    if not text:
        raise InvalidValueError("prints no password")
    if text.startswith("{"):
        return login_in(text)
    if len(text.splitlines()) > 1:
        raise InvalidValueError("prints more than one line; it may print only the password")
    return CommandedLogin("", _checked(text, "password"))


def first_words(program: str, printed: str, complaint: str, secrets: Iterable[str]) -> str:
    """Return the first line that a failed command has said, without anything like a secret."""
    # Docker's credential helpers complain on standard output.
    is_helper = PurePath(program).name.startswith(HELPER_PREFIX)
    is_printed = is_helper and not complaint.strip()
    said, known = (printed, [*secrets]) if is_printed else (complaint, [*secrets, printed])
    lines = [" ".join(line.split()) for line in said.splitlines()]
    line = next((line for line in lines if line), "")
    shown = "".join(character for character in line if character.isprintable())
    # Known ones first: the patterns below might leave a part of them.
    shown = _URL_LOGIN.sub(rf"\1{MASK}@", mask_values(shown, known))
    shown = _TOKEN_LIKE.sub(MASK, _NAMED_SECRET.sub(rf"\1{MASK}", shown))
    shown = shown if len(shown) <= _MAX_COMPLAINT else f"{shown[:_MAX_COMPLAINT]}…"
    return shown or "it said nothing; run it on the server's machine to see more"


def helper_server(registry: Registry) -> str:
    """Return the address that credential helpers of Docker know a registry by."""
    return _DOCKER_HUB_SERVER if registry.host == DOCKER_HUB else registry.host


async def finish_command(process: Process, printed: _Printed, complaint: _Printed) -> int:
    """Return the exit code, once the command has ended."""
    reading = [
        asyncio.create_task(_read_pipe(process, stream, into))
        for stream, into in ((process.stdout, printed), (process.stderr, complaint))
    ]
    try:
        code = await process.wait()
        # A process that it has left behind may keep the pipes open.
        await asyncio.wait(reading, timeout=_LAST_OUTPUT_S)
        return code
    finally:
        for task in reading:
            task.cancel()


async def _read_pipe(process: Process, stream: asyncio.StreamReader | None, into: _Printed) -> None:
    while stream is not None and (chunk := await stream.read(8192)):
        # Read to its end all the same: asyncio takes a process for ended once its pipes are closed.
        if into.is_too_long:
            continue
        into.content += chunk
        if into.is_too_long:
            _kill(process)


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def login_in(text: str) -> CommandedLogin:
    """Return the login in a JSON object. Raises InvalidValueError that repeats nothing of it."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValueError("prints a { that does not begin a JSON object") from None
    password = said.get("password", said.get("Secret"))
    if not isinstance(password, str) or not password:
        raise InvalidValueError('prints JSON without "password" (or "Secret")')
    username = said.get("username", said.get("Username", ""))
    if not isinstance(username, str):
        raise InvalidValueError("prints JSON whose username is not a string")
    lifetime = lifetime_of(said.get("expires_in"))
    return CommandedLogin(_checked(username, "username"), _checked(password, "password"), lifetime)


def lifetime_of(seconds: object) -> timedelta:
    """Return the lifetime that `expires_in` says. Raises InvalidValueError."""
    if seconds is None:
        return PASSWORD_LIFETIME
    try:
        # JSON's true is a number to Python.
        number = math.nan if isinstance(seconds, bool) else float(str(seconds))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidValueError("prints JSON whose expires_in is not a number of seconds")
    return timedelta(seconds=min(max(number, 0.0), LONGEST_LIFETIME.total_seconds()))


def _checked(value: str, name: str) -> str:
    if len(value) > _MAX_PASSWORD:
        raise InvalidValueError(f"prints a {name} longer than {_MAX_PASSWORD} characters")
    if any(ord(character) < ord(" ") or character == "\x7f" for character in value):
        raise InvalidValueError(f"prints a {name} with control characters")
    if name == "username" and ":" in value:
        raise InvalidValueError("prints a username with a colon")
    return value


def _command_failure(
    registry: Registry, fault: str, *, permanent: bool = False
) -> PasswordCommandError:
    error = PasswordCommandError(f"the password command of {registry.name} {fault}")
    return mark_permanent(error) if permanent else error
