"""HAProxy in a service of its own: the server leads it, and neither start, update nor end of the
server drops a request.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tagboat.core.errors import IngressUnavailableError
from tagboat.ingress.config import CONFIG_FILE, ConfigInput
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.process import (
    Program,
    end_haproxy,
    launch,
    masters,
    our_processes,
    refuse_to_launch,
    running_master,
)
from tagboat.ingress.runner import notify_ready
from tagboat.ingress.supervisor import HaproxySupervisor
from tagboat.private_files import write_private
from tests.support.haproxy import to, until
from tests.support.http_load import App, ask, under_load
from tests.support.ingress_run import IngressRun, ingress_run
from tests.support.ports import free_port
from tests.support.server import PROGRAM

pytestmark = pytest.mark.anyio

HOST = "app-prod.localhost"
# What a server does at its start, with other settings than HAProxy has loaded.
SERVER_START = """
import asyncio, sys
from pathlib import Path
from tagboat.ingress.haproxy import HaproxyIngress
directory, port, starts = sys.argv[1:]
ingress = HaproxyIngress(
    Path(directory), listen=("127.0.0.1", int(port)), base_domain="localhost",
    trusted=("192.0.2.0/24",), starts=starts == "starts",
)
asyncio.run(ingress.start())
"""


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App("blue")
    await app.start()
    yield app
    await app.stop()


def server_side(run: IngressRun, port: int | None = None) -> HaproxyIngress:
    """What a server holds of the ingress in the same data directory."""
    return haproxy(run.directory, port or run.port)


def haproxy(directory: Path, port: int) -> HaproxyIngress:
    return HaproxyIngress(
        directory,
        listen=("127.0.0.1", port),
        base_domain="localhost",
        trusted=("127.0.0.0/8", "::1/128"),
    )


def in_another_container(*words: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a program where it sees none of our processes; its exit status and what it said."""
    become = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
    done = subprocess.run(
        ["unshare", *become, "--pid", "--fork", "--mount-proc", *words],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def make_data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    return data


async def test_servers_come_and_go_and_lead_the_one_haproxy(tmp_path: Path, app: App) -> None:
    with ingress_run(make_data(tmp_path), free_port()) as run:
        before = our_processes(run.directory)
        await server_side(run).apply_routes([to(app)])
        async with under_load(run.port, HOST, kept=2, fresh=2) as load:
            for _ in range(3):
                server = server_side(run)
                await server.start()
                await server.apply_routes([to(app)])
                await load.goes_on()
        assert load.failures == []
        assert our_processes(run.directory) == before


async def test_it_takes_over_from_a_server_that_had_started_haproxy_itself(
    tmp_path: Path, app: App
) -> None:
    data, port = make_data(tmp_path), free_port()
    first = haproxy(data / "ingress", port)
    await first.apply_routes([to(app)])
    old = running_master(data / "ingress")
    async with under_load(port, HOST, kept=2, fresh=2) as load:
        with ingress_run(data, port) as run:
            await load.goes_on()
            await first.apply_routes([to(app)])
            await until(lambda: old not in our_processes(run.directory), "the old HAProxy to leave")
            await load.goes_on()
            assert load.failures == []
            assert running_master(run.directory) != old
            load.stopping = True
            await asyncio.sleep(0.1)  # what follows ends HAProxy


async def test_a_hangup_loads_haproxy_anew_without_a_lost_request(tmp_path: Path, app: App) -> None:
    with ingress_run(make_data(tmp_path), free_port()) as run:
        await server_side(run).apply_routes([to(app)])
        master, worker = running_master(run.directory), our_processes(run.directory)
        async with under_load(run.port, HOST, kept=2, fresh=2) as load:
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
                os.kill(run.process.pid, number)  # type: ignore[union-attr]  # it runs
            await until(lambda: our_processes(run.directory) != worker, "another worker")
            await load.goes_on()
        assert load.failures == []
        assert running_master(run.directory) == master


async def test_the_server_starts_none_while_it_is_somebody_elses(tmp_path: Path) -> None:
    with ingress_run(make_data(tmp_path), free_port()) as run:
        assert run.process is not None
        os.kill(run.process.pid, signal.SIGSTOP)
        try:
            for pid in our_processes(run.directory):
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(
                IngressUnavailableError,
                match=f"ingress run' \\(process {run.process.pid}\\) runs, but",
            ):
                await server_side(run).start()
        finally:
            os.kill(run.process.pid, signal.SIGCONT)
        assert await asyncio.to_thread(run.process.wait, 60) == 1, (
            "a service manager starts it again"
        )
        assert "HAProxy ended by itself" in run.log()


@pytest.mark.parametrize("starts", ["starts", "only adopts"])
async def test_a_server_in_another_container_has_it_reloaded_without_a_lost_request(
    tmp_path: Path, app: App, starts: str
) -> None:
    with ingress_run(make_data(tmp_path), free_port()) as run:
        await server_side(run).apply_routes([to(app)])
        master, before = running_master(run.directory), our_processes(run.directory)
        words = (sys.executable, "-c", SERVER_START, str(run.directory), str(run.port), starts)
        async with under_load(run.port, HOST, kept=2, fresh=2) as load:
            status, said = await asyncio.to_thread(in_another_container, *words)
            assert status == 0, said
            await load.goes_on()
        assert load.failures == []
        assert running_master(run.directory) == master
        assert our_processes(run.directory) != before, "another worker has the other settings"


async def test_a_server_with_other_settings_that_comes_while_it_starts_does_not_end_it(
    tmp_path: Path,
) -> None:
    """HAProxy answers then, with the server's settings: that is what matters."""
    directory, listen = make_data(tmp_path) / "ingress", ("127.0.0.1", free_port())
    server = HaproxySupervisor(
        directory,
        "haproxy",
        ConfigInput(listen=listen, trusted=("192.0.2.0/24",)),
        refuse_to_launch,
    )

    async def start(program: Program, directory: Path) -> None:
        await launch(program, directory)
        await server.ensure_running(None)

    try:
        await HaproxySupervisor(directory, "haproxy", ConfigInput(listen=listen), start).take_over()
        assert await server.is_unchanged()
        assert (await ask(listen[1], "nobody.localhost")).status == 404
    finally:
        end_haproxy(directory)


async def test_a_server_has_its_settings_where_those_of_its_start_came_in_between(
    tmp_path: Path,
) -> None:
    with ingress_run(make_data(tmp_path), free_port()) as run:
        before = our_processes(run.directory)
        own = tmp_path / "own"
        shutil.copy(run.directory / CONFIG_FILE, own)
        program = tmp_path / "haproxy"
        program.write_text(
            "#!/bin/sh\n"
            f'{shutil.which("haproxy")} "$@" || exit\n'
            f'if [ "$1" = -c ] && [ -e {own} ]; then mv {own} {run.directory / CONFIG_FILE}; fi\n'
        )
        program.chmod(0o755)
        wanted = ConfigInput(listen=("127.0.0.1", run.port), trusted=("192.0.2.0/24",))
        server = HaproxySupervisor(run.directory, str(program), wanted, refuse_to_launch)
        await server.ensure_running(None)
        assert await server.is_unchanged()
        assert not own.exists(), "the settings of the start had come in between"
        assert set(before) & set(our_processes(run.directory)), "the master has stayed"


async def test_one_that_was_frozen_and_replaced_leaves_once_it_goes_on(tmp_path: Path) -> None:
    """It takes the reload after the soft stop, and would serve old routes beside the new one."""
    directory, listen = make_data(tmp_path) / "ingress", ("127.0.0.1", free_port())
    server = HaproxySupervisor(directory, "haproxy", ConfigInput(listen=listen))
    try:
        await server.ensure_running(None)
        old = our_processes(directory)
        for pid in old:
            os.kill(pid, signal.SIGSTOP)
        await server.ensure_running(None)
        assert set(our_processes(directory)) > set(old), "a new one was started beside it"
        for pid in old:
            os.kill(pid, signal.SIGCONT)
        await until(lambda: old[1] not in our_processes(directory), "the old worker to end")
        # Its new worker may not be up yet: it is told again at each look.
        async with asyncio.timeout(60):
            while len(masters(directory)) > 1:
                await server.ensure_running(None)
                await asyncio.sleep(0.2)
        assert await server.is_unchanged()
    finally:
        end_haproxy(directory)


async def test_two_that_write_the_same_file_do_not_hinder_one_another(tmp_path: Path) -> None:
    texts = [str(number) * 10_000 for number in range(2)]

    def write(text: str) -> None:
        for _ in range(200):
            write_private(tmp_path / "file", text, durable=False, shared=True)

    await asyncio.gather(*(asyncio.to_thread(write, text) for text in texts))
    assert (tmp_path / "file").read_text() in texts
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 - short


async def test_from_another_container_it_is_seen_and_left_alone(tmp_path: Path) -> None:
    with ingress_run(make_data(tmp_path), free_port()) as run:
        before, env = our_processes(run.directory), run.variables()
        status, said = await asyncio.to_thread(
            in_another_container, *PROGRAM, "ingress", "status", env=env
        )
        assert (status, "'tagboat ingress run' in another container" in said) == (0, True), said
        status, said = await asyncio.to_thread(
            in_another_container, *PROGRAM, "ingress", "stop", "--yes", env=env
        )
        assert (status, "docker compose stop ingress" in said) == (1, True), said
        assert our_processes(run.directory) == before


async def test_a_server_that_may_not_start_it_says_so(tmp_path: Path) -> None:
    ingress = HaproxyIngress(
        tmp_path, listen=("127.0.0.1", free_port()), base_domain="localhost", starts=False
    )
    with pytest.raises(IngressUnavailableError, match="TAGBOAT_INGRESS_START is false"):
        await ingress.start()
    assert our_processes(tmp_path) == []


async def test_there_is_one_for_a_directory(tmp_path: Path) -> None:
    with ingress_run(make_data(tmp_path), free_port()) as run:
        second = await asyncio.to_thread(run.cli, "run")
        assert second.returncode == 1
        assert f"runs for {run.directory} already (process {run.process.pid})" in second.stderr  # type: ignore[union-attr]
        assert (await ask(run.port, "nobody.localhost")).status == 404


async def test_an_address_that_is_taken_is_refused(tmp_path: Path) -> None:
    data, port = make_data(tmp_path), free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = await asyncio.to_thread(IngressRun(data, port).cli, "run")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"the ingress cannot listen on 127.0.0.1:{port} (Address already in use)" in done.stderr


async def test_an_address_that_is_taken_is_refused_on_a_reload_too_and_the_old_one_goes_on(
    tmp_path: Path, app: App
) -> None:
    """Also where another HAProxy has it, which would let ours have a part of its requests."""
    other = IngressRun(make_data(tmp_path), free_port())
    (tmp_path / "own").mkdir()
    with ingress_run(tmp_path / "own" / "data", free_port()) as run:
        await server_side(run).apply_routes([to(app)])
        other.start()
        try:
            with pytest.raises(
                IngressUnavailableError, match=f"cannot listen on 127.0.0.1:{other.port}"
            ):
                await server_side(run, other.port).start()
        finally:
            other.stop()
        assert (await ask(run.port, HOST)).status == 200
        await server_side(run, other.port).start()  # it is free by now
        assert (await ask(other.port, HOST)).status == 200


async def test_status_and_stop(tmp_path: Path) -> None:
    with ingress_run(make_data(tmp_path), free_port()) as run:
        status = await asyncio.to_thread(run.cli)
        assert (status.returncode, f"listens on 127.0.0.1:{run.port}" in status.stdout) == (0, True)
        assert "'tagboat ingress run'" in status.stdout
        asked = await asyncio.to_thread(run.cli, "stop")
        assert (asked.returncode, "confirm with --yes" in asked.stderr) == (1, True)
        assert our_processes(run.directory)
        stopped = await asyncio.to_thread(run.cli, "stop", "--yes")
        assert (stopped.returncode, "HAProxy is stopped" in stopped.stdout) == (0, True)
        assert run.process is not None
        assert run.process.wait(60) == 0, "a service manager lets it be"
        assert our_processes(run.directory) == []
        assert (await asyncio.to_thread(run.cli, "status")).returncode == 1
        again = await asyncio.to_thread(run.cli, "stop", "--yes")
        assert (again.returncode, again.stdout) == (0, "HAProxy does not run here\n")


def test_without_an_ingress_there_is_nothing_to_run(tmp_path: Path) -> None:
    environ = IngressRun(tmp_path / "data", free_port()).variables() | {"TAGBOAT_INGRESS": "none"}
    done = subprocess.run(
        [*PROGRAM, "ingress", "run"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, "TAGBOAT_INGRESS is none" in done.stderr) == (2, True)


def test_a_service_manager_is_told(tmp_path: Path) -> None:
    for name in (str(tmp_path / "notify"), f"@tagboat-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind("\0" + name[1:] if name.startswith("@") else name)
            notify_ready(name)
            assert manager.recv(100) == b"READY=1"
    notify_ready(None)
