"""The pages: server time in a full database, bytes, first paint, and many that are open."""

import asyncio
import gc
import os
import re
import socket
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser as BrowserProgram
from playwright.sync_api import sync_playwright
from starlette.responses import HTMLResponse

from bench.full_database import fill_database, full_sqlite
from bench.rest import cpu_s
from bench.rig import rss_mb, show, tagboat
from tagboat.app import COLLECT_AFTER
from tagboat.core.deploy import InstanceState
from tagboat.core.ids import new_id
from tests.support.api import Api, running_api
from tests.support.page_addresses import page_addresses
from tests.support.pages import Browser, signed_in
from tests.support.postgres import running_postgres
from tests.support.sample_pages import Filled
from tests.support.served import served

ROUNDS = 40
OPEN_PAGES = 200
_LOOK_S = 20.0
_SETTLE_S = 3.0
_SLOWER = 4
_CHROMIUM = "/usr/bin/chromium"
_PAINTS = 5
_PROJECT = "project-0000"
_SCRIPTS_AND_STYLES = re.compile(r'<link rel="stylesheet"[^>]*>|<script .*?</script>', re.DOTALL)


def measure(folder: Path) -> None:
    """Print all of it."""
    data_dir = full_sqlite()
    with running_api(data_dir) as api:
        asyncio.run(_server_times(api, "SQLite"))
        _first_load(api)
    with running_postgres() as postgres:
        url, empty = postgres.new_database(), folder / "postgres"
        empty.mkdir(mode=0o700)
        fill_database(url, empty)
        with running_api(empty, database_url=url) as api:
            asyncio.run(_server_times(api, "PostgreSQL"))
    _open_pages(folder / "open")
    _at_rest(folder / "rest")


async def _server_times(api: Api, database: str) -> None:
    """Print p95 of each page, next to that of an answer for which nothing is read."""
    browser = await signed_in(api, name=new_id())
    # As `serve` does: what exists by now is not searched for garbage.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    floor = await _times(browser, "/api/health/live")
    for path in await page_addresses(api, await _found(api), _PROJECT):
        took = await _times(browser, path)
        show(
            f"{path[:28]}, {database}",
            [_p95(took)],
            "nothing is read",
            [_p95(floor)],
            "ms",
            "<= 50 ms",
        )


async def _times(browser: Browser, path: str) -> list[float]:
    took = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        await browser.get(path)
        took.append((time.perf_counter() - began) * 1000)
    return took[1:]  # the first one has its statements to make


def _p95(figures: Sequence[float]) -> float:
    return statistics.quantiles(figures, n=20)[-1]


async def _found(api: Api) -> Filled:
    """Return ids of a full database; what is not in it is a deploy that was live."""

    def work(reader: Any) -> Filled:  # noqa: ANN401 - the store's reader
        project = reader.project_by_name(_PROJECT)
        stage = next(one for one in reader.stages(project.id) if one.name == "prod")
        (live,) = reader.instances(stage_id=stage.id, states=[InstanceState.LIVE])
        failed = reader.failures(datetime.now(UTC) - timedelta(days=1), 1)[0]
        return Filled(live.deploy_id, live.deploy_id, failed.deploy_id, live.deploy_id, stage.id)

    return await api.store.read(work)


def _first_load(api: Api) -> None:
    """Print bytes and first paint of the overview, in Chromium on a slow processor.

    Beside it the paint of the same text alone, which is what this machine can do at best.
    """
    visitor = asyncio.run(signed_in(api, name=new_id()))
    whole = asyncio.run(visitor.get("/")).body.decode()
    text = HTMLResponse(_SCRIPTS_AND_STYLES.sub("", whole))
    cookies = [
        {"name": name, "value": value, "domain": "127.0.0.1", "path": "/", "secure": True}
        for name, value in visitor.cookies.items()
    ]
    loads, floor = list[_Load](), list[_Load]()
    with served(api.app) as url, served(text) as floor_url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        for _ in range(_PAINTS):
            loads.append(_load(browser, url, cookies))
            floor.append(_load(browser, floor_url, cookies))
        browser.close()
        api.events.close()
    sizes, paints = [one.size_kb for one in loads], [one.paint_ms for one in loads]
    show("overview, bytes at first", sizes, "the target", [120.0], "kB", "<= 120 kB")
    floors = [one.paint_ms for one in floor]
    show("first paint, processor 4x slower", paints, "its text alone", floors, "ms", "<= 500 ms")


@dataclass(frozen=True, slots=True)
class _Load:
    """The first load of a page: all that was received in kB, and its first paint in ms."""

    size_kb: float
    paint_ms: float


def _load(browser: BrowserProgram, url: str, cookies: list[Any]) -> _Load:
    context = browser.new_context()
    context.add_cookies(cookies)
    page = context.new_page()
    received: list[float] = []
    chromium = context.new_cdp_session(page)
    chromium.on(
        "Network.loadingFinished", lambda event: received.append(event["encodedDataLength"])
    )
    chromium.send("Network.enable")
    chromium.send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER})
    page.goto(url + "/", wait_until="load")
    page.wait_for_timeout(500)
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    painted: float = page.evaluate(paint)
    context.close()
    return _Load(sum(received) / 1000, painted)


def _open_pages(data_dir: Path) -> None:
    """Print what open pages cost a server in which nothing happens."""
    with tagboat(data_dir, in_memory=True) as server, ExitStack() as opened:
        time.sleep(_SETTLE_S)
        idle = rss_mb(server.pid)
        before = cpu_s(server.pid)
        time.sleep(_LOOK_S)
        alone = (cpu_s(server.pid) - before) / _LOOK_S * 100
        for _ in range(OPEN_PAGES):
            opened.enter_context(_stream(server.port, server.token))
        time.sleep(_SETTLE_S)
        before = cpu_s(server.pid)
        time.sleep(_LOOK_S)
        share = (cpu_s(server.pid) - before) / _LOOK_S * 100
        show(f"{OPEN_PAGES} open pages at rest", [share], "none open", [alone], "% core", "< 5 %")
        open_mb = rss_mb(server.pid)
        show("memory, open pages", [open_mb], "none open", [idle], "MB", "< 300 MB")


def _at_rest(data_dir: Path) -> None:
    """Print the memory of a server that nobody has looked at, with a real engine."""
    # The engine in memory is part of the tests, and weighs some megabytes itself.
    with tagboat(data_dir) as server:
        time.sleep(_SETTLE_S)
        idle = rss_mb(server.pid)
    show("memory with pages, at rest", [idle], "the target", [100.0], "MB", "<= 100 MB")


def _stream(port: int, token: str) -> socket.socket:
    """Open the stream of a page, as its script does."""
    connection = socket.create_connection(("127.0.0.1", port))
    head = (
        "GET /live?topic=deploy&topic=step HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    connection.sendall(head.encode())
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise OSError("the stream of a page was refused")
    return connection
