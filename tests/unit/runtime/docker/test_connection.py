"""DockerRuntime against an engine that misbehaves.

A small server on a Unix socket that does what each test tells it.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import aiodocker
import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tagboat.core.errors import (
    DiskFullError,
    EngineError,
    EngineNotFoundError,
    EngineUnavailableError,
)
from tagboat.core.image import Digest, parse_image_name
from tagboat.core.workload import WorkloadSpec
from tagboat.runtime.docker import connection as connection_module
from tagboat.runtime.docker import engine as docker_module
from tagboat.runtime.docker.address import parse_engine_address
from tagboat.runtime.docker.connection import DockerConnection
from tagboat.runtime.docker.engine import DockerRuntime
from tests.support.clock import LoopTime

pytestmark = pytest.mark.anyio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

APP = parse_image_name("git.example.com/acme/app")
DIGEST = Digest("sha256:" + "1" * 64)
PULL_MESSAGE = (
    json.dumps(
        {"id": "a", "status": "Downloading", "progressDetail": {"current": 1, "total": 2}}
    ).encode()
    + b"\r\n"
)


class FakeEngine:
    """Answers `routes` (`METHOD /path` without version prefix) and notes the versions and
    requests it saw.
    """

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.api_version = "1.41"
        self.routes: dict[str, Handler] = {}
        self.seen: list[str] = []
        self.bodies: list[bytes] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on the socket."""
        await web.UnixSite(await self._ready(), str(self.socket)).start()

    async def start_tcp(self, tls: ssl.SSLContext | None = None) -> int:
        """Listen on a port of loopback, which is returned."""
        runner = await self._ready()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port: int = runner.addresses[0][1]
        return port

    async def _ready(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        return self._runner

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.raw_path}")
        self.bodies.append(await request.read())
        path = request.path
        if path.endswith("/version"):
            return web.json_response({"Version": "9.9", "ApiVersion": self.api_version})
        version, _, rest = path.removeprefix("/").partition("/")
        if version != f"v{self.api_version}":
            return web.json_response(
                {"message": f"client version {version} is too new."}, status=400
            )
        handler = self.routes.get(f"{request.method} /{rest}")
        return (
            await handler(request)
            if handler
            else web.json_response({"message": "no such thing"}, status=404)
        )


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeEngine]:
    engine = FakeEngine(tmp_path / "docker.sock")
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def engine(fake: FakeEngine) -> AsyncIterator[DockerRuntime]:
    engine = DockerRuntime(f"unix://{fake.socket}")
    yield engine
    await engine.close()


def answer(value: object, status: int = 200) -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.json_response(value, status=status)

    return handler


