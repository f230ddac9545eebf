"""`tagboat serve` with named points at which it can be made to die.

A program of the tests, run in its place.

A point is a call of the store, the engine or HAProxy, before it is made or after it came back:
`runtime.start#1 before`. They are numbered by name from the last order on, and those of a deploy
apart from those of everything else (`beside: …`).

FAULTS_DIR names a directory. `order` in it is what the tests want: `die_at` names points at which
to die, by SIGKILL, `wait_at` one at which the whole server stands still until it is ordered
otherwise, `hold_at` one at which only the call itself is held, until it is cancelled or the file
`let_go` is there; `ahead_s` is how far the clock is ahead. `passed` is the list of the points
passed. FAULTS_READ_S, where it is set, is how many seconds the registry client waits for the next
byte.
"""

import asyncio
import inspect
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import structlog

from tagboat.cli.entry import run
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.master import Master
from tagboat.registry.client import RegistryClient
from tagboat.registry.connections import Timeouts
from tagboat.runtime.docker.engine import DockerRuntime
from tagboat.store import SqlStore

Call = Callable[..., Awaitable[Any]]
RUNTIME_CALLS = (
    *("inspect_image", "platform", "pull", "remove_image", "list_volumes", "remove_volume"),
    *(
        "create",
        "start",
        "stop",
        "remove",
        "rejoin",
        "status",
        "run_healthcheck",
        "last_exit_code",
        "logs",
        "list_workloads",
    ),
    *("ensure_network", "remove_network", "list_networks"),
)
_PAUSE_S = 0.02


class Orders:
    """What the tests want of this process, read afresh whenever it is asked for."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "order"
        self._passed = directory / "passed"
        self._let_go = directory / "let_go"
        self._lock = threading.Lock()
        self._text = ""
        self._counts: Counter[str] = Counter()

    def read(self) -> dict[str, Any]:
        text = self._file.read_text()
        with self._lock:
            if text != self._text:
                self._text = text
                self._counts.clear()
        return dict(json.loads(text))

    def number(self, call: str) -> str:
        """Return the call's name, told apart from those of the same name before it."""
        if "deploy" not in structlog.contextvars.get_contextvars():
            call = f"beside: {call}"
        self.read()
        with self._lock:
            self._counts[call] += 1
            return f"{call}#{self._counts[call]}"

    def pass_by(self, point: str) -> None:
        order = self.read()
        with self._lock, self._passed.open("a") as passed:
            passed.write(f"{point}\n")
        if point in order.get("die_at", ()):
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # a signal to oneself may take a moment to arrive
        while self.read().get("wait_at") == point:
            time.sleep(_PAUSE_S)

    async def hold(self, point: str) -> None:
        """Come back once nothing holds this call any more.

        Whoever cancels it meanwhile is heard.
        """
        while self.read().get("hold_at") == point and not self._let_go.exists():  # noqa: ASYNC110 - other processes say so
            await asyncio.sleep(_PAUSE_S)


def with_points(call: Call, name: Callable[..., str], orders: Orders) -> Call:
    @wraps(call)
    async def wrapped(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the call takes and gives
        point = orders.number(name(*args))
        orders.pass_by(f"{point} before")
        await orders.hold(f"{point} before")
        result = await call(*args, **named)
        orders.pass_by(f"{point} after")
        await orders.hold(f"{point} after")
        if getattr(result, "begun", None):
            orders.pass_by("claim after")
        return result

    return wrapped


def name_of_write(_: SqlStore, work: Callable[..., object]) -> str:
    """By the function that wrote it, and the step that it begins.

    `store.write DeployRecord.advance to pull`.
    """
    function = work.func if isinstance(work, partial) else work
    begun = inspect.getclosurevars(function).nonlocals.get("begun")
    return f"store.write {function.__qualname__.partition('.<locals>')[0]}" + (
        f" to {begun}" if begun else ""
    )


def name_of_question(_: Master, line: str, *__: object) -> str:
    """By its first command, without the worker's number: `haproxy.show map`."""
    words = [word for word in line.partition(";")[0].split() if not word.startswith("@!")]
    return f"haproxy.{' '.join(words[:2])}"


def install_points(orders: Orders) -> None:
    for call in RUNTIME_CALLS:
        put_around(DockerRuntime, call, f"runtime.{call}", orders)
    for call in ("apply_routes", "change_routes", "in_flight"):
        put_around(HaproxyIngress, call, f"ingress.{call}", orders)
    setattr(SqlStore, SqlStore.write.__name__, with_points(SqlStore.write, name_of_write, orders))
    setattr(Master, Master._ask.__name__, with_points(Master._ask, name_of_question, orders))
    supervisor: Any = import_module("tagboat.ingress.supervisor")
    for call in ("write_files", "write_file"):
        setattr(supervisor, call, _writing_with_points(getattr(supervisor, call), orders))


def _writing_with_points(write: Callable[..., None], orders: Orders) -> Callable[..., None]:
    def write_with_points(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever it takes
        point = orders.number("ingress.write_files")
        orders.pass_by(f"{point} before")
        write(*args, **kwargs)
        orders.pass_by(f"{point} after")

    return write_with_points


def put_around(owner: type, call: str, name: str, orders: Orders) -> None:
    setattr(owner, call, with_points(getattr(owner, call), lambda *_, **__: name, orders))


def install_clock(orders: Orders) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:  # noqa: ANN401 - a datetime as any other
            return datetime.now(tz) + timedelta(seconds=orders.read().get("ahead_s", 0))

    main: Any = import_module("tagboat.app")
    main.datetime = Clock  # all of the server's time comes from there


def install_time_outs(read_s: float) -> None:
    main: Any = import_module("tagboat.app")
    main.RegistryClient = partial(
        RegistryClient, timeouts=Timeouts(connect=read_s, read=read_s, total=60)
    )


if __name__ == "__main__":
    sys.path.remove(
        str(Path(__file__).parent)
    )  # nothing of the server is to be found among the tests
    given = Orders(Path(os.environ["FAULTS_DIR"]))
    install_points(given)
    install_clock(given)
    if "FAULTS_READ_S" in os.environ:
        install_time_outs(float(os.environ["FAULTS_READ_S"]))
    run()
