"""A server with faults to order, its engine, registry and HAProxy, and what must be true of them
at rest.
"""

import asyncio
import http.client
import itertools
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tagboat.ingress.master import Master
from tagboat.ingress.process import end_haproxy
from tests.faults.traffic import Traffic, page, traffic
from tests.support.dockerd import call
from tests.support.forks import servers
from tests.support.images import push_image
from tests.support.ports import free_port
from tests.support.server import TOKEN, Server

LAUNCHER = Path(__file__).with_name("launcher.py")
Json = dict[str, Any]
_READY_S = 60.0
_SEEN = frozenset(
    {"running", "restarting", "paused", "restarts", "health", "trouble", "trouble_since"}
)
_tags = itertools.count(int(time.time()))
"""Others in each run.

An engine that has the layers of an earlier one asks the registry for none.
"""


@dataclass
class FaultyServer(Server):
    """`tagboat serve` by the launcher."""

    ingress_port: int = field(default_factory=free_port)
    read_s: float | None = None

    @property
    def faults(self) -> Path:
        return self.directory / "faults"

    def variables(self) -> dict[str, str]:
        own = {
            "FAULTS_DIR": str(self.faults),
            "TAGBOAT_INGRESS": "haproxy",
            "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{self.ingress_port}",
        }
        read = {} if self.read_s is None else {"FAULTS_READ_S": str(self.read_s)}
        return {**super().variables(), **own, **read}

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        said = self.out()
        self.launch_alone()
        self.until(
            lambda: self.answers() and self.out() != said, "the server to be ready", _READY_S
        )

    def launch_alone(self) -> None:
        """Start it without waiting for it to be ready."""
        with (
            Path(os.devnull).open() as nothing,
            (self.directory / "out").open("ab") as out,
            (self.directory / "log").open("ab") as log,
        ):
            self.process = servers().start(
                (str(LAUNCHER), "serve"), self.variables(), self.directory, nothing, out, log
            )

    def out(self) -> str:
        path = self.directory / "out"
        return path.read_text() if path.exists() else ""

    def order(self, **wanted: Any) -> None:  # noqa: ANN401 - as the launcher reads it
        """Have the launcher do that from now on. Points are numbered and listed afresh."""
        self.faults.mkdir(exist_ok=True)
        (self.faults / "passed").write_text("")
        (self.faults / "let_go").unlink(missing_ok=True)
        fresh = self.faults / "order.new"
        fresh.write_text(json.dumps({**wanted, "order": str(uuid.uuid4())}))
        fresh.replace(self.faults / "order")

    def held_at(self, point: str) -> None:
        """Wait until a call is held at the point."""
        self.until(lambda: point in self.passed(), f"somebody to come to {point}")

    def let_go(self) -> None:
        """Let the call go that is held."""
        (self.faults / "let_go").touch()

    def passed(self) -> list[str]:
        return (self.faults / "passed").read_text().splitlines()

    def await_death(self, seconds: float) -> bool:
        """Return whether it dies in time, and by SIGKILL."""
        assert self.process is not None
        try:
            return self.process.wait(seconds) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False

    def restart(self) -> None:
        assert self.terminate() == 0
        self.start()

    def start_if_left_dead(self) -> None:
        """Start it where a case has failed and left it dead.

        The next ones are to be true of themselves.
        """
        if not self.runs:
            self.order()
            self.start()


@dataclass(frozen=True)
class StageUnderTest:
    """A stage under test, by its project."""

    project: str
    project_id: str
    stage_id: str
    image: str
    host: str