async def never(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def test_the_version_of_the_api_is_the_engines(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    assert await engine.version() == "9.9"
    assert await engine.status("web") is None
    assert "GET /v1.41/containers/web/json" in fake.seen


async def test_an_engine_that_came_back_as_another_release_is_spoken_to_again(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    await engine.version()
    await fake.stop()
    with pytest.raises(
        EngineUnavailableError, match="could not inspect the container web"
    ) as caught:
        await engine.status("web")
    assert caught.value.retryable
    fake.api_version = "1.52"
    await fake.start()
    assert await engine.status("web") is None
    assert "GET /v1.52/containers/web/json" in fake.seen


async def test_an_engine_replaced_unnoticed_costs_one_retry(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    await engine.version()
    fake.api_version = "1.30"
    with pytest.raises(EngineUnavailableError, match="too new"):
        await engine.status("web")
    assert await engine.status("web") is None


async def test_no_socket(tmp_path: Path) -> None:
    engine = DockerRuntime(f"unix://{tmp_path}/none.sock")
    with pytest.raises(
        EngineUnavailableError,
        match=r"unix://.*/none.sock could not be reached: .*is Docker running",
    ):
        await engine.version()
    await engine.close()


async def test_a_silent_engine_is_waited_for_only_so_long(
    fake: FakeEngine, engine: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_module, "ASK_S", 0.2)
    fake.routes["GET /containers/web/json"] = never
    with pytest.raises(EngineUnavailableError, match="no answer in time"):
        await engine.status("web")


@pytest.mark.parametrize("body", ["<html>hello</html>", '{"odd": 1}', "[]"])
async def test_what_is_no_docker_engine(fake: FakeEngine, engine: DockerRuntime, body: str) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type="application/json")

    fake.routes["GET /containers/web/json"] = handler
    with pytest.raises(EngineError, match="does not answer like a Docker engine"):
        await engine.status("web")


async def test_an_error_in_no_form_at_all_is_passed_on(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="out of order\n", status=500)

    fake.routes["GET /containers/web/json"] = handler
    with pytest.raises(EngineError, match="could not inspect the container web: out of order"):
        await engine.status("web")


async def test_a_pull_that_is_cut_off_is_no_success(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    async def cut_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(PULL_MESSAGE)
        assert request.transport is not None
        request.transport.abort()
        return response

    fake.routes["POST /images/create"] = cut_off
    with pytest.raises(EngineUnavailableError, match="pull"):
        await engine.pull(APP, DIGEST, None, lambda _: None)


async def test_a_pull_that_ends_early_in_good_manners_is_no_success_either(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    async def ends(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=PULL_MESSAGE)

    told: list[str] = []
    fake.routes["POST /images/create"] = ends
    with pytest.raises(EngineUnavailableError, match="the image did not arrive"):
        await engine.pull(APP, DIGEST, None, told.append)
    assert told == ["0.0 kB of 0.0 kB, 0 of 1 layers"]


async def test_a_pull_may_take_its_time_but_not_fall_silent(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    time, told, silent = LoopTime(monkeypatch), asyncio.Semaphore(0), asyncio.Event()
    engine = DockerRuntime(f"unix://{fake.socket}", pull_idle_s=100)

    async def slow_then_silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(1, 7):
            await response.write(PULL_MESSAGE.replace(b": 1", b": %d000000" % number))
            await told.acquire()
            time.move(50)
        silent.set()
        time.move(100)
        await asyncio.Event().wait()
        return response

    fake.routes["POST /images/create"] = slow_then_silent
    with pytest.raises(EngineUnavailableError, match="no answer in time"):
        await engine.pull(APP, DIGEST, None, lambda _: told.release())
    assert silent.is_set()
    await engine.close()


async def test_a_message_of_a_pull_may_come_in_pieces_and_tell_of_failure(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    async def pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        failure = json.dumps(
            {"errorDetail": {"message": "manifest unknown"}, "error": "manifest unknown"}
        ).encode()
        for part in (PULL_MESSAGE[:10], PULL_MESSAGE[10:] + failure[:5], failure[5:] + b"\n"):
            await response.write(part)
            await asyncio.sleep(0.01)
        return response

    fake.routes["POST /images/create"] = pieces
    with pytest.raises(EngineNotFoundError, match="has no such image: manifest unknown"):
        await engine.pull(APP, DIGEST, None, lambda _: None)


async def test_an_engine_without_json_file_log_gets_its_own_way(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    async def create(request: web.Request) -> web.StreamResponse:
        if "LogConfig" in (await request.json())["HostConfig"]:
            return web.json_response({"message": "invalid log driver json-file"}, status=400)
        return web.json_response({"Id": "abc"}, status=201)

    fake.routes["POST /containers/create"] = create
    fake.routes[IMAGE] = answer({})
    assert (
        await engine.create(WorkloadSpec(name="web", image=f"{APP}@{DIGEST}", labels={})) == "abc"
    )


async def test_a_slow_stop_is_waited_for_as_long_as_the_container_may_take(
    fake: FakeEngine, engine: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stop(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response(status=204)

    monkeypatch.setattr(docker_module, "_STOP_MARGIN_S", 0.1)
    fake.routes["POST /containers/web/stop"] = stop
    fake.routes["GET /containers/web/json"] = answer(
        {"Id": "1", "Name": "/web", "Config": {"StopTimeout": 60}}
    )
    await engine.stop("web")
    assert "POST /v1.41/containers/web/stop" in fake.seen
    fake.routes["GET /containers/web/json"] = answer(
        {"Id": "1", "Name": "/web", "Config": {"StopTimeout": 0}}
    )
    with pytest.raises(EngineUnavailableError, match="could not stop the container web"):
        await engine.stop("web")


IMAGE = f"GET /images/{APP}@{DIGEST}/json"
CREATE, PUT, REMOVE = (
    "POST /containers/create",
    "PUT /containers/abc/archive",
    "DELETE /containers/abc",
)
WITH_FILE = WorkloadSpec(
    name="web", image=f"{APP}@{DIGEST}", labels={}, files={"/run/secrets/key": "hush"}
)


async def test_a_container_that_cannot_get_its_files_is_removed(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    fake.routes[IMAGE] = answer({})
    fake.routes[CREATE] = answer({"Id": "abc"}, status=201)
    fake.routes[PUT] = answer(
        {"message": "write /run/secrets/key: no space left on device"}, status=500
    )
    fake.routes[REMOVE] = answer({})
    with pytest.raises(DiskFullError, match="could not put files into the container web"):
        await engine.create(WITH_FILE)
    assert fake.seen[-1] == "DELETE /v1.41/containers/abc?force=1&v=1"


async def test_why_a_container_could_not_be_made_is_told_even_if_it_cannot_be_removed(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    fake.routes[IMAGE] = answer({})
    fake.routes[CREATE] = answer({"Id": "abc"}, status=201)
    fake.routes[PUT] = answer({"message": "the root is read-only"}, status=400)
    fake.routes[REMOVE] = answer({"message": "device or resource busy"}, status=500)
    with pytest.raises(EngineError, match="the root is read-only"):
        await engine.create(WITH_FILE)
    assert any("DELETE" in one for one in fake.seen)


async def test_an_engine_that_is_told_to_stop_is_away_before_it_has_ended(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    """It ends containers, and answers on old connections only: a new one finds no socket."""
    fake.routes["GET /containers/web/json"] = answer(
        {"Id": "web", "Name": "/web", "State": {"Running": False, "ExitCode": 0}}
    )
    fake.routes["POST /containers/web/start"] = answer(
        {"message": "failed to update store for object type *libnetwork.endpoint"}, status=500
    )
    status = await engine.status("web")
    assert status is not None
    assert not status.running
    with pytest.raises(EngineError, match="failed to update store"):
        await engine.start("web")
    fake.socket.unlink()
    with pytest.raises(EngineUnavailableError, match="could not inspect the container web"):
        await engine.status("web")


@pytest.mark.parametrize(("restarts", "exit_code"), [(1, 3), (0, 0)])
async def test_the_end_of_a_container_that_is_restarted_at_once_is_not_missed(
    restarts: int, exit_code: int, fake: FakeEngine, engine: DockerRuntime
) -> None:
    """Unless it runs again for another reason: with its engine, or by hand."""
    ended = {"Id": "web", "Name": "/web", "State": {"Running": False, "ExitCode": 3}}
    runs = {"Id": "web", "Name": "/web", "State": {"Running": True}, "RestartCount": restarts}
    answers = iter([ended, runs])

    async def inspect(request: web.Request) -> web.StreamResponse:
        return await answer(next(answers))(request)

    fake.routes["GET /containers/web/json"] = inspect
    status = await engine.status("web")
    assert status is not None
    assert (status.running, status.exit_code) == (not exit_code, exit_code)


async def test_an_error_of_an_engine_that_is_told_to_stop_is_worth_another_try(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    fake.routes["POST /containers/web/start"] = answer({"message": "no more"}, status=500)
    with pytest.raises(EngineError, match="no more"):
        await engine.start("web")
    fake.socket.unlink()
    with pytest.raises(EngineUnavailableError, match="could not start the container"):
        await engine.start("web")


def events(*parts: bytes, end: bool = True) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(0.01)
        return response if end else await never(request)

    return handler


def ending(name: str) -> bytes:
    return json.dumps(
        {"Type": "container", "Action": "die", "Actor": {"ID": "1", "Attributes": {"name": name}}}
    ).encode()


async def told_until(engine: DockerRuntime, error: type[EngineError], words: str) -> list[str]:
    """Return the names that `endings` tells until it raises `error`."""
    told: list[str] = []

    async def listen() -> None:
        async for name in engine.watch_exits({"tagboat.stage": "1"}):
            told.append(name)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(error, match=words):
        await listen()
    return told


async def test_endings_come_in_pieces_and_an_engine_that_stops_is_missed(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    one, two = ending("web-1"), ending("web-2")
    fake.routes["GET /events"] = events(one + b"\n" + two[:20], two[20:], b"\n\n")
    told = await told_until(
        engine, EngineUnavailableError, "could not tell which containers end: it went away"
    )
    assert told == ["web-1", "web-2"]
    assert "label" in fake.seen[-1]
    assert "tagboat.stage" in fake.seen[-1]


async def test_endings_from_what_is_no_engine(fake: FakeEngine, engine: DockerRuntime) -> None:
    fake.routes["GET /events"] = events(b"<html>\n")
    assert await told_until(engine, EngineError, "does not answer like a Docker engine") == []
    fake.routes["GET /events"] = events(b"{}\n")
    assert await told_until(engine, EngineError, "does not answer like a Docker engine") == []


async def test_an_engine_that_does_not_begin_to_tell_is_waited_for_only_so_long(
    fake: FakeEngine, engine: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_CONNECT_S", 0.2)
    fake.routes["GET /events"] = never
    assert await told_until(engine, EngineUnavailableError, "no answer in time") == []


async def test_an_engine_may_be_quiet_but_not_die_unnoticed(
    fake: FakeEngine, engine: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = LoopTime(monkeypatch)
    fake.routes["GET /events"] = events(ending("web") + b"\n", end=False)
    names = engine.watch_exits({})
    assert await anext(names) == "web"
    quiet = asyncio.ensure_future(anext(names))
    await asyncio.sleep(0)
    time.move(3600)
    assert await asyncio.wait([quiet], timeout=0.1) == (set(), {quiet})
    await fake.stop()
    with pytest.raises(EngineUnavailableError, match="could not tell which containers end"):
        await quiet


def keep_alive_timers(port: int) -> set[str]:
    """Return what Linux waits for on the connections to `port` of loopback.

    `02` is the time to ask whether the peer is alive.
    """
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        row[5].partition(":")[0]
        for row in rows
        if row[2] == f"0100007F:{port:04X}" and row[3] == "01"
    }


async def test_a_quiet_tcp_connection_is_asked_whether_it_lives(tmp_path: Path) -> None:
    fake = FakeEngine(tmp_path / "unused")
    port = await fake.start_tcp()
    engine = DockerRuntime(f"tcp://127.0.0.1:{port}")
    fake.routes["GET /events"] = events(ending("web") + b"\n", end=False)
    names = engine.watch_exits({})
    assert await anext(names) == "web"
    quiet = asyncio.ensure_future(anext(names))
    async with asyncio.timeout(60):
        while keep_alive_timers(port) != {"02"}:  # noqa: ASYNC110 - first it waits for an acknowledgement
            await asyncio.sleep(0.02)
    quiet.cancel()
    await asyncio.wait([quiet])
    await engine.close()
    await fake.stop()


async def test_whoever_gives_up_is_not_told_of_an_error(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    fake.routes["GET /containers/web/json"] = never
    call = asyncio.create_task(engine.status("web"))
    while not any("/containers/web" in seen for seen in fake.seen):  # noqa: ASYNC110 - the fake's notes are a list
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_after_closing_the_engine_can_be_used_again(engine: DockerRuntime) -> None:
    assert await engine.version() == "9.9"
    await engine.close()
    await engine.close()
    assert await engine.version() == "9.9"


def make_certificates(directory: Path) -> None:
    """One self-signed certificate for 127.0.0.1 that is authority, server and client at once."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(hours=1)
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    (directory / "ca.pem").write_bytes(certificate)
    (directory / "cert.pem").write_bytes(certificate)
    (directory / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


async def test_tcp_with_certificates_is_tls_on_both_sides(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for directory in (mine, other):
        directory.mkdir()
        make_certificates(directory)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(mine / "ca.pem"))
    tls.load_cert_chain(mine / "cert.pem", mine / "key.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    fake = FakeEngine(tmp_path / "unused")
    port = await fake.start_tcp(tls)
    engine = DockerRuntime(f"tcp://127.0.0.1:{port}", cert_path=mine)
    assert await engine.version() == "9.9"
    stranger = DockerRuntime(f"tcp://127.0.0.1:{port}", cert_path=other)
    with pytest.raises(EngineUnavailableError, match="certificate verify failed"):
        await stranger.version()
    await engine.close()
    await stranger.close()
    await fake.stop()


async def test_what_takes_the_disk_waits_for_another_caller_who_asks_it(
    fake: FakeEngine, engine: DockerRuntime
) -> None:
    answers = iter(("a disk usage operation is already running", None))

    async def count(_request: web.Request) -> web.Response:
        if refused := next(answers):
            return web.json_response({"message": refused}, status=500)
        return web.json_response({"LayersSize": 7, "Images": [], "Volumes": []})

    fake.routes["GET /system/df"] = count
    assert (await engine.disk_usage()).layers == 7


async def test_missing_certificates_are_named(tmp_path: Path) -> None:
    engine = DockerRuntime("tcp://127.0.0.1:1", cert_path=tmp_path)
    with pytest.raises(
        EngineUnavailableError, match=r"ca\.pem, cert\.pem and key\.pem are expected in"
    ):
        await engine.version()
    await engine.close()


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


BELOW = (
    subclasses(aiodocker.DockerError) | subclasses(aiohttp.ClientError) | {TimeoutError, OSError}
)


@pytest.mark.parametrize("kind", sorted(BELOW, key=str))
async def test_every_error_of_the_libraries_below_becomes_ours(
    tmp_path: Path, kind: type[Exception]
) -> None:
    # Each has arguments of its own, which play no part here.
    bare = {"__init__": lambda _: None, "__str__": lambda _: "oh", "status": 500, "message": "oh"}
    error = type(kind.__name__, (kind,), bare)()
    connection = DockerConnection(parse_engine_address(f"unix://{tmp_path}/none.sock"))
    with pytest.raises(EngineError, match="could not try it"):
        async with connection.use("try it", 5):
            raise error
    await connection.close()
