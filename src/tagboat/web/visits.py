"""A visit: one request of a browser, with everything that a page or an order needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from urllib.parse import urlencode

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tagboat.core.events import EventTopic
from tagboat.core.principal import Principal, Role
from tagboat.http.session_cookie import CSRF
from tagboat.operations.operations import Operations
from tagboat.web.forms import NO_ERRORS, NO_FORM, Form, FormErrors
from tagboat.web.messages import Message, Tone, forget_message, leave_message, take_message
from tagboat.web.navigation import navigation_for
from tagboat.web.services import WebServices
from tagboat.web.templates import PageTemplates

SIGN_IN = "/sign-in"
OIDC_START, OIDC_CALLBACK = "/oidc/start", "/oidc/callback"
THEME_COOKIE = "tagboat-theme"
THEMES = ("system", "light", "dark")
_LIVE_HEADER = "x-tagboat-live"


class LiveFilter(Struct, frozen=True):
    """The events after which a page is read again, as in `EventFilter`; `after` is the last id.

    Take `after` before the page is read, or at least not later: nothing is missed then.
    """

    after: int
    topics: tuple[EventTopic, ...] = ()
    project: str | None = None
    stage: str | None = None
    deploy: str | None = None

    @property
    def address(self) -> str:
        """The address of the stream."""
        asked: list[tuple[str, object]] = [("after", self.after)]
        asked += [("topic", topic) for topic in self.topics]
        names = (("project", self.project), ("stage", self.stage), ("deploy", self.deploy))
        return f"/live?{urlencode(asked + [pair for pair in names if pair[1]])}"


@dataclass(frozen=True)
class Visit:
    """One request: who sends it, the operations as asked for by them, and the form of an order.

    `principal` is None where nobody is signed in; only the pages around signing in see that.
    """

    request: Request
    site: WebServices
    templates: PageTemplates
    principal: Principal | None
    now: datetime
    form: Form = NO_FORM

    @cached_property
    def operations(self) -> Operations:
        """The operations, asked for by the principal."""
        # The pages around signing in ask for nobody.
        operations = self.site.operations
        return operations.by(self.principal) if self.principal else operations

    @property
    def csrf(self) -> str:
        """The token that forms carry, empty without a session."""
        return str(self.request.scope.get(CSRF, ""))

    @property
    def remote_address(self) -> str:
        """The IP address that the request came from."""
        return self.site.authenticator.addresses.find(self.request.scope)

    @property
    def user_agent(self) -> str:
        """The name that the browser gives itself."""
        return self.request.headers.get("user-agent", "")

    def may(self, needed: Role, project_id: str | None = None) -> bool:
        """Return whether the principal has the rights of a role, and in this project if given."""
        # Only to leave out what would be refused: the operation has the last word.
        who = self.principal
        if who is None or not who.role.includes(needed):
            return False
        return project_id is None or who.projects is None or project_id in who.projects

    def query(self, name: str) -> str:
        """Return a parameter of the address, empty where there is none."""
        # PostgreSQL has no NUL in texts.
        return self.request.query_params.get(name, "").replace("\0", "").strip()

    def path(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name]).replace("\0", "")

    def address(self, **changed: str | None) -> str:
        """Return the address of this page with other parameters; None and empty drop one."""
        # None drops a parameter, and so does an empty text: addresses stay short.
        asked = {**self.request.query_params, **changed}
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"{self.request.url.path}?{query}" if query else self.request.url.path

    def show(
        self,
        template: str,
        values: Mapping[str, object],
        *,
        status: HTTPStatus = HTTPStatus.OK,
        live: LiveFilter | None = None,
        errors: FormErrors = NO_ERRORS,
    ) -> Response:
        """Return the page that a template makes of `values`.

        With `live` the page is read again after such events. `errors` are those of a form, whose
        status the page then has.
        """
        # An open page that reads itself again is not the page that the message is for.
        is_live = _LIVE_HEADER in self.request.headers
        message = None if is_live else take_message(self.request)
        theme = self.request.cookies.get(THEME_COOKIE, "")
        text = self.templates.fill(
            template,
            {
                "path": self.request.url.path,
                "here": self.address(),
                "navigation": navigation_for(self.principal.role) if self.principal else (),
                "principal": self.principal,
                "may": self.may,
                "roles": Role,
                "csrf": self.csrf,
                "now": self.now,
                # The cookie is written by anybody; only known words reach the page.
                "theme": theme if theme in THEMES else THEMES[0],
                "message": message,
                # What was typed into a form that came back is not to be read over, and the
                # address may be one that takes forms only.
                "live": live if self.request.method == "GET" else None,
                "form": self.form,
                "errors": errors,
                "link": self.address,
                **values,
            },
        )
        response = HTMLResponse(text, errors.status if errors is not NO_ERRORS else status)
        # Browsers read it before they read the page, and have the styles sooner by that.
        response.headers["Link"] = f"<{self.templates.url('app.css')}>; rel=preload; as=style"
        # Shown once: the next page does not say it again.
        if message is not None:
            forget_message(response)
        return response

    def go(self, path: str, said: str = "", tone: Tone = Tone.OK) -> Response:
        """Return the way to another page after an order, which then shows the sentence `said`."""
        # 303, so that reloading the next page does not give the order again (RFC 9110, 15.4.4).
        response = RedirectResponse(path, HTTPStatus.SEE_OTHER)
        if said:
            leave_message(response, Message(said, tone))
        return response

    async def last_event(self) -> int:
        """Return the id of the newest event, after which a page goes on."""
        return await self.site.store.read(lambda reader: reader.last_event_id())
