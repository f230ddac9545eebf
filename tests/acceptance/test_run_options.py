"""How an app is run, on the real engine: what it keeps, what is run in it, and what it is given
of the machine.
"""

import contextlib
import json
import socket
import sqlite3
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_push_to_running import containers, inspect, publish
from tests.support.docker_registry import DockerRegistry
from tests.support.ports import free_port
from tests.support.server import Server, fetch, running_server

KEEPS = (
    "/bin/sh",
    "-c",
    "echo $VERSION >> /data/visits; trap 'exit 0' TERM; httpd -f -p $PORT -h /data & wait",
)
"""An app that notes each start of it in its VOLUME, and serves that."""
ENDS = ("/bin/sh", "-c", "echo $VERSION >> /data/visits; exit 3")
SERVES = "trap 'exit 0' TERM; httpd -f -p $PORT -h /www & wait"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "app").mkdir(parents=True)
    (made / "app" / "page").write_text("from the machine")
    return made


@pytest.fixture
def image(registry: DockerRegistry, engine_url: str) -> Iterator[str]:
    """A repository, and so a project's name, that no other test has; its volumes go with the
    test.
    """
    name = f"app-{uuid.uuid4().hex[:8]}"
    yield f"{registry.host}/acme/{name}"
    for volume in volumes(engine_url, f"label=tagboat.project={name}"):
        docker(engine_url, "volume", "rm", volume)


@pytest.fixture
def server(tmp_path: Path, engine_url: str, root: Path, image: str) -> Iterator[Server]:
    assert image, (
        "it is there before the server, so that its volumes are removed after the "
        "server's containers"
    )
    with running_server(
        tmp_path, engine_url, TAGBOAT_BIND_ROOTS=f"{root}:/dev/null:/dev/no-such-device"
    ) as running:
        yield running


def docker(engine_url: str, *words: str) -> str:
    return subprocess.run(
        ["docker", "-H", engine_url, *words], capture_output=True, check=True, text=True
    ).stdout


def volumes(engine_url: str, *filters: str) -> set[str]:
    return set(
        docker(
            engine_url,
            "volume",
            "ls",
            "-q",
            *(word for one in filters for word in ("--filter", one)),
        ).split()
    )


def lane(server: Server, image: str, **fields: Any) -> tuple[str, str]:  # noqa: ANN401 - whatever the API takes
    """A project with a stage for every tag; the ids of both."""
    status, project = server.call(
        "POST", "/api/projects", {"name": image.rpartition("/")[2], "image": image}
    )
    assert status == 201, project
    body = {"name": "dev", "tag_pattern": "*", **fields}
    status, stage = server.call("POST", f"/api/projects/{project['id']}/stages", body)
    assert status == 201, stage
    return project["id"], stage["id"]


def push(server: Server, image: str, tag: str, status: str = "succeeded", **app: Any) -> Any:  # noqa: ANN401 - as above
    publish(image, tag, **app)
    deploy = server.ended(server.push(f"{image}:{tag}")["deploy"])
    assert deploy["status"] == status, deploy
    return deploy


def keeping(version: str, cmd: tuple[str, ...] = KEEPS) -> dict[str, Any]:
    """An image with a VOLUME in which there is something already."""
    return {
        "cmd": cmd,
        "env": {"VERSION": version},
        "volumes": ("/data",),
        "programs": {"data/visits": "image\n"},
    }


def live(server: Server, stage: str) -> Any:  # noqa: ANN401 - JSON
    (instance,) = server.items(f"/api/instances?stage={stage}&state=live")
    return instance


def page(server: Server, stage: str, path: str) -> str:
    return fetch(f"{live(server, stage)['url']}/{path}")


def visits(server: Server, stage: str) -> list[str]:
    """What the app that runs has in its VOLUME: who started on it, in order."""
    return page(server, stage, "visits").splitlines()


def detail(deploy: Any, step: str) -> str:  # noqa: ANN401 - JSON
    return str(next(one for one in deploy["steps"] if one["name"] == step)["detail"])


# What an app keeps.


def test_an_images_volume_lasts_through_deploys_rollbacks_failures_and_renames(
    server: Server, image: str, engine_url: str
) -> None:
    project, stage = lane(server, image)
    made = push(server, image, "v1", **keeping("v1"))
    (volume,) = volumes(engine_url, f"label=tagboat.project={image.rpartition('/')[2]}")
    assert f"/data, a VOLUME of the image, lasts in the stage's volume {volume}" in detail(
        made, "start"
    )
    assert server.call("GET", f"/api/stages/{stage}")[1]["strategy_in_force"] == "recreate"
    assert visits(server, stage) == ["image", "v1"]

    push(server, image, "v2", **keeping("v2"))
    push(server, image, "v3", "failed", **keeping("v3", ENDS))
    # A container that fails is started again some times before it is given up.
    assert without_failures(server, stage) == ["image", "v1", "v2", "v2"]

    assert (
        server.call(
            "PATCH", f"/api/projects/{project}", {"name": f"renamed-{uuid.uuid4().hex[:8]}"}
        )[0]
        == 200
    )
    back = server.call("POST", f"/api/stages/{stage}/rollback")[1]
    assert server.ended(back["deploy"] if "deploy" in back else back["id"])["status"] == "succeeded"
    assert without_failures(server, stage) == ["image", "v1", "v2", "v2", "v1"]


