"""Routers of pages: what a module in `pages/` declares, and the roles it needs."""

from collections.abc import Awaitable, Callable

from msgspec import Struct
from starlette.responses import Response

from tagboat.core.principal import Role
from tagboat.web.visits import Visit

Handler = Callable[[Visit], Awaitable[Response]]


class PageRoute(Struct, frozen=True):
    """An address with its method, `GET` or `POST`, and the least role that may use it.

    `needs` is None where nobody has to be signed in. Only a page of ours may send a form, unless
    `from_elsewhere`.
    """

    path: str
    method: str
    needs: Role | None
    handler: Handler
    from_elsewhere: bool = False


class PageRouter:
    """The pages and orders of one module, in the order in which they are declared."""

    def __init__(self) -> None:
        self.routes: list[PageRoute] = []

    def page(self, path: str, needs: Role | None = Role.VIEWER) -> Callable[[Handler], Handler]:
        """Declare a page: it is read, and changes nothing."""
        return self._declare(path, "GET", needs)

    def order(self, path: str, needs: Role | None = Role.DEPLOYER) -> Callable[[Handler], Handler]:
        """Declare an order: a form that was checked to come from a page of the same session."""
        return self._declare(path, "POST", needs)

    def notice(self, path: str) -> Callable[[Handler], Handler]:
        """Declare a call of another server, which proves itself. The handler reads the form."""

        def declared(handler: Handler) -> Handler:
            self.routes.append(PageRoute(path, "POST", None, handler, from_elsewhere=True))
            return handler

        return declared

    def _declare(self, path: str, method: str, needs: Role | None) -> Callable[[Handler], Handler]:
        def declared(handler: Handler) -> Handler:
            # Kept as a value: tests compare the roles of all routes with a table.
            self.routes.append(PageRoute(path, method, needs, handler))
            return handler

        return declared
