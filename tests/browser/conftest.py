"""A real browser, and the pages of a filled server."""

import asyncio
import os
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect, sync_playwright

from tests.browser.house import PASSWORD, House
from tests.browser.windows import WAIT_MS, Windows
from tests.support.api import Api, running_api
from tests.support.docker_registry import DockerRegistry
from tests.support.pages import signed_in
from tests.support.sample_pages import Filled, fill
from tests.support.served import served
from tests.support.server import Server, running_server

CHROMIUM = "/usr/bin/chromium"
ACCOUNTS = (("ada", "admin"), ("grace", "admin"), ("dora", "deployer"), ("vic", "viewer"))
Result = TypeVar("Result")


def run(work: Coroutine[object, object, Result]) -> Result:
    """Run a coroutine to its end, in a thread: Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


@dataclass(slots=True)
class Site:
    """A server with its sample, and a browser that is signed in as an admin."""

    windows: Windows
    api: Api
    filled: Filled
    cookies: dict[str, str]

    @property
    def url(self) -> str:
        """Where the pages are."""
        return self.windows.url

    def context(self, *, signed_in: bool = True, **options: object) -> BrowserContext:
        """A new window; what it complains about is kept."""
        context = self.windows.context(**options)
        if signed_in:
            context.add_cookies(
                [
                    {
                        "name": name,
                        "value": value,
                        "domain": "127.0.0.1",
                        "path": "/",
                        "secure": True,
                    }
                    for name, value in self.cookies.items()
                ]
            )
        return context

    def page(self, path: str, **options: object) -> Page:
        """A page in a new window."""
        page = self.context(**options).new_page()  # type: ignore[arg-type]
        page.goto(path)
        return page


# No longer than a module: Playwright's loop counts as running in this thread, and until it ends no
# test of another folder could run a coroutine here.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium; as root it runs without its sandbox, which needs another user."""
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path, chromium: Browser) -> Iterator[Site]:
    """The pages over HTTP; at the end nobody has complained."""

    async def prepare(api: Api) -> tuple[Filled, dict[str, str]]:
        return await fill(api.store), (await signed_in(api, password="a hash of none")).cookies

    with running_api(tmp_path) as api:
        filled, cookies = run(prepare(api))
        with served(api.app) as url:
            windows = Windows(url, chromium)
            yield Site(windows, api, filled, cookies)
            for context in chromium.contexts:
                context.close()
            api.events.close()
        windows.check()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, engine_url: str) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server"), engine_url) as server:
        for name, role in ACCOUNTS:
            body = {"name": name, "role": role, "password": PASSWORD}
            assert server.call("POST", "/api/users", body)[0] == 201
        yield server


@pytest.fixture(scope="session")
def sessions() -> dict[str, StorageState]:
    """What a browser keeps of each account that has signed in."""
    return {}


@pytest.fixture
def house(
    server: Server,
    sessions: dict[str, StorageState],
    docker_registry: DockerRegistry,
    chromium: Browser,
) -> Iterator[House]:
    """A project with a stage that is watched for a second, with nothing live."""
    name = f"app-{uuid.uuid4().hex[:8]}"
    image = f"{docker_registry.host}/acme/{name}"
    stage = {"name": "dev", "tag_pattern": "*", "watch_s": 1, "health_timeout_s": 300}
    body = {"name": name, "image": image, "stages": [stage]}
    assert server.call("POST", "/api/projects", body)[0] == 201
    # The engine adds a network device for each container; Chromium then asks again.
    windows = Windows(server.url, chromium, allowed=["ERR_NETWORK_CHANGED"])
    yield House(server, windows, image, sessions)
    for context in chromium.contexts:
        context.close()
    windows.check()
