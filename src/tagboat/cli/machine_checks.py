"""Checks of `tagboat doctor` on the server's machine, which need no running server."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tagboat.cli import docker_socket
from tagboat.core.errors import EngineError
from tagboat.core.keeping import LEAST_FREE_BYTES
from tagboat.core.shell_words import shell_words

if TYPE_CHECKING:
    from tagboat.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `detail` says what was found and, if `ok` is false, what to do."""

    check: str
    ok: bool
    detail: str


def check_this_machine(settings: "Settings") -> Iterator[Finding]:
    """Yield what can be checked without the server: data, disks, HAProxy left running."""
    from tagboat.ingress.process import our_processes
    from tagboat.settings import IN_THE_CLEAR, IngressKind

    yield _check_data_dir(settings.data_dir)
    # Without an ingress nobody updates the routes of a HAProxy that was left running.
    if settings.ingress is IngressKind.NONE and (
        left := our_processes((settings.data_dir / "ingress").resolve())
    ):
        yield Finding(
            "HAProxy from before",
            ok=False,
            detail=f"HAProxy (process {left[0]}) still runs with the routes of before, although "
            "the ingress is off; set TAGBOAT_INGRESS=none and restart Tagboat to end it, or "
            "install HAProxy again to have its routes updated",
        )
    if settings.data_dir.is_dir():
        yield _check_disk("disk of the data", settings.data_dir, "the database needs it")
    if (path := _engine_socket(settings)) is not None:
        try:
            root = docker_socket.engine_root_dir(path)
            # An engine in another file system reports a path that means nothing here.
            if root.exists():
                why = "images need it; 'docker system df' shows what takes it"
                yield _check_disk("disk of Docker", root, why)
        except (EngineError, OSError):
            # The check of the engine itself reports that it does not answer.
            pass
    if settings.docker.is_exposed:
        detail = f"{settings.docker.url}: {IN_THE_CLEAR}"
        yield Finding("connection to the engine", ok=False, detail=detail)


def _check_data_dir(path: Path) -> Finding:
    problem = None
    if not path.exists():
        return Finding("data directory", ok=True, detail=f"{path} is made at the first start")
    if not path.is_dir():
        problem = f"{path} is not a directory; move it away, or set TAGBOAT_DATA_DIR"
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        problem = (
            f"{path} is not writable; run this as the user that runs the server, "
            "or chown the directory to you"
        )
    elif path.stat().st_mode & 0o077:
        problem = (
            f"{path} is open to other users and holds secrets; chmod 700 {shell_words(str(path))}"
        )
    return Finding("data directory", ok=problem is None, detail=problem or str(path))


def _check_disk(name: str, path: Path, why: str) -> Finding:
    free = shutil.disk_usage(path).free
    found = f"{free / 2**30:.1f} GiB free at {path}"
    if free >= LEAST_FREE_BYTES:
        return Finding(name, ok=True, detail=found)
    return Finding(name, ok=False, detail=f"{found}, less than 1 GiB; free some space: {why}")


def check_engine_and_ingress(settings: "Settings") -> Iterator[Finding]:
    """Yield the checks that the server would do if it were running."""
    # A server that runs reports on its engine itself.
    path = _engine_socket(settings)
    if path is None:
        detail = f"not checked: the server asks {settings.docker.url} when it runs"
        yield Finding("engine", ok=True, detail=detail)
    else:
        try:
            docker_socket.ping_engine(path)
            yield Finding("engine", ok=True, detail=f"{path} answers")
        except EngineError as error:
            detail = f"{error}. Another engine: TAGBOAT_DOCKER_HOST"
            yield Finding("engine", ok=False, detail=detail)
    if settings.ingress_is_missing:
        yield Finding("ingress", ok=False, detail=settings.why_no_ingress)


def _engine_socket(settings: "Settings") -> Path | None:
    """Return the engine's socket on this machine, None for an engine elsewhere."""
    url = settings.docker.url
    return Path(url.removeprefix("unix://")) if url.startswith("unix://") else None
