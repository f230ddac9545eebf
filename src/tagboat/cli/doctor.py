"""`tagboat doctor`: what is wrong, and what to do about it."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tagboat.cli import docker_socket, room, show
from tagboat.cli.client import LONG_TIMEOUT_S, Answer, Client, TokenRefusedError
from tagboat.cli.deliveries import needing_you
from tagboat.cli.place import Place
from tagboat.cli.status import troubled
from tagboat.core.errors import EngineError, SettingsError, TagboatError
from tagboat.core.keeping import LEAST_FREE_BYTES
from tagboat.settings import IN_THE_CLEAR, IngressKind, Settings

_WITHOUT = {
    "ingress": "none: instances answer at their own loopback addresses; set TAGBOAT_INGRESS=haproxy for one"
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `detail` says what was found and, where that is wrong, what to do."""

    check: str
    ok: bool
    detail: str


def doctor(place: Place, *, as_json: bool) -> int:
    """Look at everything; 1 if anything is wrong."""
    findings = list(_look(place))
    wrong = sum(not finding.ok for finding in findings)
    if as_json:
        show.as_json([asdict(finding) for finding in findings])
    else:
        show.table(
            ("", "check", "found"),
            (("ok" if f.ok else "WRONG", f.check, f.detail) for f in findings),
        )
        show.line(
            f"{wrong} of {len(findings)} checks found something wrong." if wrong else "All is well."
        )
    return 1 if wrong else 0


def _look(place: Place) -> Iterator[Finding]:
    try:
        settings = None if place.remote().url else place.settings()
    except SettingsError as error:
        yield Finding(
            "settings", ok=False, detail=f"{error} (the rest can be looked at once that is mended)"
        )
        return
    if settings is not None:
        yield Finding("settings", ok=True, detail="can be used")
        yield from _local_disks(settings)
        if settings.docker.is_exposed:
            yield Finding(
                "way to the engine", ok=False, detail=f"{settings.docker.url}: {IN_THE_CLEAR}"
            )
    try:
        client = Client(place.server())
        health = client.health()
    except TagboatError as error:
        yield Finding("server", ok=False, detail=str(error))
        if settings is not None:
            yield _engine(settings)
            if settings.ingress_is_missing:
                yield Finding("ingress", ok=False, detail=settings.why_no_ingress)
        return
    yield from _server(health)
    if settings is None:
        yield from (
            Finding(f"disk of {disk['name']}", ok=not disk["low"], detail=room.told(disk))
            for disk in room.disks(client)
        )
    yield from (Finding(check, ok=True, detail=detail) for check, detail in room.taken(client))
    yield from _asked(client)


def _local_disks(settings: Settings) -> Iterator[Finding]:
    yield _data_dir(settings.data_dir)
    yield from _left_ingress(settings)
    if settings.data_dir.is_dir():
        yield _disk("disk of the data", settings.data_dir, "the database needs it")
    if (socket := _engine_socket(settings)) is None:
        return
    try:
        root = docker_socket.root_dir(socket)
        # An engine in another file system tells a path that means nothing here.
        if root.exists():
            yield _disk(
                "disk of Docker", root, "images need it; 'docker system df' shows what takes it"
            )
    except (EngineError, OSError):
        # That the engine does not answer is found, and told, by a check of its own.
        return