@dataclass
class FaultHarness:
    """`registry` is the host of a registry that takes pushes, `shown` the host under which
    images are deployed from it.
    """

    server: FaultyServer
    engine_url: str
    registry: str
    shown: str

    # What is done

    def lane(self, **stage: Any) -> StageUnderTest:  # noqa: ANN401 - whatever the API takes
        """Return a project of one stage, `dev`, for every tag."""
        name = f"app-{uuid.uuid4().hex[:8]}"
        image = f"{self.shown}/acme/{name}"
        project = self.called("POST", "/api/projects", {"name": name, "image": image})
        body = {"name": "dev", "tag_pattern": "*", "watch_s": 1, "health_timeout_s": 20, **stage}
        made = self.called("POST", f"/api/projects/{project['id']}/stages", body)
        return StageUnderTest(
            name, project["id"], made["id"], image, str(urlsplit(made["address"]).hostname)
        )

    def called(self, method: str, path: str, body: object = None) -> Json:
        status, answer = self.server.call(method, path, body)
        assert status < 300, (status, answer)
        return dict(answer or {})

    def publish(self, lane: StageUnderTest, tag: str = "", **app: Any) -> str:  # noqa: ANN401 - whatever the sample app takes
        """Push the image of a tag, else of one that nobody has seen; its page says `I am TAG`."""
        tag = tag or f"v{next(_tags)}"
        push_image(self.registry, f"acme/{lane.project}", tag, body=f"I am {tag}", **app)
        return tag

    def push(self, lane: StageUnderTest, tag: str) -> str:
        return str(self.server.push(f"{lane.image}:{tag}")["deploy"])

    def ended(self, deploy: str, seconds: float = 120) -> Json:
        """Return the deploy, once it has ended."""
        seen: Json = {}

        def over() -> bool:
            seen.update(self.called("GET", f"/api/deploys/{deploy}"))
            return seen["status"] not in {"queued", "running"}

        self.server.until(over, f"the end of the deploy {deploy}", seconds)
        return seen

    def live_from(self, lane: StageUnderTest, **app: Any) -> str:  # noqa: ANN401 - as above
        """Deploy a fresh tag and wait until it is live."""
        tag = self.publish(lane, **app)
        ended = self.ended(self.push(lane, tag))
        assert ended["status"] == "succeeded", ended
        return tag

    def try_to(self, method: str, path: str, body: object = None) -> bool:
        """Ask for something in the course of which the server may die; whether it was accepted."""
        try:
            status, answer = self.server.call(method, path, body)
        except (OSError, http.client.HTTPException):
            return False
        assert status in {200, 202}, answer
        return True

    def try_to_push(self, lane: StageUnderTest, tag: str) -> bool:
        try:
            path = self.server.webhook_path()
        except (OSError, http.client.HTTPException):
            return False  # it died of the order before
        return self.try_to("POST", path, {"image": f"{lane.image}:{tag}"})

    @contextmanager
    def users(self, lane: StageUnderTest) -> Iterator[Traffic]:
        with traffic(self.server.ingress_port, lane.host) as asked:
            asked.goes_on(3)
            yield asked

    def page(self, lane: StageUnderTest) -> tuple[int, str]:
        return page(self.server.ingress_port, lane.host)

    # What is seen

    def deploys(self, lane: StageUnderTest) -> list[Json]:
        """Newest first."""
        return self.server.items(f"/api/deploys?stage={lane.stage_id}&limit=200")

    def deploy_of(self, lane: StageUnderTest, tag: str) -> Json | None:
        found = [deploy for deploy in self.deploys(lane) if deploy["tag"] == tag]
        return found[0] if found else None

    def instances(self, lane: StageUnderTest) -> list[Json]:
        return self.server.items(f"/api/instances?stage={lane.stage_id}&limit=200")

    def live(self, lane: StageUnderTest) -> Json:
        (instance,) = [one for one in self.instances(lane) if one["state"] == "live"]
        return dict(instance)

    def engine(self, path: str) -> Any:  # noqa: ANN401 - whatever the engine answers
        return json.loads(call(self.engine_url, "GET", path))

    def containers(self, lane: StageUnderTest) -> list[Json]:
        """By label, and by name, whatever label they bear."""
        filters = [{"label": [f"tagboat.project={lane.project}"]}, {"name": [lane.project]}]
        found = [
            self.engine(f"/containers/json?all=1&filters={quote(json.dumps(one))}")
            for one in filters
        ]
        return list({container["Id"]: container for container in itertools.chain(*found)}.values())

    def litter(self, lane: StageUnderTest) -> list[str]:
        """Volumes and networks that were made for the stage, or hold its name.

        Those of the stage's own volumes are none.
        """
        volumes = [volume["Name"] for volume in self.engine("/volumes")["Volumes"] or []]
        networks = [network["Name"] for network in self.engine("/networks")]
        marks = (lane.project, lane.stage_id)
        found = [name for name in (*volumes, *networks) if any(mark in name for mark in marks)]
        mounts = [mount for one in self.containers(lane) for mount in one["Mounts"]]
        return [name for name in found if name not in {mount.get("Name") for mount in mounts}]

    def routes(self) -> Mapping[str, str]:
        """Return what HAProxy itself says of where it leads whom."""

        async def ask() -> Mapping[str, str]:
            master = Master((self.server.directory / "data" / "ingress").resolve())
            processes = await master.processes()
            assert processes.current is not None
            return await master.shown_map(processes.current)

        return asyncio.run(ask())

    def hosts(self) -> set[str]:
        """Of all stages there are."""
        projects = [project["id"] for project in self.server.items("/api/projects?limit=200")]
        stages = [
            stage
            for project in projects
            for stage in self.server.items(f"/api/projects/{project}/stages")
        ]
        return {str(urlsplit(stage["address"]).hostname) for stage in stages}

    # What must be so

    def rest(self, lane: StageUnderTest) -> None:
        """Wait until nothing is to be done any more."""

        def quiet() -> bool:
            open_deploys = [
                one for one in self.deploys(lane) if one["status"] in {"queued", "running"}
            ]
            passing = [
                one for one in self.instances(lane) if one["state"] in {"starting", "draining"}
            ]
            return not open_deploys and not passing and len(self.containers(lane)) <= 1

        self.server.until(quiet, "everything to be at rest")

    def assert_serves(self, lane: StageUnderTest, tag: str) -> None:
        """Exactly one live instance, of that tag, in a container that runs, which is the only
        one and is led to.
        """
        live = self.live(lane)
        (container,) = self.containers(lane)
        assert (live["tag"], container["Names"], container["State"]) == (
            tag,
            [f"/{live['container']}"],
            "running",
        )
        assert container["Image"] == f"{lane.image}@{live['digest']}"
        assert self.litter(lane) == []
        routes = self.routes()
        assert (set(routes), routes[lane.host]) == (self.hosts(), str(urlsplit(live["url"]).port))
        assert self.page(lane) == (200, f"I am {tag}")

    def assert_true_of(self, deploy: Json, lane: StageUnderTest) -> None:
        """That the record fits itself and what runs."""
        ran = [step for step in deploy["steps"] if step["status"] not in {"pending", "skipped"}]
        times = [step[edge] for step in ran for edge in ("started_at", "finished_at")]
        assert None not in times, deploy
        assert times == sorted(times), deploy
        assert deploy["started_at"] <= times[0]
        assert times[-1] <= deploy["finished_at"], deploy
        failed = [step for step in deploy["steps"] if step["status"] == "failed"]
        statuses = {step["status"] for step in deploy["steps"]}
        if deploy["status"] == "succeeded":
            assert (statuses <= {"done", "skipped"}, deploy["reason"]) == (
                True,
                f"{deploy['tag']} is live",
            ), deploy
            assert (self.live(lane)["digest"], self.live(lane)["tag"]) == (
                deploy["digest"],
                deploy["tag"],
            )
        else:
            assert deploy["status"] == "failed"
            assert (len(failed), failed[0]["detail"]) == (1, deploy["reason"])
            assert "running" not in statuses
            assert self.live(lane)["tag"] != deploy["tag"]

    def memory(self, lane: StageUnderTest) -> object:
        """Return all that a restart must leave as it is.

        What the engine says of instances is looked at afresh.
        """
        containers = sorted((one["Id"], one["State"]) for one in self.containers(lane))
        instances = [
            {name: one[name] for name in one if name not in _SEEN} for one in self.instances(lane)
        ]
        return (containers, self.deploys(lane), instances, self.routes())


@contextmanager
def world(
    directory: Path,
    engine_url: str,
    registry: str,
    shown: str | None = None,
    *,
    server_engine: str | None = None,
    **server: Any,  # noqa: ANN401 - fields of FaultyServer
) -> Iterator[FaultHarness]:
    """Return a running one; at the end what it made is removed.

    `server_engine` is where the server finds the engine.
    """
    faulty = FaultyServer(directory, server_engine or engine_url, **server)
    faulty.order()
    made = FaultHarness(faulty, engine_url, registry, shown or registry)
    try:
        faulty.start()
        yield made
    finally:
        _end(faulty, engine_url)
    assert TOKEN not in faulty.log() + faulty.out()


def _end(server: FaultyServer, engine_url: str) -> None:
    try:
        server.order()
        if not server.runs:
            server.start()
        projects = [project["name"] for project in server.items("/api/projects?limit=200")]
        server.clear()
        assert server.terminate() == 0
        left = json.loads(call(engine_url, "GET", "/containers/json?all=1"))
        assert [
            one["Names"] for one in left if one["Labels"].get("tagboat.project") in projects
        ] == []
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
        end_haproxy(server.directory / "data" / "ingress")  # it outlives the server on purpose
