"""`tagboat doctor`: what is wrong, and what to do about it."""

import http.client
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tagboat.cli import show
from tagboat.cli.client import Client
from tagboat.cli.place import Place
from tagboat.core.errors import TagboatError
from tagboat.settings import Settings, load_remote_settings

LEAST_FREE_BYTES = 1 << 30
_ENGINE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    check: str
    ok: bool
    detail: str


def doctor(place: Place, *, as_json: bool) -> int:
    """Look at everything; 1 if anything is wrong."""
    findings = list(_look(place))
    if as_json:
        show.as_json([asdict(finding) for finding in findings])
    else:
        show.table(("", "check", "what was found"), (("ok" if f.ok else "WRONG", f.check, f.detail) for f in findings))
    return 0 if all(finding.ok for finding in findings) else 1


def _look(place: Place) -> Iterator[Finding]:
    local = load_remote_settings(place.environ, cwd=place.cwd).url is None
    if local:
        settings = place.settings()
        yield Finding("settings", True, "can be used")  # noqa: FBT003 - reads as a table row
        yield from _disk(settings)
    try:
        client = Client(place.server())
        health = client.get("/api/health")
    except TagboatError as error:
        yield Finding("server", False, str(error))  # noqa: FBT003 - reads as a table row
        if local:
            yield _engine(settings)
        return
    yield Finding("server", health["status"] == "ok", f"Tagboat {health['version']} answers")
    for name, state in health["checks"].items():
        yield Finding(name, state == "ok", "answers" if state == "ok" else _remedy(name, state))
    try:
        yield from _registries(client)
    except TagboatError as error:
        yield Finding("registries", False, str(error))  # noqa: FBT003 - reads as a table row


def _disk(settings: Settings) -> Iterator[Finding]:
    path = settings.data_dir
    if not path.exists():
        yield Finding("data directory", True, f"{path} is made at the first start")  # noqa: FBT003 - reads as a table row
        return
    private = path.stat().st_mode & 0o077 == 0
    yield Finding("data directory", private, str(path) if private else f"others may read {path}: chmod 700 {path}")
    free = shutil.disk_usage(path).free
    enough = free >= LEAST_FREE_BYTES
    words = f"{free / 1e9:.1f} GB free at {path}"
    yield Finding("disk", enough, words if enough else f"{words}: make room, images and the database need it")


def _registries(client: Client) -> Iterator[Finding]:
    for registry in client.items("/api/registries"):
        answer = client.post(f"/api/registries/{registry['id']}/test")
        wrong = [check["detail"] for check in answer["checks"] if not check["ok"]]
        yield Finding(f"registry {registry['name']}", answer["ok"], "; ".join(wrong) or f"{registry['url']} answers")


def _remedy(name: str, state: str) -> str:
    mends = {"engine": "is Docker running, and is TAGBOAT_DOCKER_HOST right?", "database": "look at the server's log"}
    return f"{state}; {mends.get(name, 'look at the server log')}"


def _engine(settings: Settings) -> Finding:
    """Ask the engine itself, where the server cannot."""
    url = settings.docker.url
    if not url.startswith("unix://"):
        return Finding("engine", True, f"{url} is asked by the server, once it runs")  # noqa: FBT003 - reads as a table row
    path = url.removeprefix("unix://")
    connection = http.client.HTTPConnection("localhost", timeout=_ENGINE_TIMEOUT_S)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(_ENGINE_TIMEOUT_S)
        connection.sock.connect(path)
        connection.request("GET", "/_ping")
        ok = connection.getresponse().read() == b"OK"
    except (OSError, http.client.HTTPException) as error:
        return Finding("engine", False, f"{path} does not answer ({error}); start Docker, or set TAGBOAT_DOCKER_HOST")  # noqa: FBT003
    finally:
        connection.close()
    return Finding("engine", ok, f"{path} answers" if ok else f"what answers at {path} is no Docker engine")
