"""The webhook's HTTP side: authenticate, decode, delegate."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from tagboat.core.errors import InvalidValueError, StoreUnavailableError
from tagboat.core.image import ImageRef
from tagboat.core.ports import DeployTriggerer, ImageInspector, Store
from tagboat.core.problem import Send, not_found, problem, send_json, send_problem
from tagboat.core.push import Push, Source
from tagboat.core.tally import Tally
from tagboat.intake.intake import Intake
from tagboat.webhook.body import MAX_BYTES, HungUpError, Receive, TooLargeError, decode_body, read_body
from tagboat.webhook.formats import recognise
from tagboat.webhook.formats.call import Call, HostlessImage
from tagboat.webhook.hosts import with_host
from tagboat.webhook.secret import SecretCheck

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_UNREADABLE = "unknown"
_CALLS = "tagboat_webhook_calls_total"


class WebhookHandler:
    """Takes calls of `POST /{secret}`; everything else is answered as an address that does not exist."""

    def __init__(
        self,
        store: Store,
        deployer: DeployTriggerer,
        inspector: ImageInspector,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tally: Tally | None = None,
    ) -> None:
        tally = tally or Tally()
        self._count_accepted = tally.counter(_CALLS, status="2xx")
        self._count_refused = tally.counter(_CALLS, status="4xx")
        self._store = store
        self._secret = SecretCheck(store)
        self._intake = Intake(store, deployer, inspector, clock=clock)

    def router(self) -> Application:
        """Return the ASGI application, to be mounted at `/api/webhook`."""
        return self._route

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        secret = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        if scope["method"] != "POST" or not await self._secret.accepts(secret):
            await not_found(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            await self._answer(headers, receive, send)
        except HungUpError:
            return
        except StoreUnavailableError as error:
            await send_problem(send, HTTPStatus.SERVICE_UNAVAILABLE, problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)))

    async def _answer(self, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        sender = _UNREADABLE
        try:
            call = Call(headers, decode_body(headers, await read_body(headers, receive)))
            shape = recognise(call)
            sender = shape.NAME
            news = shape.read(call)
            images = news.images + await self._found(news.hostless)
        except TooLargeError:
            await self._refuse(send, sender, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is over {MAX_BYTES} bytes")
        except InvalidValueError as error:
            await self._refuse(send, sender, HTTPStatus.BAD_REQUEST, str(error))
        else:
            pushes = [Push(image, Source.WEBHOOK) for image in images]
            self._count_accepted()
            if news.answer is not None and not pushes:
                await self._intake.keep(sender, HTTPStatus.OK, news.reason or "it wanted an answer of its own")
                await send_json(send, HTTPStatus.OK, json.dumps(news.answer).encode())
            else:
                await send_json(send, HTTPStatus.ACCEPTED, await self._intake.accept(pushes, sender, news.reason))

    async def _found(self, images: Sequence[HostlessImage]) -> tuple[ImageRef, ...]:
        """The images with the host that their sender left out."""
        if not images:
            return ()
        return await self._store.read(lambda reader: tuple(with_host(reader, image) for image in images))

    async def _refuse(self, send: Send, sender: str, status: HTTPStatus, detail: str) -> None:
        await self._intake.keep(sender, status, detail)
        self._count_refused()
        await send_problem(send, status, problem(status, detail))