def without_failures(server: Server, stage: str) -> list[str]:
    return [line for line in visits(server, stage) if line != "v3"]


def test_the_container_that_somebody_removed_comes_back_with_its_data(
    server: Server, image: str, engine_url: str
) -> None:
    _, stage = lane(server, image)
    push(server, image, "v1", **keeping("v1"))
    docker(engine_url, "rm", "-f", "-v", live(server, stage)["container"])
    server.until(
        lambda: visits_or_none(server, stage) == ["image", "v1", "v1"],
        "the container to be back with its data",
    )


def visits_or_none(server: Server, stage: str) -> list[str] | None:
    try:
        return visits(server, stage)
    except OSError:
        return None


def test_what_a_container_of_an_earlier_version_wrote_is_gone_on_with(
    server: Server, image: str, engine_url: str
) -> None:
    _, stage = lane(server, image)
    push(server, image, "v1", **keeping("v1"))
    server.kill()
    written = without_mounts(live_container(image, engine_url), engine_url)
    forget_ids(server)
    server.start()

    made = push(server, image, "v2", **keeping("v2"))

    assert f"lasts in the volume {written} that the old container had" in detail(made, "start")
    assert visits(server, stage) == ["image", "v1", "v2"]
    push(server, image, "v3", **keeping("v3"))
    assert visits(server, stage) == ["image", "v1", "v2", "v3"]
    server.clear()
    assert written in volumes(engine_url)
    docker(engine_url, "volume", "rm", written)


def forget_ids(server: Server) -> None:
    """Let the records be as those of an earlier version, which knew containers by their names."""
    (database,) = (server.directory / "data").glob("*.db")
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE instances SET container_id = ''")


def live_container(image: str, engine_url: str) -> str:
    (container,) = containers(image.rpartition("/")[2], engine_url)
    return container


def without_mounts(container: str, engine_url: str) -> str:
    """Make the container again as an earlier version made it; the name of the volume that the
    engine gives it for /data.
    """
    seen = inspect(container, engine_url)
    docker(engine_url, "rm", "-f", container)
    labels = [
        word
        for name, value in seen["Config"]["Labels"].items()
        for word in ("--label", f"{name}={value}")
    ]
    ((port, (bound,)),) = seen["HostConfig"]["PortBindings"].items()
    published = ("-p", f"{bound['HostIp']}:{bound['HostPort']}:{port.partition('/')[0]}")
    name = seen["Name"].removeprefix("/")
    docker(
        engine_url,
        "run",
        "-d",
        "--restart",
        "unless-stopped",
        "--name",
        name,
        *labels,
        *published,
        seen["Config"]["Image"],
    )
    (mount,) = inspect(name, engine_url)["Mounts"]
    return str(mount["Name"])


def test_no_volume_is_left_by_commands_and_failures(
    server: Server, image: str, engine_url: str
) -> None:
    _, stage = lane(server, image, release_command=["/bin/sh", "-c", "cat /data/visits"])
    before = volumes(engine_url)
    made = push(server, image, "v1", **keeping("v1"))
    assert made["log"] == "image"
    push(server, image, "v2", "failed", **keeping("v2", ENDS))
    left = {
        volume
        for volume in volumes(engine_url) - before
        if len(volume) == 64 and mine(engine_url, volume)
    }
    assert left == set()
    assert len(volumes(engine_url, f"label=tagboat.stage_id={stage}")) == 1


def mine(engine_url: str, volume: str) -> bool:
    """Whether it is one of the app's: others use the engine at the same time."""
    mountpoint = json.loads(docker(engine_url, "volume", "inspect", volume))[0]["Mountpoint"]
    return (Path(mountpoint) / "visits").exists()


def test_an_image_that_keeps_data_and_is_heard_of_first_waits_for_a_person(
    server: Server, image: str, engine_url: str
) -> None:
    publish(image, "v1", **keeping("v1"))
    heard = server.push(f"{image}:v1")
    assert (heard["outcome"], heard["project_created"]) == ("waiting", True)
    assert (
        "the image keeps data, in the VOLUME /data, and a second instance must not "
        "start on it automatically"
    ) in heard["reason"]
    assert containers(image.rpartition("/")[2], engine_url) == []
    queued = server.call("POST", f"/api/stages/{heard['stage']['id']}/deploys", {"tag": "v1"})[1]
    assert server.ended(queued["id"])["status"] == "succeeded"


# What is run.


