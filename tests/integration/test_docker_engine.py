"""What only the real engine can show: confinement, private registries, odd logs, the probe
behind Docker's own proxy, ssh.
"""

import asyncio
import contextlib
import ipaddress
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.endpoint import loopback_endpoint
from tagboat.core.errors import (
    EndpointTakenError,
    EngineError,
    EngineNotFoundError,
    EngineUnavailableError,
)
from tagboat.core.host_access import Bind, Device, Published, published_port_in
from tagboat.core.image import parse_image_name
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec, WorkloadStatus
from tagboat.runtime.docker.engine import DockerRuntime
from tagboat.runtime.docker.loglines import MAX_LINE_BYTES
from tagboat.runtime.docker.probe import LoopbackProbe
from tagboat.runtime.docker.wire import GENEROUS_PIDS
from tests.support.docker_registry import DockerRegistry
from tests.support.docker_registry import docker_registry as running_registry
from tests.support.dockerd import call, remove_images_of, remove_labelled
from tests.support.endpoints import at, port_of
from tests.support.images import (
    DEFAULT_CMD,
    FAILS_HEALTH,
    NEVER_LISTENS,
    listens_late,
    push_image,
    push_index,
)
from tests.support.logs import log_of
from tests.support.ports import free_port

pytestmark = pytest.mark.anyio

PATIENCE_S = 120.0
LOGIN = ("deployer", "correct horse")


@pytest.fixture
def run() -> str:
    return f"run-{secrets.token_hex(4)}"


@pytest.fixture
async def engine(
    engine_url: str, docker_registry: DockerRegistry, run: str
) -> AsyncIterator[DockerRuntime]:
    engine = DockerRuntime(engine_url)
    yield engine
    await engine.close()
    remove_labelled(engine_url, f"tagboat.test={run}")
    remove_images_of(engine_url, docker_registry.host)
    call(engine_url, "DELETE", f"/volumes/{run}-data")
    for network in ("net", "other"):
        call(engine_url, "DELETE", f"/networks/{run}-{network}")


@pytest.fixture
def private_registry(engine_url: str) -> Iterator[DockerRegistry]:
    with running_registry(login=LOGIN) as registry:
        yield registry
        remove_images_of(engine_url, registry.host)


Started = Callable[..., Awaitable[WorkloadSpec]]
IDLE = "trap 'exit 0' TERM; sleep 86400 & wait"


@pytest.fixture
def meant(engine: DockerRuntime, docker_registry: DockerRegistry, run: str) -> Started:
    """Pushes and pulls an image; returns the spec of a container of it."""

    async def mean(cmd: tuple[str, ...] = DEFAULT_CMD, *, publish: bool = True) -> WorkloadSpec:
        digest = push_image(docker_registry.host, "acme/app", "v1", body=run, cmd=cmd)
        image = parse_image_name(f"{docker_registry.host}/acme/app")
        await engine.pull(image, digest, None, lambda _: None)
        return WorkloadSpec(
            name=f"{run}-web",
            image=f"{image}@{digest}",
            labels={"tagboat.test": run},
            env={"GREETING": "hello you"},
            port=8080 if publish else 0,
            endpoint=loopback_endpoint(free_port() if publish else 0),
        )

    return mean


@pytest.fixture
def started(engine: DockerRuntime, meant: Started) -> Started:
    """Runs a container as `meant` would have it; returns its spec."""

    async def start(cmd: tuple[str, ...] = DEFAULT_CMD, *, publish: bool = True) -> WorkloadSpec:
        return await run_of(engine, await meant(cmd, publish=publish))

    return start


@pytest.fixture
def script(engine: DockerRuntime, meant: Started) -> Started:
    """Runs a container whose app is a shell script, with whatever else its spec is to say;
    returns the spec.
    """

    async def start(text: str, **said: Any) -> WorkloadSpec:  # noqa: ANN401 - any field of the spec
        spec = await meant(publish=False)
        return await run_of(engine, replace(spec, command=("/bin/sh", "-c", text), **said))

    return start


async def run_of(engine: DockerRuntime, spec: WorkloadSpec) -> WorkloadSpec:
    await engine.create(spec)
    await engine.start(spec.name)
    return spec


