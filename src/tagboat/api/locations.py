"""The header `Location` of answers to orders: the address of what was created."""

import json
import re
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_WITH_LOCATION = frozenset({HTTPStatus.CREATED, HTTPStatus.ACCEPTED})
_CREATED_AT = (
    (re.compile(r"/api/(projects|registries|users|tokens)"), "/api/{0}/{id}"),
    (re.compile(r"/api/projects/[^/]+/(stages|webhooks)"), "/api/{0}/{id}"),
    (re.compile(r"/api/stages/[^/]+/(?:deploys|rollback|promote|restart)"), "/api/deploys/{id}"),
    (re.compile(r"/api/stages/[^/]+/(?:start|stop)"), "/api/stages/{id}"),
    (re.compile(r"/api/stages/([^/]+)/cancel"), "/api/deploys?stage={0}"),
    (re.compile(r"/api/deliveries/[^/]+/redeliver"), "/api/deliveries/{delivery}"),
)
"""Paths that are posted to, and the address of what comes of it: groups and fields of the body."""


class Located:
    """Adds `Location` to the answers 201 and 202 of `app`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        template = location_template(scope["path"]) if scope["method"] == "POST" else None
        if template is None:
            await self._app(scope, receive, send)
            return
        head: Message | None = None

        async def located(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start" and message["status"] in _WITH_LOCATION:
                head = message  # its address is in the body, which comes next
                return
            if head is not None:
                # FastAPI sends a JSON answer as one message, so that the body is whole here.
                location = template.format_map(json.loads(message["body"]))
                headers = [*head["headers"], (b"location", location.encode())]
                await send({**head, "headers": headers})
                head = None
            await send(message)

        await self._app(scope, receive, located)


def location_template(path: str) -> str | None:
    """Return the address of what a POST to `path` creates, with `{field}` of its answer's body."""
    for pattern, template in _CREATED_AT:
        if match := pattern.fullmatch(path):
            return template.replace("{0}", match[1]) if match.groups() else template
    return None