def _data_dir(path: Path) -> Finding:
    name = "data directory"
    if not path.exists():
        return Finding(name, ok=True, detail=f"{path} will be made at the first start")
    if not path.is_dir():
        return Finding(
            name,
            ok=False,
            detail=f"{path} is not a directory; move it away, or set TAGBOAT_DATA_DIR",
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        mend = "run this as the user that runs the server, or chown the directory to you"
        return Finding(name, ok=False, detail=f"{path} cannot be written to; {mend}")
    if path.stat().st_mode & 0o077:
        return Finding(
            name,
            ok=False,
            detail=f"{path} is open to other users and holds secrets; chmod 700 {path}",
        )
    return Finding(name, ok=True, detail=str(path))


def _left_ingress(settings: Settings) -> Iterator[Finding]:
    """A HAProxy from before, when there was an ingress: what it answers is what was true then."""
    from tagboat.ingress.process import our_processes

    if settings.ingress is IngressKind.NONE and (
        left := our_processes((settings.data_dir / "ingress").resolve())
    ):
        found = f"HAProxy (process {left[0]}) still runs with the routes of before, though there is to be no ingress"
        mend = "set TAGBOAT_INGRESS=none and restart Tagboat to end it, or install HAProxy again to have it led"
        yield Finding("HAProxy from before", ok=False, detail=f"{found}; {mend}")


def _disk(name: str, path: Path, why: str) -> Finding:
    free = shutil.disk_usage(path).free
    found = f"{free / 2**30:.1f} GiB free at {path}"
    enough = free >= LEAST_FREE_BYTES
    return Finding(
        name, ok=enough, detail=found if enough else f"{found}, less than 1 GiB; make room: {why}"
    )


def _engine(settings: Settings) -> Finding:
    """Ask the engine itself, where there is no server to do so."""
    path = _engine_socket(settings)
    if path is None:
        return Finding(
            "engine",
            ok=True,
            detail=f"not looked at: the server asks {settings.docker.url}, once it runs",
        )
    try:
        docker_socket.ping(path)
    except EngineError as error:
        return Finding("engine", ok=False, detail=f"{error}. Another engine: TAGBOAT_DOCKER_HOST")
    return Finding("engine", ok=True, detail=f"{path} answers")


def _engine_socket(settings: Settings) -> Path | None:
    """The engine's socket on this machine, None for an engine elsewhere."""
    url = settings.docker.url
    return Path(url.removeprefix("unix://")) if url.startswith("unix://") else None


def _server(health: Answer) -> Iterator[Finding]:
    well = health["status"] != "unavailable"
    detail = f"Tagboat {health['version']} answers"
    yield Finding(
        "server",
        ok=well,
        detail=detail if health["status"] == "ok" else f"{detail}: {health['status']}, see below",
    )
    for name, state in health["checks"].items():
        if state == "none" and name in _WITHOUT:
            yield Finding(name, ok=True, detail=_WITHOUT[name])
            continue
        # A registry that fails has a check of its own, or its project has.
        if name != "registries":
            yield Finding(name, ok=state == "ok", detail="answers" if state == "ok" else state)


def _asked(client: Client) -> Iterator[Finding]:
    """What only somebody with a token is told."""
    try:
        for registry in client.items("/api/registries"):
            show.progress(f"asking the registry {registry['name']}")
            yield _registry(client, registry)
        yield from _failed_polls(client)
        yield from _no_way_back(client)
        yield from _instances(client)
        yield from _senders(client)
    except TokenRefusedError as error:
        yield Finding(
            "token", ok=False, detail=f"{error}; the rest can be looked at once that is mended"
        )
    except TagboatError as error:
        yield Finding("registries", ok=False, detail=str(error))


def _instances(client: Client) -> Iterator[Finding]:
    """What is live and needs a person, each by itself."""
    for instance in filter(troubled, client.items("/api/instances", state="live")):
        where = f"{instance['project']['name']} {instance['stage']['name']}"
        yield Finding(
            f"instance of {where}", ok=False, detail=f"{instance['tag']}: {instance['trouble']}"
        )


def _senders(client: Client) -> Iterator[Finding]:
    """Whoever calls the webhook and is not understood, unless its newest call was."""
    for call in needing_you(client):
        detail = f"{call['reason']} ('tagboat deliveries show {call['id']}' shows the call)"
        yield Finding(f"sender {call['sender']}", ok=False, detail=detail)


def _failed_polls(client: Client) -> Iterator[Finding]:
    """A registry that needs no entry shows nowhere else that it is out of reach."""
    for project in client.items("/api/projects"):
        if error := project["poll"]["error"]:
            detail = f"{error}; 'tagboat poll {project['name']}' tries again"
            yield Finding(f"last poll of {project['name']}", ok=False, detail=detail)


def _no_way_back(client: Client) -> Iterator[Finding]:
    """Stages that cannot be rolled back to what served before, since its image is nowhere any more."""
    for project in client.items("/api/projects"):
        for stage in client.items(f"/api/projects/{project['id']}/stages"):
            way = client.get(f"/api/stages/{stage['id']}/rollback")
            if way["tag"] is not None and not way["possible"]:
                yield Finding(
                    f"way back of {project['name']} {stage['name']}", ok=False, detail=way["reason"]
                )


def _registry(client: Client, registry: Answer) -> Finding:
    name = f"registry {registry['name']}"
    try:
        answer = client.post(f"/api/registries/{registry['id']}/test", timeout_s=LONG_TIMEOUT_S)
    except TagboatError as error:
        return Finding(name, ok=False, detail=str(error))
    if answer["ok"]:
        hints = [check["detail"] for check in answer["checks"] if check["name"] == "engine"]
        return Finding(name, ok=True, detail="; ".join([f"{registry['url']} answers", *hints]))
    wrong = "; ".join(
        f"{check['name']}: {check['detail']}" for check in answer["checks"] if not check["ok"]
    )
    return Finding(name, ok=False, detail=wrong or "does not work")
