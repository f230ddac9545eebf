"""HAProxy killed, cut off from us, or found running: traffic goes on, or is back within seconds,
with all routes.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from tagboat.core.errors import IngressUnavailableError, SettingsError
from tagboat.core.route import Route, RouteState
from tagboat.ingress.process import end_haproxy, our_processes
from tests.support.endpoints import target
from tests.support.haproxy import IngressWorld, haproxy_world, to, until
from tests.support.http_load import App, Client, ask, under_load
from tests.support.ports import free_port

pytestmark = pytest.mark.anyio

HOST = "app-prod.localhost"
BACK_S = 5.0
MAY_GO_AHEAD = (
    int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16) >> 23 & 1
)  # CAP_SYS_NICE


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[IngressWorld]:
    async with haproxy_world(tmp_path / "ingress") as world:
        yield world


@pytest.fixture
async def blue(world: IngressWorld) -> App:
    return await world.app("blue")


@pytest.fixture
async def watched(world: IngressWorld) -> AsyncIterator[None]:
    """The watch is at work."""
    watch = asyncio.create_task(world.ingress.run())
    yield
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch


async def test_haproxy_goes_before_us_where_we_may_say_so(world: IngressWorld) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert {os.getpriority(os.PRIO_PROCESS, worker) for worker in world.workers} == {
        own - 5 if MAY_GO_AHEAD else own
    }


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("victim", ["master", "worker"])
async def test_killed_it_is_back_with_all_routes(
    world: IngressWorld, blue: App, victim: str
) -> None:
    await world.ingress.apply_routes(
        [
            to(blue),
            Route("held.localhost", RouteState.HELD),
            Route("none.localhost", RouteState.NONE),
        ]
    )
    took_s: list[float] = []
    while not took_s or (took_s[-1] > BACK_S and len(took_s) < 3):  # the machine may be busy
        master = world.master
        assert master is not None
        world.kill(master if victim == "master" else world.workers[0])
        began = time.monotonic()
        # The worker of a master that is gone answers for a while.
        await until(lambda was=master: world.master not in {None, was}, "another master")  # type: ignore[misc]
        await comes_back(world)
        took_s.append(time.monotonic() - began)
        assert (await world.ask("none.localhost")).status == 503
    assert min(took_s) < BACK_S


async def test_killed_while_nobody_watches_the_next_call_starts_it(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    end_haproxy(world.directory)
    with pytest.raises(IngressUnavailableError, match="cannot be reached at .*master.sock"):
        await world.ingress.in_flight(target(blue.port))
    await world.ingress.apply_routes([to(blue), to(blue, "new.localhost")])
    assert (await world.ask("new.localhost")).status == 200


async def test_a_call_that_cannot_be_obeyed_may_be_tried_again(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([])
    end_haproxy(world.directory)
    with socket.create_server(("127.0.0.1", world.port)):
        with pytest.raises(IngressUnavailableError, match="Address already in use") as caught:
            await world.ingress.apply_routes([to(blue)])
        assert caught.value.retryable
    await world.ingress.apply_routes([to(blue)])
    assert (await world.ask(HOST)).status == 200


async def test_a_program_that_vanished_is_no_reason_to_give_up(
    world: IngressWorld, blue: App
) -> None:
    end_haproxy(world.directory)
    with pytest.raises(IngressUnavailableError, match="no-such-haproxy is not found"):
        await world.another(program="no-such-haproxy").apply_routes([to(blue)])


async def test_whoever_starts_it_again_starts_the_routes_led_last(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    end_haproxy(world.directory)
    await world.another().start()
    assert (await world.ask(HOST)).status == 200


async def test_a_restarted_tagboat_adopts_it(world: IngressWorld, blue: App) -> None:
    await world.ingress.apply_routes([to(blue)])
    before = world.master, world.workers
    async with under_load(world.port, HOST, kept=2, fresh=2) as load:
        for _ in range(5):
            world.ingress = world.another()
            await world.ingress.start()
            await world.ingress.apply_routes([to(blue)])
            await load.goes_on()
    assert load.failures == []
    assert (world.master, world.workers) == before


@pytest.mark.usefixtures("watched")
async def test_a_socket_that_was_deleted_is_made_anew_and_nobody_notices(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    master = world.master
    path = world.directory / "master.sock"
    async with under_load(world.port, HOST, kept=4, fresh=4) as load:
        path.unlink()
        await until(path.exists, "a new socket")
        await load.goes_on()
    assert load.failures == []
    assert world.master == master


async def test_a_switch_whose_socket_is_gone_still_succeeds(world: IngressWorld, blue: App) -> None:
    green = await world.app("green")
    await world.ingress.apply_routes([to(blue)])
    (world.directory / "master.sock").unlink()
    await world.ingress.apply_routes([to(green)])
    assert (await world.ask(HOST)).json["app"] == "green"


async def test_all_its_files_deleted_are_made_anew_and_nobody_notices(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    master = world.master
    async with under_load(world.port, HOST, kept=4, fresh=4) as load:
        shutil.rmtree(world.directory)
        await world.ingress.apply_routes([to(blue), to(blue, "new.localhost")])
        await load.goes_on()
    assert load.failures == []
    assert (await world.ask("new.localhost")).status == 200
    assert world.master == master


async def test_a_master_that_hangs_is_replaced_and_what_it_carries_ends_well(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    master = world.master
    assert master is not None
    long = Client(world.port)
    await long.send(HOST, "/wait")
    await blue.waiting.acquire()
    world.kill(master, signal.SIGSTOP)
    try:
        await world.ingress.apply_routes([to(blue), to(blue, "new.localhost")])
        assert world.master != master
        for _ in range(20):
            assert (await world.ask("new.localhost")).status == 200
        blue.release()
        assert (await long.receive()).status == 200
    finally:
        world.kill(master)
        await long.close()


def test_it_works_on_the_servers_own_event_loop(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with haproxy_world(tmp_path / "ingress") as world:
            blue = await world.app("blue")
            await world.ingress.apply_routes([to(blue)])
            assert (await world.ask(HOST)).status == 200
            assert await world.ingress.in_flight(target(blue.port)) == 0
            (world.directory / "master.sock").unlink()
            await world.ingress.apply_routes([])
            assert (await world.ask(HOST)).status == 404

    uvloop.run(scenario())


async def test_its_directory_may_be_deep(tmp_path: Path) -> None:
    async with haproxy_world(tmp_path / ("deep" * 30) / ("deeper" * 20) / "ingress") as world:
        blue = await world.app("blue")
        await world.ingress.apply_routes([to(blue)])
        assert (await world.ask(HOST)).status == 200
        (world.directory / "master.sock").unlink()
        await world.ingress.apply_routes([])
        assert (await world.ask(HOST)).status == 404


async def test_its_files_are_for_nobody_else(world: IngressWorld) -> None:
    assert stat.S_IMODE(world.directory.stat().st_mode) == 0o700


async def test_it_does_not_know_our_secrets(
    world: IngressWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_haproxy(world.directory)
    monkeypatch.setenv("TAGBOAT_ADMIN_TOKEN", "a-secret-of-this-test")
    await world.ingress.start()
    assert len(environments(world.directory)) > 1
    assert "a-secret-of-this-test" not in str(environments(world.directory))


async def test_an_address_in_use_is_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        world = IngressWorld(tmp_path / "ingress", port=taken.getsockname()[1])
        with pytest.raises(
            IngressUnavailableError,
            match=rf"cannot listen on 127.0.0.1:{world.port} \(Address already in use",
        ):
            await world.ingress.start()
    assert our_processes(world.directory) == []


async def test_two_directories_do_not_share_an_address(world: IngressWorld, tmp_path: Path) -> None:
    second = IngressWorld(tmp_path / "second", port=world.port)
    with pytest.raises(
        IngressUnavailableError, match="set TAGBOAT_INGRESS_LISTEN to another address"
    ):
        await second.ingress.start()
    assert our_processes(second.directory) == []
    assert world.master is not None


async def test_a_listen_address_that_does_not_exist_is_refused(world: IngressWorld) -> None:
    with pytest.raises(
        IngressUnavailableError,
        match=r"cannot listen on no-such-host.invalid:7080 \(.*not known\); set TAG",
    ):
        await world.another(listen=("no-such-host.invalid", 7080)).start()
    assert world.master is not None, "the one that runs is left alone"


async def test_another_listen_address_is_taken_over_by_a_reload(
    world: IngressWorld, blue: App
) -> None:
    await world.ingress.apply_routes([to(blue)])
    master, before = world.master, world.port
    world.port = free_port()
    world.ingress = world.another()
    await world.ingress.start()
    assert (await world.ask(HOST)).status == 200
    assert world.master == master
    with pytest.raises(OSError, match="Connect call failed"):
        await ask(before, HOST)


async def test_the_program_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="no-such-haproxy is not found; install HAProxy 2.6 or newer"
    ):
        await IngressWorld(tmp_path / "x").another(program="no-such-haproxy").start()


async def test_a_program_that_is_too_old(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is HAProxy 2.4.22-0; Tagboat needs 2.6 or newer"):
        await (
            IngressWorld(tmp_path / "x")
            .another(program=str(fake_haproxy(tmp_path, "HAProxy version 2.4.22-0 2023")))
            .start()
        )


async def test_ending_it_ends_only_our_own(world: IngressWorld, tmp_path: Path) -> None:
    async with haproxy_world(tmp_path / "other") as other:
        assert end_haproxy(world.directory)
        assert our_processes(world.directory) == []
        assert not end_haproxy(world.directory)
        assert other.master is not None
        assert (await other.ask(HOST)).status == 404


async def test_a_process_id_that_became_somebody_elses_is_left_alone(
    world: IngressWorld, blue: App
) -> None:
    end_haproxy(world.directory)
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        (world.directory / "haproxy.pid").write_text(f"{stranger.pid}\n")
        await world.ingress.apply_routes([to(blue)])
        end_haproxy(world.directory)
        os.kill(stranger.pid, 0)
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


def environments(directory: Path) -> list[bytes]:
    return [Path(f"/proc/{pid}/environ").read_bytes() for pid in our_processes(directory)]


def fake_haproxy(directory: Path, says: str) -> Path:
    program = directory / "haproxy"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


async def comes_back(world: IngressWorld) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError, EOFError):
                if (await world.ask(HOST)).status == 200:
                    return
            await asyncio.sleep(0.02)


async def test_a_start_removes_what_a_killed_write_has_left(tmp_path: Path) -> None:
    directory = tmp_path / "ingress"
    directory.mkdir(mode=0o700)
    draft = directory / "routes.map.0123abcd.new"
    draft.write_text("half")
    os.utime(draft, (time.time() - 3600,) * 2)
    async with haproxy_world(directory):
        assert not draft.exists()
