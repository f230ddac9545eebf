"""Checks before any route: does the path exist, does it take the method, may the caller do that.

The caller is known, and has the role that the route needs, before any byte of the body is read:
only the holder of a token or session can make the server parse something.
"""

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping
from http import HTTPStatus
from re import Pattern

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tagboat.core.errors import ForbiddenError, StoreUnavailableError
from tagboat.core.principal import Role
from tagboat.http.answer_ends import AnswerEnded
from tagboat.http.forgery import check_change
from tagboat.http.identification import PRINCIPAL, Authenticator
from tagboat.http.own_hosts import OwnHosts
from tagboat.http.problem import ProblemKind, not_found, problem, send_problem
from tagboat.http.rate_limits import Throttle
from tagboat.http.session_cookie import CSRF

__all__ = ["PRINCIPAL", "Authentication"]

MAX_BODY_BYTES = 1 << 20
REFUSALS_PER_S = 50
"""Answers per second to calls without a known token. Calls with one do not wait for them."""

log = structlog.get_logger("tagboat.api")


class Authentication:
    """Answers calls that no route needs to see, and hands on the others.

    `routes` are the methods of each path with the least role that each needs; of two paths that
    fit, the first counts. HEAD is answered wherever GET is. `open_paths` need no token; where one
    is given all the same, the caller is known to the application.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Mapping[Pattern[str], Mapping[str, Role]],
        authenticator: Authenticator,
        hosts: OwnHosts,
        open_paths: Collection[str],
    ) -> None:
        self._app = app
        self._routes = {
            pattern: {**of_path, "HEAD": of_path["GET"]} if "GET" in of_path else of_path
            for pattern, of_path in routes.items()
        }
        self._authenticator = authenticator
        self._hosts = hosts
        self._open_paths = open_paths
        self._throttle = Throttle(REFUSALS_PER_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        path, needed = scope["path"], self._needed_roles(scope["path"])
        if not needed:
            await not_found(scope, receive, send)
        elif scope["method"] not in needed:
            status, names = HTTPStatus.METHOD_NOT_ALLOWED, ", ".join(sorted(needed))
            body = problem(status, f"this address takes {names} only")
            await send_problem(send, status, body, (b"allow", names.encode()))
        elif path in self._open_paths:
            # These paths answer also while the database does not.
            with contextlib.suppress(StoreUnavailableError):
                await self._authenticator.identify(scope)
            await self._pass_on(scope, capped(scope, receive), send)
        else:
            await self._authenticate(needed[scope["method"]], scope, receive, send)

    async def _authenticate(self, needed: Role, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            principal = await self._authenticator.identify(scope)
            if principal is not None:
                principal.check_role(needed)
                receive = capped(scope, receive)
                if CSRF in scope:
                    receive = await check_change(scope, receive, scope[CSRF], self._hosts)
        except ForbiddenError as error:
            status = HTTPStatus.FORBIDDEN
            await send_problem(send, status, problem(status, str(error)))
        except StoreUnavailableError as error:
            status, kind = HTTPStatus.SERVICE_UNAVAILABLE, ProblemKind.DATABASE_UNAVAILABLE
            await send_problem(send, status, problem(status, str(error), kind=kind))
        except HTTPException as error:  # the form was too large
            await send_problem(send, error.status_code, problem(error.status_code, error.detail))
        else:
            if principal is None:
                await self._refuse(send)
            else:
                await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        try:
            await self._app(scope, receive, send)
        except AnswerEnded:
            raise
        except Exception:
            # The caller has its answer by now; the server goes on.
            log.exception("a fault inside Tagboat", action="answer", method=scope["method"])

    async def _refuse(self, send: Send) -> None:
        if wait_s := self._throttle.wait(time.monotonic()):
            await asyncio.sleep(wait_s)
        status = HTTPStatus.UNAUTHORIZED
        body = problem(status, "a token is needed, in the header Authorization: Bearer TOKEN")
        await send_problem(send, status, body, (b"www-authenticate", b"Bearer"))

    def _needed_roles(self, path: str) -> dict[str, Role]:
        """Return the least role for each method of a path; empty for one that does not exist."""
        fits = [pattern for pattern in self._routes if pattern.match(path)]
        # A path that is written out, such as /api/users/setup-link, is not the id of an account.
        chosen = [pattern for pattern in fits if not pattern.groups] or fits
        needed: dict[str, Role] = {}
        for pattern in chosen:
            needed = {**self._routes[pattern], **needed}
        return needed


def capped(scope: Scope, receive: Receive) -> Receive:
    """Return `receive`, but refusing to bring more than `MAX_BODY_BYTES`."""
    too_large = HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is over {MAX_BODY_BYTES} bytes"
    )
    headers = scope["headers"]
    announced = next((value for name, value in headers if name == b"content-length"), b"")
    got = 0

    async def capped() -> Message:
        nonlocal got
        # Refused before a byte is read; twenty digits decide, and Python refuses to read thousands.
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > MAX_BODY_BYTES:
            raise too_large
        message = await receive()
        got += len(message.get("body", b""))
        if got > MAX_BODY_BYTES:
            raise too_large
        return message

    return capped
