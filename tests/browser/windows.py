"""Windows of a real browser onto one server, and what they complain about."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

WAIT_MS = 30_000
"""A machine that is busy with other tests answers late; one that is not, at once."""
WATCHED_KINDS = {"error", "warning"}
# The engine makes and removes networks of the machine while other tests run.
NOT_THE_PAGES_FAULT = "net::ERR_NETWORK_CHANGED"
_AXE = Axe()
_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}


@dataclass
class Windows:
    """Opens pages of the server at `url`; `complaints` are errors, warnings and other hosts.

    `allowed` are parts of complaints that a test has caused itself, such as a page that is a 404.
    """

    url: str
    browser: Browser
    complaints: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def context(self, **options: object) -> BrowserContext:
        """A browser of its own, with no cookies."""
        context = self.browser.new_context(base_url=self.url, **options)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        context.on("weberror", lambda error: self._complain(str(error.error)))
        context.on("console", self._keep)
        context.on("request", lambda request: self._check(request.url))
        return context

    def page(self, path: str, **options: object) -> Page:
        """A page in a browser of its own."""
        page = self.context(**options).new_page()
        page.goto(path)
        return page

    def check(self) -> None:
        """Fail if there was a complaint."""
        allowed = [*self.allowed, NOT_THE_PAGES_FAULT]
        left = [one for one in self.complaints if not any(part in one for part in allowed)]
        assert left == [], "\n".join(left)

    def _keep(self, message: ConsoleMessage) -> None:
        if message.type in WATCHED_KINDS:
            self._complain(f"{message.text} at {message.page.url if message.page else '?'}")

    def _check(self, url: str) -> None:
        if not url.startswith((f"{self.url}/", "data:", "blob:")):
            self._complain(f"asked another host: {url}")

    def _complain(self, text: str) -> None:
        self.complaints.append(text)


def violations(page: Page) -> Sequence[str]:
    """What axe finds wrong with a page, a line for each element."""
    found = _AXE.run(page, options=_RULES).response["violations"]
    return [
        f"{page.url}: {rule['id']}: {node['html'][:160]}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


def sign_in(page: Page, name: str, password: str) -> None:
    """Sign in by the form, from whatever page leads there."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label(f"{name}: account and colours").wait_for()
