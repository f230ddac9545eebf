"""A browser for the pages over ASGI: it is signed in, and knows what is in a page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlencode

from tagboat.core.accounts import Account
from tagboat.core.ids import new_id
from tagboat.core.ports import Tx
from tagboat.core.principal import Role
from tagboat.http.session_cookie import csrf_token
from tagboat.operations.sessions import begin_session
from tests.support.api import Api
from tests.support.asgi import Answer


async def signed_in(
    api: Api,
    role: Role = Role.ADMIN,
    name: str = "ada",
    projects: tuple[str, ...] | None = None,
    *,
    password: str | None = None,
) -> "Browser":
    """A browser with a session of a new account. `password` is a hash."""

    def work(tx: Tx) -> str:
        account = Account(
            id=new_id(),
            name=name,
            role=role,
            projects=projects,
            password=password,
            created_at=datetime.now(UTC),
        )
        tx.add_account(account)
        return begin_session(tx, account, datetime.now(UTC), "127.0.0.1", "a test").cookie

    secret = await api.store.write(work)
    return Browser(api, {"__Host-tagboat": secret}, csrf_token(secret))


@dataclass(slots=True)
class Browser:
    """Keeps cookies, and sends forms as pages do. Without cookies it is nobody's."""

    api: Api
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""
    host: str = "127.0.0.1:7070"

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """A page."""
        return await self._call("GET", path, b"", headers or {})

    async def post(
        self,
        path: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a form, with its token unless `form` has one."""
        fields = {"csrf": self.csrf, **(form or {})}
        sent = {
            "content-type": "application/x-www-form-urlencoded",
            "sec-fetch-site": "same-origin",
            **(headers or {}),
        }
        return await self._call("POST", path, urlencode(fields).encode(), sent)

    async def follow(self, answer: Answer) -> Answer:
        """The page that an order leads to."""
        assert answer.status == 303, answer.body
        return await self.get(answer.headers["location"])

    async def _call(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        sent = {"host": self.host, **headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self.api.anonymous.call(method, path, body, sent)
        for given in answer.headers.get("set-cookie", "").splitlines():
            if match := re.match(r'([\w-]+)="?([^";]*)"?(.*)', given):
                if "Max-Age=0" in match[3]:
                    self.cookies.pop(match[1], None)
                else:
                    self.cookies[match[1]] = match[2]
        return answer


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's
        self._skipped += tag in {"script", "style", "head"}

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in {"script", "style", "head"}

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.words += data.split()


def words(answer: Answer) -> str:
    """What a person reads in the page, with single blanks."""
    reader = _Words()
    reader.feed(answer.body.decode())
    return " ".join(reader.words)


def form_of(answer: Answer) -> dict[str, str]:
    """The fields of the form of settings, as a browser would send them."""
    page = answer.body.decode()
    form = re.search(r'<form[^>]*class="settings".*?</form>', page, re.DOTALL)
    assert form, page
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form[0]):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and ("checkbox" not in tag or " checked" in tag):
            found[name[1]] = unescape(value[1]) if value else ""
    for name_, text in re.findall(
        r'<textarea[^>]*name="([^"]*)"[^>]*>(.*?)</textarea>', form[0], re.DOTALL
    ):
        found[name_] = unescape(text)
    for name_, options in re.findall(
        r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', form[0], re.DOTALL
    ):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        first = re.search(r'<option value="([^"]*)"', options)
        found[name_] = (chosen or first)[1]  # type: ignore[index]
    return found
