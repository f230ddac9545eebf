"""`python -m tools.screenshots`: each page in light and dark, on a phone and a wide screen.

The server has a sample on record, with what strains a page. The pictures are in
build/screenshots; `--readme` also writes those of the README to docs/images.
"""

import asyncio
import base64
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from tests.support.api import Api, running_api
from tests.support.odd_pages import fill_odd
from tests.support.page_addresses import page_addresses, sign_in_address
from tests.support.pages import signed_in
from tests.support.sample_pages import Filled, fill
from tests.support.served import served

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "screenshots"
README = ROOT / "docs" / "images"
SIZES = {"phone": (390, 844), "wide": (1440, 900)}
COLOURS = ("light", "dark")
CHROMIUM = "/usr/bin/chromium"
_MORE = ("api", "blog", "cart", "checkout", "crm", "ledger", "search", "status-page", "wiki")
_README_SIZE = (1200, 700)
_QUALITY = 62
"""Of a WebP: three pictures together are to be at most 150 kB."""


async def main(arguments: list[str]) -> int:
    """Take the pictures; 2 for a wrong argument."""
    if arguments not in ([], ["--readme"]):
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory() as folder, running_api(Path(folder)) as api:
        filled = await fill(api.store, _MORE)
        odd = await fill_odd(api.store)
        await _call_webhook(api)
        cookies = (await signed_in(api, password="a hash of none")).cookies  # noqa: S106 - no password
        with served(api.app) as url:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else []
                )
                camera = Camera(browser, url, cookies)
                entries = ["/sign-in", await sign_in_address(api)]
                await camera.take_all(entries, [*await page_addresses(api, filled), *odd])
                if arguments:
                    await camera.take_readme(filled)
                await browser.close()
            api.events.close()
    print(f"{len(list(FOLDER.iterdir()))} pictures are in {FOLDER}")
    return 0


class Camera:
    """Takes pictures of the pages of the server at `url`, signed in by `cookies`."""

    def __init__(self, browser: Browser, url: str, cookies: dict[str, str]) -> None:
        self._browser = browser
        self._url = url
        self._cookies = cookies

    async def take_all(self, entries: list[str], paths: list[str]) -> None:
        """Write a picture of each page; for those of `entries` nobody is signed in."""
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        for size in SIZES:
            for colours in COLOURS:
                await self._take(entries, size, colours, {})
                await self._take(paths, size, colours, self._cookies)

    async def take_readme(self, filled: Filled) -> None:
        """Write the pictures of the README."""
        README.mkdir(exist_ok=True)
        for name, path, colours in (
            ("overview", "/", "light"),
            ("deploy", f"/deploys/{filled.running}", "dark"),
            ("failed", f"/deploys/{filled.failed}", "light"),
        ):
            page = await self._open(*_README_SIZE, colours, self._cookies)
            await page.goto(self._url + path)
            chromium = await page.context.new_cdp_session(page)
            taken = await chromium.send(
                "Page.captureScreenshot", {"format": "webp", "quality": _QUALITY}
            )
            (README / f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))
            await page.context.close()

    async def _take(
        self, paths: list[str], size: str, colours: str, cookies: dict[str, str]
    ) -> None:
        page = await self._open(*SIZES[size], colours, cookies)
        for number, path in enumerate(paths):
            await page.goto(self._url + path)
            if path.endswith("/settings"):
                # Fields of closed groups can be ugly, too.
                await page.evaluate(
                    "for (const one of document.querySelectorAll('main details')) one.open = true"
                )
            name = re.sub(r"\W+", "-", re.sub(r"\b\w{24,}\b", "", path)).strip("-") or "overview"
            file = FOLDER / f"{name}-{number}-{size}-{colours}.png"
            await page.screenshot(path=file, full_page=True)
        await page.context.close()

    async def _open(self, width: int, height: int, colours: str, cookies: dict[str, str]) -> Page:
        context = await self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if colours == "dark" else "light",
        )
        await context.add_cookies(
            [
                {"name": name, "value": value, "domain": "127.0.0.1", "path": "/", "secure": True}
                for name, value in cookies.items()
            ]
        )
        return await context.new_page()


async def _call_webhook(api: Api) -> None:
    """Leave calls in the log: one of each outcome."""
    url = (await api.caller.get("/api/settings/webhook")).json["url"]
    path = "/api/webhook/" + url.rpartition("/")[2]
    for body in (
        {"image": "git.example.com/acme/docs:v9"},
        {"image": "git.example.com/acme/importer:v3.3.0"},
        {"image": "git.example.com/other/unknown:v1"},
        {"image": "not an image"},
    ):
        await api.anonymous.post(path, body)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