SAYS = f'#!/bin/sh\necho "server started with: $*"\n{SERVES}\n'
PROGRAMS = {
    "www/server": SAYS,
    "www/worker": SAYS.replace("server started", "worker started"),
    "www/migrate": "#!/bin/sh\necho migrated\n",
}
IS_SERVER: dict[str, Any] = {
    "entrypoint": ("/www/server",),
    "cmd": ("--port", "8080"),
    "programs": PROGRAMS,
}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "server started with: --port 8080"),
        ({"command": ["/www/worker", "--queue", "mail"]}, "worker started with: --queue mail"),
        ({"entrypoint": "image", "command": ["--port", "80"]}, "server started with: --port 80"),
        ({"entrypoint": ["/www/worker"]}, "worker started with: "),
        ({"entrypoint": ["/www/worker", "-v"], "command": ["x"]}, "worker started with: -v x"),
    ],
)
def test_command_lines(server: Server, image: str, options: dict[str, Any], says: str) -> None:
    _, stage = lane(
        server,
        image,
        release_command=[] if "entrypoint" in options else ["/www/migrate"],
        **options,
    )
    made = push(server, image, "v1", **IS_SERVER)
    assert made["log"] == ("" if "entrypoint" in options else "migrated")
    lines = server.call("GET", f"/api/instances/{live(server, stage)['id']}/logs")[1]["lines"]
    assert lines == [says.rstrip()] or lines == [says]


# What it is given of the machine.


def test_everything_of_the_machine_that_may_be_given_is_there(
    server: Server, image: str, root: Path
) -> None:
    udp = free_port()
    look = (
        "bb=/bin/busybox; cat /etc/hosts; $bb df /dev/shm | tail -1; cat /proc/1/comm; "
        "$bb ls -l /dev/given;"
        " $bb grep CapBnd /proc/self/status; echo x > /nowhere || echo read-only; echo "
        "x > /tmp/a && echo scratch;"
        # A shell hands on no variable whose name is none to it; the first process has them all.
        " cat /given/page; echo; echo x > /given/page || echo not written; tr '\\000' "
        "'\\n' < /proc/1/environ;"
        f" {SERVES}"
    )
    _, stage = lane(
        server,
        image,
        command=["/bin/sh", "-c", look],
        extra_hosts={"db.internal": "10.1.2.3", "gateway": "host-gateway"},
        shm_size="1m",
        init=True,
        tmpfs={"/tmp": "size=1m"},  # noqa: S108 - in the container
        read_only=True,
        cap_add=["NET_ADMIN"],
        devices=["/dev/null:/dev/given:r"],
        binds=[f"{root}/app:/given:ro"],
        publish=[f"{udp}:5353/udp"],
        env={"discovery.type": "single-node", "MY-VAR": "1"},
        secrets={"ConnectionStrings:Main": "hush"},
    )
    push(server, image, "v1")
    said = "\n".join(
        server.call("GET", f"/api/instances/{live(server, stage)['id']}/logs")[1]["lines"]
    )
    for part in (
        "10.1.2.3\tdb.internal",
        "\tgateway",
        " 1024 ",
        "docker-init",
        "/dev/given",
        "CapBnd:\t00000000000015fb",
        "read-only",
        "scratch",
        "from the machine",
        "not written",
        "discovery.type=single-node",
        "MY-VAR=1",
        "ConnectionStrings:Main=***",  # short, and masked all the same
    ):
        assert part in said, said
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        pytest.raises(OSError, match="in use"),
    ):
        other.bind(("127.0.0.1", udp))
    # The port is had again by the next version, for the old one makes way.
    push(server, image, "v2", body="two")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"devices": ["/dev/no-such-device"]}, "/dev/no-such-device"),
        ({"binds": ["ROOT/missing:/given"]}, "bind source path does not exist"),
    ],
)
def test_what_the_engine_cannot_give_fails_the_deploy_with_its_words(
    server: Server, image: str, root: Path, options: dict[str, Any], says: str
) -> None:
    _, stage = lane(server, image)
    push(server, image, "v1")
    body = json.loads(json.dumps(options).replace("ROOT", str(root)))
    assert server.call("PATCH", f"/api/stages/{stage}", body)[0] == 200
    failed = push(server, image, "v2", "failed", body="two")
    assert says in failed["reason"]
    assert page(server, stage, "") == "hello"


def test_a_path_that_leads_elsewhere_by_the_time_of_the_deploy_is_refused(
    server: Server, image: str, root: Path
) -> None:
    _, stage = lane(server, image, binds=[f"{root}/app:/given:ro"])
    push(server, image, "v1")
    (root / "app" / "page").unlink()
    (root / "app").rmdir()
    (root / "app").symlink_to("/etc")
    failed = push(server, image, "v2", "failed", body="two")
    assert (
        f"{root}/app, which leads to /etc, is not below a path that TAGBOAT_BIND_ROOTS allows"
        in failed["reason"]
    )
    assert page(server, stage, "") == "hello"


def test_a_published_port_that_is_taken_is_named(server: Server, image: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        _, stage = lane(server, image, publish=[f"{port}:5353/udp"])
        failed = push(server, image, "v1", "failed")
        assert failed["reason"].startswith(
            f"the port {port} of the machine, which publish asks for, is taken;"
        )
    made = server.call("POST", f"/api/stages/{stage}/deploys", {"tag": "v1"})[1]
    assert server.ended(made["id"])["status"] == "succeeded"