def inspected(engine_url: str, container: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(call(engine_url, "GET", f"/containers/{container}/json"))
    return answer


async def eventually(ask: Callable[[], Awaitable[str | None]]) -> list[str | None]:
    """Ask until the answer is None, a yes; returns all answers."""
    answers: list[str | None] = [await ask()]
    async with asyncio.timeout(PATIENCE_S):
        while answers[-1] is not None:
            await asyncio.sleep(0.05)
            answers.append(await ask())
    return answers


async def logged(engine: DockerRuntime, container: str, line: str) -> list[str]:
    """The log, once it has `line`."""
    async with asyncio.timeout(PATIENCE_S):
        while line not in (lines := await log_of(engine, container, 100)):  # noqa: ASYNC110 - the port has no events
            await asyncio.sleep(0.05)
    return lines


async def test_the_platform_is_asked_for_once(
    engine: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = await engine.platform()
    assert platform.startswith("linux/")
    monkeypatch.setattr(aiodocker.Docker, "version", None)
    assert await engine.platform() == platform


async def test_the_network_of_our_own_container_is_known(engine_url: str, started: Started) -> None:
    spec = await started()
    for own, network in (
        (inspected(engine_url, spec.name)["Id"], "default"),
        ("0" * 64, None),
        (None, None),
    ):
        engine = DockerRuntime(engine_url, own_container=own)
        assert await engine.own_network() == network
        await engine.close()


async def test_a_container_is_confined_and_bounded(engine_url: str, started: Started) -> None:
    spec = await started()
    answer = inspected(engine_url, spec.name)
    host = answer["HostConfig"]
    assert answer["NetworkSettings"]["Ports"] == {
        "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port_of(spec))}]
    }
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert not host["Privileged"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-file": "3", "max-size": "10m"},
    }
    assert "GREETING=hello you" in answer["Config"]["Env"]


async def status_once(
    engine: DockerRuntime, container: str, seen: Callable[[WorkloadStatus], bool]
) -> WorkloadStatus:
    async with asyncio.timeout(PATIENCE_S):
        while (status := await engine.status(container)) is None or not seen(status):  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.05)
    return status


async def ended(engine: DockerRuntime, container: str) -> WorkloadStatus:
    """Its status, once it has ended."""
    return await status_once(engine, container, lambda status: not status.running)


async def test_every_limit_is_the_engines(
    engine_url: str, engine: DockerRuntime, meant: Started
) -> None:
    spec = replace(
        await meant(publish=False),
        memory=64 << 20,
        cpus=0.25,
        pids=20,
        stop_signal="SIGQUIT",
        stop_timeout_s=7,
    )
    await engine.create(spec)
    answer = inspected(engine_url, spec.name)
    host, config = answer["HostConfig"], answer["Config"]
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
    assert (host["NanoCpus"], host["PidsLimit"]) == (250_000_000, 20)
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGQUIT", 7)


async def test_an_app_that_takes_more_memory_than_it_may_is_ended(
    engine: DockerRuntime, script: Started
) -> None:
    greedy = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo had it all"
    spec = await script(greedy, memory=16 << 20, restarts=False)
    status = await status_once(
        engine, spec.name, lambda seen: not seen.running and seen.exit_code != 0
    )
    assert status.exit_code == 137
    assert "had it all" not in await log_of(engine, spec.name, 10)


async def test_an_app_cannot_fork_without_end(engine: DockerRuntime, script: Started) -> None:
    spec = await script(
        "for _ in $(seq 100); do sleep 86400 & done; echo all of them", pids=20, restarts=False
    )
    status = await ended(engine, spec.name)
    assert status.exit_code != 0
    assert "can't fork" in "\n".join(await log_of(engine, spec.name, 10))


async def test_an_app_without_a_limit_has_one_nevertheless(
    engine_url: str, started: Started
) -> None:
    spec = await started(publish=False)
    assert inspected(engine_url, spec.name)["HostConfig"]["PidsLimit"] == GENEROUS_PIDS


async def test_command_and_user_are_those_asked_for(engine: DockerRuntime, script: Started) -> None:
    spec = await script(
        "echo I am $(/bin/busybox id -u):$(/bin/busybox id -g)", user="1000:100", restarts=False
    )
    await ended(engine, spec.name)
    assert await log_of(engine, spec.name, 10) == ["I am 1000:100"]


LIST = "/bin/busybox stat -c '%a %u:%g %n'"


async def test_files_are_there_at_the_start_and_at_every_later_one(
    engine: DockerRuntime, script: Started
) -> None:
    look = f"{LIST} /run/secrets /run/secrets/key; cat /run/secrets/key; {IDLE}"
    spec = await script(
        look, user="1000", files={"/run/secrets/key": "schlüssel\n", "/etc/app/conf": ""}
    )
    once = ["755 0:0 /run/secrets", "444 0:0 /run/secrets/key", "schlüssel"]
    await logged(engine, spec.name, once[-1])
    await engine.stop(spec.name)
    await engine.start(spec.name)
    async with asyncio.timeout(PATIENCE_S):
        while len(lines := await log_of(engine, spec.name, 100)) < 2 * len(once):  # noqa: ASYNC110 - as in `logged`
            await asyncio.sleep(0.05)
    assert lines == once * 2


async def test_files_leave_the_directories_of_the_image_as_they_were(
    engine: DockerRuntime, script: Started
) -> None:
    files = {"/tmp/a": "", "/etc/b": ""}  # noqa: S108 - in the container
    spec = await script(f"{LIST} /tmp /etc /www; cat /etc/passwd", files=files, restarts=False)
    await ended(engine, spec.name)
    assert await log_of(engine, spec.name, 10) == [
        "1777 0:0 /tmp",
        "755 0:0 /etc",
        "755 0:0 /www",
        "root:x:0:0:root:/:/bin/sh",
    ]


async def test_a_file_that_cannot_be_put_leaves_no_container(
    engine: DockerRuntime, meant: Started
) -> None:
    spec = replace(await meant(publish=False), files={"/etc/passwd/key": "hush"})
    with pytest.raises(
        EngineError, match=f"could not put files into the container {spec.name}"
    ) as caught:
        await engine.create(spec)
    assert "hush" not in str(caught.value)
    assert await engine.status(spec.name) is None


async def test_a_file_takes_no_place_of_a_volume(
    engine: DockerRuntime, script: Started, meant: Started, run: str
) -> None:
    volumes = {f"{run}-data": "/data"}
    spec = await script("echo precious >/data/file", volumes=volumes, restarts=False)
    await ended(engine, spec.name)
    await engine.remove(spec.name)
    with pytest.raises(EngineError, match="cannot overwrite directory"):
        await engine.create(
            replace(await meant(publish=False), volumes=volumes, files={"/data": "hush"})
        )
    await script("cat /data/file", volumes=volumes, restarts=False)
    await ended(engine, spec.name)
    assert await log_of(engine, spec.name, 10) == ["precious"]


async def test_what_is_in_a_named_volume_outlives_the_container(
    engine: DockerRuntime, script: Started, run: str
) -> None:
    volumes = {f"{run}-data": "/data"}
    spec = await script("echo precious >/data/file", volumes=volumes, restarts=False)
    await ended(engine, spec.name)
    await engine.remove(spec.name)
    await script("cat /data/file", volumes=volumes, restarts=False)
    await ended(engine, spec.name)
    assert await log_of(engine, spec.name, 10) == ["precious"]


async def test_a_volume_that_nobody_asked_for_is_told_of_and_stays(
    engine_url: str, engine: DockerRuntime, meant: Started
) -> None:
    spec = await meant(publish=False)
    async with aiodocker.Docker(engine_url) as docker:
        config: dict[str, Any] = {
            "Image": spec.image,
            "Labels": dict(spec.labels),
            "Volumes": {"/cache": {}},
        }
        await docker.containers.create(config, name=spec.name)
    (mount,) = inspected(engine_url, spec.name)["Mounts"]
    status = await engine.status(spec.name)
    assert status is not None
    assert status.unasked_volumes == {"/cache": mount["Name"]}
    await engine.remove(spec.name)
    assert json.loads(call(engine_url, "GET", f"/volumes/{mount['Name']}"))["Name"] == mount["Name"]
    call(engine_url, "DELETE", f"/volumes/{mount['Name']}")


async def test_a_container_that_could_not_be_made_whole_leaves_no_volume(
    engine_url: str,
    engine: DockerRuntime,
    meant: Started,
    docker_registry: DockerRegistry,
    run: str,
) -> None:
    digest = push_image(
        docker_registry.host,
        "acme/keeps",
        "v1",
        body=run,
        volumes=("/data",),
        programs={f"data/{run}": ""},
    )
    image = parse_image_name(f"{docker_registry.host}/acme/keeps")
    await engine.pull(image, digest, None, lambda _: None)
    spec = replace(
        await meant(publish=False), image=f"{image}@{digest}", files={"/etc/passwd/key": "hush"}
    )
    with pytest.raises(EngineError, match="could not put files"):
        await engine.create(spec)
    made = json.loads(call(engine_url, "GET", "/volumes"))["Volumes"] or []
    assert not [volume for volume in made if (Path(volume["Mountpoint"]) / run).exists()]


async def test_volumes_bear_the_labels_asked_for(
    engine_url: str, script: Started, run: str
) -> None:
    await script(
        "true", volumes={f"{run}-data": "/data"}, volume_labels={"whose": run}, restarts=False
    )
    assert json.loads(call(engine_url, "GET", f"/volumes/{run}-data"))["Labels"] == {"whose": run}


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"cap_add": ("FLY",)}, "unknown capability"),
        ({"devices": (Device("/dev/no-such", "/dev/no-such"),)}, "no such file or directory"),
        ({"binds": (Bind("/no/such", "/a"),)}, "bind source path does not exist"),
        ({"read_only": True, "files": {"/run/secrets/key": "hush"}}, "read-only"),
        ({"tmpfs": {"/a": "mode=99"}}, "invalid argument"),
    ],
)
async def test_what_the_engine_cannot_give_is_said_in_its_words(
    engine: DockerRuntime, meant: Started, said: dict[str, Any], match: str
) -> None:
    spec = replace(await meant(publish=False), **said)
    with pytest.raises(EngineError, match=match) as caught:
        await run_of(engine, spec)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("kind", "protocol"), [(socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")]
)
async def test_a_published_port_that_is_taken_is_named_by_the_engine(
    engine: DockerRuntime, meant: Started, kind: socket.SocketKind, protocol: str
) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            other.listen()
        port = other.getsockname()[1]
        spec = replace(await meant(), publish=(Published("127.0.0.1", port, 5353, protocol),))
        await engine.create(spec)
        with pytest.raises(EndpointTakenError) as caught:
            await engine.start(spec.name)
    assert published_port_in(str(caught.value), [f"127.0.0.1:{port}:5353/{protocol}"]) == port
    assert published_port_in(str(caught.value), [f"127.0.0.1:{port_of(spec)}:80/tcp"]) is None


async def test_two_containers_cannot_publish_one_port(
    engine: DockerRuntime, meant: Started
) -> None:
    publish = (Published("127.0.0.1", free_port(), 5353, "udp"),)
    one = replace(await meant(publish=False), publish=publish)
    two = replace(one, name=f"{one.name}-2")
    await run_of(engine, one)
    await engine.create(two)
    with pytest.raises(EndpointTakenError) as caught:
        await engine.start(two.name)
    assert published_port_in(str(caught.value), [str(publish[0])]) == publish[0].host_port


async def test_a_container_in_another_network_keeps_its_port(
    engine_url: str, engine: DockerRuntime, meant: Started, run: str
) -> None:
    spec = replace(await meant(), networks=(f"{run}-net",))
    async with aiodocker.Docker(engine_url) as docker:
        await docker.networks.create({"Name": f"{run}-net", "Internal": True})
    await run_of(engine, spec)
    assert inspected(engine_url, spec.name)["NetworkSettings"]["Networks"].keys() == {
        "bridge",
        f"{run}-net",
    }
    assert (await eventually(lambda: LoopbackProbe().http(at(port_of(spec)), "/health")))[
        -1
    ] is None
    await engine.remove(spec.name)


async def test_apps_reach_others_on_their_own_network_only(
    engine_url: str, engine: DockerRuntime, script: Started, run: str
) -> None:
    own, other = f"{run}-net", f"{run}-other"
    for network in (own, other):
        await engine.ensure_network(network, {"tagboat.test": run})
    serve = "busybox mkdir /pages; echo here > /pages/index.html; httpd -f -p 8080 -h /pages"
    app = await script(serve, name=f"{run}-app", network=own)
    there = inspected(engine_url, app.name)["NetworkSettings"]["Networks"]
    assert there.keys() == {own}
    page = (
        f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {there[own]['IPAddress']} 8080 | tail -n 1"
    )
    ask = (
        f"for n in 1 2 3; do page=$({page}); echo ${{page:-nothing}}; sleep 0.3; done; "
        f"echo end; sleep 60"
    )
    clients = [
        await script(ask, name=f"{run}-on-{network}", network=network) for network in (own, other)
    ]
    near, far = [await logged(engine, client.name, "end") for client in clients]
    assert "here" in near
    assert "here" not in far
    for spec in (app, *clients):
        await engine.remove(spec.name)
    for network in (own, other):
        assert await engine.remove_network(network, {"tagboat.test": run})


async def test_a_container_that_joins_its_network_again_keeps_address_port_and_connections(
    engine_url: str, engine: DockerRuntime, script: Started, meant: Started, run: str
) -> None:
    network = f"{run}-net"
    await engine.ensure_network(network, {"tagboat.test": run})
    listener = await script("sleep 60 | nc -l -p 9000", name=f"{run}-listener", network=network)
    address = inspected(engine_url, listener.name)["NetworkSettings"]["Networks"][network][
        "IPAddress"
    ]
    talk = (
        f"(for n in $(seq 20); do echo word $n; sleep 0.2; done; sleep 60) | nc {address} 9000 & "
    )
    web = await meant()
    web = replace(
        web, network=network, keeps_address=True, command=("/bin/sh", "-c", talk + DEFAULT_CMD[-1])
    )
    await run_of(engine, web)
    await logged(engine, listener.name, "word 2")
    before = inspected(engine_url, web.name)["NetworkSettings"]["Networks"][network]["IPAddress"]
    await engine.rejoin(web.name, network, ("app-dev",))
    joined = inspected(engine_url, web.name)["NetworkSettings"]["Networks"][network]
    assert joined["IPAddress"] == before
    assert "app-dev" in joined["Aliases"]
    assert (await eventually(lambda: LoopbackProbe().http(at(port_of(web)), "/health")))[-1] is None
    await logged(engine, listener.name, "word 20")
    for spec in (web, listener):
        await engine.remove(spec.name)


async def test_where_no_addresses_are_left_it_is_said_what_to_do(engine_url: str, run: str) -> None:
    pool = ipaddress.IPv4Network("10.116.77.0/24")
    small = DockerRuntime(engine_url, network_pool=pool)
    labels = {"tagboat.test": run}
    names = [f"{run}-net", f"{run}-other", f"{run}-third"]
    for name in names[:2]:
        await small.ensure_network(name, labels)
    with pytest.raises(
        EngineError,
        match=r"no addresses are left in 10\.116\.77\.0/24; remove .* TAGBOAT_NETWORK_POOL",
    ):
        await small.ensure_network(names[2], labels)
    for name in names[:2]:
        await small.remove_network(name, labels)
    await small.close()


async def test_a_name_on_a_network_leads_to_those_that_joined_under_it(
    engine_url: str, engine: DockerRuntime, script: Started, run: str
) -> None:
    async with aiodocker.Docker(engine_url) as docker:
        await docker.networks.create({"Name": f"{run}-net"})
    serve, on = (
        "busybox mkdir /pages; echo {} > /pages/index.html; httpd -f -p 8080 -h /pages",
        (f"{run}-net",),
    )
    blue = await script(
        serve.format("blue"),
        name=f"{run}-blue",
        networks=on,
        aliases={on[0]: ("app-dev", "app")},
        stop_timeout_s=1,
    )
    green = await script(serve.format("green"), name=f"{run}-green", networks=on)
    # A static program cannot look names up by the C library.
    found = (
        "busybox nslookup -type=a app-dev 127.0.0.11 | busybox sed -n 's/^Address: //p' | head -n 1"
    )
    page = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 30 $({found}) 8080 | tail -n 1"
    ask = f"while :; do page=$({page}); echo ${{page:-failed}}; sleep 0.1; done"
    client = await script(ask, name=f"{run}-client", networks=on)

    async with asyncio.timeout(PATIENCE_S):
        while (lines := await log_of(engine, client.name, 1000)).count("blue") < 10:  # noqa: ASYNC110 - as in `logged`
            await asyncio.sleep(0.05)
    assert set(lines[lines.index("blue") :]) == {"blue"}, (
        "who has not joined under the name is not found by it"
    )
    await engine.rejoin(green.name, on[0], ("app-dev", "app"))
    await logged(engine, client.name, "green")
    later = await log_of(engine, client.name, 10_000)
    assert "failed" not in later[later.index("blue") :]
    await engine.stop(blue.name)
    await engine.remove(blue.name)
    async with asyncio.timeout(PATIENCE_S):
        while set((await log_of(engine, client.name, 5))[-5:]) != {"green"}:  # noqa: ASYNC110 - as in `logged`
            await asyncio.sleep(0.05)
    for spec in (green, client):
        await engine.remove(spec.name)


async def test_a_network_is_not_found_by_the_beginning_of_its_id(
    engine_url: str, engine: DockerRuntime, meant: Started, run: str
) -> None:
    async with aiodocker.Docker(engine_url) as docker:
        network = await docker.networks.create({"Name": f"{run}-net"})
    spec = replace(await meant(publish=False), networks=(network.id[:12],))
    with pytest.raises(EngineNotFoundError, match=f"it has no network {network.id[:12]}"):
        await engine.create(spec)


async def test_a_network_that_went_away_is_missed_at_the_start(
    engine_url: str, engine: DockerRuntime, meant: Started, run: str
) -> None:
    spec = replace(await meant(publish=False), networks=(f"{run}-net",))
    async with aiodocker.Docker(engine_url) as docker:
        network = await docker.networks.create({"Name": f"{run}-net"})
        await engine.create(spec)
        await network.delete()
    with pytest.raises(
        EngineNotFoundError, match=r"could not start .* make it with: docker network create"
    ):
        await engine.start(spec.name)


async def test_stopping_is_done_with_the_signal_asked_for(
    engine: DockerRuntime, script: Started
) -> None:
    spec = await script(
        "trap 'exit 7' USR1; trap '' TERM; echo ready; sleep 86400 & wait", stop_signal="SIGUSR1"
    )
    await logged(engine, spec.name, "ready")
    await engine.stop(spec.name)
    assert (await ended(engine, spec.name)).exit_code == 7


async def test_stopping_takes_no_longer_than_asked_for(
    engine: DockerRuntime, script: Started
) -> None:
    spec = await script("trap '' TERM; echo ready; while :; do sleep 1; done", stop_timeout_s=1)
    for _ in range(3):  # the machine may be busy elsewhere
        await logged(engine, spec.name, "ready")
        began = asyncio.get_running_loop().time()
        await engine.stop(spec.name)
        took_s = asyncio.get_running_loop().time() - began
        assert (await ended(engine, spec.name)).exit_code == 137
        if took_s < 8:
            break
        await engine.start(spec.name)
    assert 1 <= took_s < 8


@pytest.mark.parametrize(
    "by_hand",
    ["POST /containers/{}/kill", "POST /containers/{}/stop?t=0", "DELETE /containers/{}?force=1"],
)
async def test_what_somebody_ends_by_hand_is_told_of(
    engine_url: str, engine: DockerRuntime, meant: Started, by_hand: str
) -> None:
    spec = await meant(publish=False)
    method, path = by_hand.format(spec.name).split()
    async with (
        contextlib.aclosing(engine.watch_exits(spec.labels)) as names,
        asyncio.timeout(PATIENCE_S),
    ):
        told = asyncio.ensure_future(anext(names))
        while not told.done():
            await run_of(engine, spec)
            await asyncio.to_thread(call, engine_url, method, path)
            await asyncio.wait([told], timeout=0.1)
            await engine.remove(spec.name)
        assert await told == spec.name


async def test_the_probe_sees_an_app_answer(started: Started) -> None:
    spec = await started()
    assert (await eventually(lambda: LoopbackProbe().http(at(port_of(spec)), "/health")))[
        -1
    ] is None
    assert await LoopbackProbe().http(at(port_of(spec)), "/none") == "answered HTTP 404"
    assert await LoopbackProbe().tcp(at(port_of(spec))) is None


async def test_the_probe_sees_through_the_proxy_of_an_app_that_listens_late(
    started: Started,
) -> None:
    spec = await started(listens_late(1))
    # A bare connection is accepted all the while: by Docker's proxy.
    with socket.create_connection(("127.0.0.1", port_of(spec)), timeout=120):
        assert await LoopbackProbe().tcp(at(port_of(spec))) == "nothing listens on the port yet"
    assert (
        await LoopbackProbe().http(at(port_of(spec)), "/")
        == "it closed the connection without an answer"
    )
    answers = await eventually(lambda: LoopbackProbe().tcp(at(port_of(spec))))
    assert set(answers[:-1]) == {"nothing listens on the port yet"}
    assert await LoopbackProbe().http(at(port_of(spec)), "/") is None


async def test_the_probe_is_not_fooled_by_an_app_that_never_listens(started: Started) -> None:
    spec = await started(NEVER_LISTENS)
    for _ in range(5):
        assert await LoopbackProbe().tcp(at(port_of(spec))) == "nothing listens on the port yet"


async def test_the_probe_tells_the_status_of_a_broken_app(
    engine: DockerRuntime, started: Started
) -> None:
    spec = await started(FAILS_HEALTH)
    await logged(engine, spec.name, "failing on port 8080")
    async with asyncio.timeout(PATIENCE_S):
        while not (
            answer := await LoopbackProbe().http(at(port_of(spec)), "/health") or ""
        ).startswith("answered HTTP 500"):
            assert answer
            await asyncio.sleep(0.05)


async def test_an_app_without_newlines_does_not_fill_the_memory(
    engine: DockerRuntime, started: Started
) -> None:
    flood = (
        "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo after; trap 'exit 0' TERM; "
        "sleep 86400 & wait"
    )
    spec = await started(("/bin/sh", "-c", f"echo before; {flood}"), publish=False)
    (long, after) = (await logged(engine, spec.name, "after"))[-2:]
    assert long == "x" * MAX_LINE_BYTES + " … (line cut)"
    assert after == "after"


async def test_the_log_keeps_its_order_and_harms_nobody(
    engine: DockerRuntime, started: Started
) -> None:
    script = (
        "printf '\\033[2Jred\\000alert\\n'; printf '\\377\\n' >&2; echo done; trap 'exit "
        "0' TERM; sleep 86400 & wait"
    )
    spec = await started(("/bin/sh", "-c", script), publish=False)
    lines = await logged(engine, spec.name, "done")
    assert sorted(lines) == sorted(["red\ufffdalert", "\ufffd", "done"])


async def test_the_log_of_a_container_with_a_terminal(
    engine_url: str, engine: DockerRuntime, started: Started, run: str
) -> None:
    spec = await started(publish=False)
    async with aiodocker.Docker(engine_url) as docker:
        config: dict[str, Any] = {
            "Image": spec.image,
            "Tty": True,
            "Labels": dict(spec.labels),
            "Cmd": [
                "/bin/sh",
                "-c",
                "echo one; echo two >&2; trap 'exit 0' TERM; sleep 86400 & wait",
            ],
        }
        await docker.containers.run(config, name=f"{run}-tty")
    assert await logged(engine, f"{run}-tty", "two") == ["one", "two"]


async def test_stopping_is_quick_for_an_app_that_listens_to_sigterm(
    engine_url: str, engine: DockerRuntime, started: Started
) -> None:
    spec = await started(publish=False)
    await logged(engine, spec.name, "listening on port 8080")
    await engine.stop(spec.name)
    assert inspected(engine_url, spec.name)["State"]["ExitCode"] == 0


async def test_an_index_is_pulled_by_its_own_digest(
    engine: DockerRuntime, docker_registry: DockerRegistry, run: str
) -> None:
    index, own = push_index(docker_registry.host, "acme/multi", "v1", body=run)
    image = parse_image_name(f"{docker_registry.host}/acme/multi")
    for digest in (index, own):
        await engine.pull(image, digest, None, lambda _: None)
        info = await engine.inspect_image(f"{image}@{digest}")
        assert info is not None
        assert info.digest == digest


async def test_a_pulled_image_needs_no_registry(
    engine: DockerRuntime, engine_url: str, run: str
) -> None:
    with running_registry() as registry:
        image = parse_image_name(f"{registry.host}/acme/app")
        digest = push_image(registry.host, "acme/app", "v1", body=run)
        later = push_image(registry.host, "acme/app", "v2", body=f"{run} later")
        await engine.pull(image, digest, None, lambda _: None)
        registry.stop()

        async def never() -> None:
            raise AssertionError("it is pulled again")

        there = await engine.ensure_image(
            image, digest, None, before_pull=never, progress=lambda _: None
        )
        assert there is not None
        with pytest.raises(
            EngineError, match=f"could not reach the registry {registry.host}"
        ) as caught:
            await engine.pull(image, later, None, lambda _: None)
        assert caught.value.retryable
        remove_images_of(engine_url, registry.host)


def configured(registry: DockerRegistry, password: str) -> Registry:
    return Registry(
        id="1",
        name="private",
        url=registry.url,
        kind=RegistryKind.OCI,
        username=LOGIN[0],
        password=password,
    )


async def test_a_private_registry_wants_the_login(
    engine: DockerRuntime, private_registry: DockerRegistry, run: str
) -> None:
    digest = push_image(private_registry.host, "acme/app", "v1", body=run, auth=LOGIN)
    image = parse_image_name(f"{private_registry.host}/acme/app")
    for registry in (None, configured(private_registry, "a wrong one")):
        with pytest.raises(EngineError, match="refused the login") as caught:
            await engine.pull(image, digest, registry, lambda _: None)
        assert not caught.value.retryable
        assert "a wrong one" not in str(caught.value)
    await engine.pull(image, digest, configured(private_registry, LOGIN[1]), lambda _: None)
    assert await engine.inspect_image(f"{image}@{digest}") is not None


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a program named ssh in front of the path, which notes its arguments and then does
    what `script` says.
    """

    def install(script: str) -> Path:
        program, noted = tmp_path / "ssh", tmp_path / "arguments"
        program.write_text(f'#!/bin/sh\necho "$@" >>{noted}\n{script}\n')
        program.chmod(0o700)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return noted

    return install


async def test_ssh_leads_to_the_far_engine(
    engine_url: str, ssh: Callable[[str], Path], docker_registry: DockerRegistry, run: str
) -> None:
    noted = ssh(f"exec docker --host {engine_url} system dial-stdio")
    engine = DockerRuntime("ssh://me@far.example.com:2222")
    assert await engine.version()
    digest = push_image(docker_registry.host, "acme/app", "v1", body=run)
    image = parse_image_name(f"{docker_registry.host}/acme/app")
    await engine.pull(image, digest, None, lambda _: None)
    statuses = await asyncio.gather(*(engine.status(f"{run}-{number}") for number in range(5)))
    assert statuses == [None] * 5
    await engine.close()
    remove_images_of(engine_url, docker_registry.host)
    options = (
        "-T -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 -o "
        "ServerAliveCountMax=3 -o LogLevel=VERBOSE"
    )
    assert set(noted.read_text().splitlines()) == {
        f"{options} -l me -p 2222 -- far.example.com docker system dial-stdio"
    }


async def test_what_ssh_says_is_told(ssh: Callable[[str], Path]) -> None:
    ssh("echo 'me@far.example.com: Permission denied (publickey).' >&2; exit 255")
    engine = DockerRuntime("ssh://me@far.example.com")
    with pytest.raises(
        EngineUnavailableError,
        match=r"ssh://far\.example\.com could not .*ssh said: .*Permission denied",
    ):
        await engine.version()
    await engine.close()


async def test_a_machine_without_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = DockerRuntime("ssh://far.example.com")
    with pytest.raises(EngineUnavailableError, match="ssh cannot be run: No such file"):
        await engine.version()
    await engine.close()
