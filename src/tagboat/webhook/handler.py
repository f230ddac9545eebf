"""The webhook's HTTP side: authenticate, decode, delegate."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl

from tagboat.core.counters import Counters
from tagboat.core.delivery import Account, Delivery
from tagboat.core.errors import (
    ConflictError,
    InvalidValueError,
    NotFoundError,
    StoreUnavailableError,
)
from tagboat.core.image import ImageRef
from tagboat.core.ports import DeployTriggerer, ImageInspector, Reader, Store
from tagboat.core.project_webhook import ProjectWebhook
from tagboat.core.push import Push, Source
from tagboat.core.rate import Rate
from tagboat.http.problem import MEDIA_TYPE, Send, not_found, problem, send_json, send_problem
from tagboat.http.rate_limits import Limiter, Throttle
from tagboat.intake.explain import Explanation
from tagboat.intake.intake import ACCEPTED, Intake
from tagboat.intake.receipt import SkippedEvent
from tagboat.webhook.access import Access, AccessCheck
from tagboat.webhook.account import account, registry_of
from tagboat.webhook.body import (
    MAX_BYTES,
    HungUpError,
    Receive,
    TooLargeError,
    UnknownCodingError,
    decode_body,
    payload_of,
    read_body,
    unpack,
)
from tagboat.webhook.formats import gitea, recognise
from tagboat.webhook.formats.call import Call, News, Skipped
from tagboat.webhook.placing import UnclearHostError, named_host, placed
from tagboat.webhook.signature import is_signed

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_UNREADABLE = "unknown"
_CALLS = "tagboat_webhook_calls_total"
_JSON = "application/json"

LARGE = 64 * 1024
"""Bytes of a body beyond which other calls would wait for it to be read."""

P = ParamSpec("P")
T = TypeVar("T")

RIGHT_EACH = Rate(per_s=20_000, burst=60_000)
RIGHT_TOGETHER = Rate(per_s=40_000, burst=120_000)
"""For calls with a right secret: far above what any forge and CI send. What they leave behind, `intake.ledger` limits."""
WRONG_EACH = Rate(per_s=10, burst=1_000)
WRONG_TOGETHER = Rate(per_s=100, burst=5_000)
MOST_SKIPPED = 100
"""Events of a call that are listed as skipped: what is answered and kept must not outgrow what was sent."""
TURNED_AWAY_PER_S, TURNED_AWAY_SHARED_PER_S = 4_000, 500
"""Answers to wrong secrets, of any kind: a small part of what the server could give, so that right ones have the rest.

The second where the database is shared: a right call waits for it again and again, each time for its turn as well.
"""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a call is answered with."""

    status: int
    body: bytes
    media_type: str = _JSON


@dataclass(frozen=True, slots=True)
class _Incoming:
    """An authentic call: its body unpacked, the registry that its URL names, and what is kept of it."""

    headers: Mapping[str, str]
    body: bytes
    hook: ProjectWebhook | None
    registry: str | None
    kept: Account


class WebhookHandler:
    """Takes calls of `POST /{secret}`; everything else is answered as an address that does not exist."""

    def __init__(
        self,
        store: Store,
        deployer: DeployTriggerer,
        inspector: ImageInspector,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        counters: Counters | None = None,
    ) -> None:
        counters = counters or Counters()
        self._count_accepted = counters.counter(_CALLS, status="2xx")
        self._count_refused = counters.counter(_CALLS, status="4xx")
        self._store = store
        self._access = AccessCheck(store)
        self._right = Limiter(RIGHT_EACH, RIGHT_TOGETHER)
        self._wrong = Limiter(WRONG_EACH, WRONG_TOGETHER)
        self._throttle = Throttle(
            TURNED_AWAY_PER_S if store.exclusive else TURNED_AWAY_SHARED_PER_S
        )
        self._intake = Intake(store, deployer, inspector, clock=clock)

    def router(self) -> Application:
        """Return the ASGI application, to be mounted at `/api/webhook`."""
        return self._route

    async def explain(self, ref: ImageRef) -> Explanation:
        """Say what a push of `ref` would come to, and why, without doing it."""
        return await self._intake.explain(ref)

    async def redeliver(self, delivery_id: str) -> bytes:
        """Take in again what an earlier delivery brought; the JSON of the new receipt.

        Raises NotFoundError, ConflictError where not all of its body was kept, InvalidValueError where it cannot be read.
        """
        old, hook = await self._store.read(lambda reader: _delivered(reader, delivery_id))
        if old.truncated or not old.body:
            raise ConflictError(
                "the body of that delivery was not kept whole; have its sender send it again"
            )
        body = old.body.encode()
        registry = registry_of(old.headers)
        kept = account(old.headers, body, old.hook_id, registry=registry)
        answer = await self._take(_Incoming(old.headers, body, hook, registry, kept), again=True)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise InvalidValueError(json.loads(answer.body)["detail"])
        return answer.body

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        secret = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        try:
            access = await self._access.find(secret) if scope["method"] == "POST" else None
        except StoreUnavailableError:  # whoever calls may be a stranger, to whom no more is told
            await _refuse_unavailable(send, "the database is out of reach; call again")
            return
        address = scope["client"][0] if scope.get("client") else ""
        if access is None:
            await self._turn_away(address, scope, receive, send)
        elif wait_s := self._right.take(address, time.monotonic()) or self._intake.wait_s(
            access.hook_id
        ):
            await _refuse_flood(send, wait_s)
        else:
            try:
                await self._answer(access, scope, receive, send)
            except HungUpError:
                return
            except (
                NotFoundError
            ):  # the project whose URL it is was deleted meanwhile, and the URL with it
                await not_found(scope, receive, send)
            except StoreUnavailableError as error:
                await _refuse_unavailable(send, str(error))

    async def _turn_away(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        if wait_s := self._throttle.wait(time.monotonic()):
            await asyncio.sleep(wait_s)
        if wait_s := self._wrong.take(address, time.monotonic()):
            await _refuse_flood(send, wait_s)
        else:
            await not_found(scope, receive, send)

    async def _answer(self, access: Access, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        registry = _registry_asked(scope)
        hook_id = access.hook_id
        signature = access.signature
        header = signature.header if signature else ""
        began = time.perf_counter()
        try:
            sent = await read_body(headers, receive)
            body = unpack(headers, sent)
        except (TooLargeError, UnknownCodingError, InvalidValueError) as error:
            if signature is None:
                kept = account(headers, b"", hook_id, registry=registry)
                answer = await self._refuse(_UNREADABLE, *_unreadable(error), kept, began)
            else:
                answer = None
        else:
            # A sender signs what it packs or what it has packed; neither lets anybody else change what is read here.
            if signature is None or is_signed(
                signature, headers, *{sent, body, payload_of(headers, body)}
            ):
                kept = account(headers, body, hook_id, header, registry=registry)
                answer = await self._take(_Incoming(headers, body, access.hook, registry, kept))
            else:
                answer = None
        if answer is None:
            await not_found(scope, receive, send)
        else:
            more = (
                ((b"accept-encoding", b"gzip"),)
                if answer.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
                else ()
            )
            await send_json(send, answer.status, answer.body, *more, media_type=answer.media_type)

    async def _take(self, incoming: _Incoming, *, again: bool = False) -> _Answer:
        """Decode, and hand on what is news. `again`: its sender does not wait for an answer of its own any more."""
        began = time.perf_counter()
        sender = _UNREADABLE
        kept = incoming.kept
        try:
            call = Call(
                incoming.headers,
                await _aside(incoming.body, decode_body, incoming.headers, incoming.body),
            )
            shape = recognise(call)
            sender = shape.NAME
            if (name := incoming.registry) is not None:
                host = await self._store.read(lambda reader: named_host(reader, name))
                call = replace(call, registry_host=host)
                shape = recognise(call)
            news = await self._placed(
                await _aside(incoming.body, shape.read, call), incoming.hook, sender
            )
        except InvalidValueError as error:
            needs_you = isinstance(error, UnclearHostError)
            return await self._refuse(
                sender, HTTPStatus.BAD_REQUEST, str(error), kept, began, needs_you=needs_you
            )
        self._count_accepted()
        if news.answer is not None and not news.images and not again:
            reason = news.reason or "it wanted an answer of its own"
            await self._intake.keep(sender, HTTPStatus.OK, reason, kept, began=began)
            return _Answer(HTTPStatus.OK, json.dumps(news.answer).encode())
        pushes = [Push(image, Source.WEBHOOK) for image in news.images]
        skipped = _listed(news.skipped)
        receipt = await self._intake.accept(
            pushes,
            sender,
            news.reason,
            kept,
            began=began,
            skipped=skipped,
            needs_you=news.needs_you,
        )
        return _Answer(ACCEPTED, receipt)

    async def _placed(self, news: News, hook: ProjectWebhook | None, sender: str) -> News:
        """Return the news with the hosts that a sender may leave out, and without what is not the hook's.

        Only this is looked up, and only where there is something to look up.
        """
        if not (news.hostless or hook or sender == gitea.NAME):
            return news
        return await self._store.read(lambda reader: placed(reader, news, hook, sender))

    async def _refuse(
        self,
        sender: str,
        status: HTTPStatus,
        detail: str,
        kept: Account,
        began: float,
        *,
        needs_you: bool = False,
    ) -> _Answer:
        await self._intake.keep(sender, status, detail, kept, began=began, needs_you=needs_you)
        self._count_refused()
        return _Answer(status, problem(status, detail), MEDIA_TYPE)


def _listed(skipped: Sequence[Skipped]) -> list[SkippedEvent]:
    """Return the first of what is skipped, and how many more there are."""
    listed = [SkippedEvent(one.image, one.reason) for one in skipped[:MOST_SKIPPED]]
    more = len(skipped) - len(listed)
    return [*listed, SkippedEvent(None, f"{more} more events are skipped")] if more else listed


def _registry_asked(scope: Scope) -> str | None:
    """The registry that the URL names, None where it names none."""
    query = scope.get("query_string", b"")
    return (
        dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)).get("registry")
        if query
        else None
    )


def _unreadable(error: Exception) -> tuple[HTTPStatus, str]:
    """The status and the sentence for a body that could not be read."""
    if isinstance(error, TooLargeError):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is over {MAX_BYTES} bytes"
    known = isinstance(error, InvalidValueError)
    return HTTPStatus.BAD_REQUEST if known else HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error)


async def _aside(body: bytes, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do `work` on a call's body: in another thread where it is large, for a megabyte of events takes a while to read."""
    if len(body) <= LARGE:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


async def _refuse_unavailable(send: Send, detail: str) -> None:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    await send_problem(send, status, problem(status, detail))


async def _refuse_flood(send: Send, wait_s: float) -> None:
    status = HTTPStatus.TOO_MANY_REQUESTS
    detail = f"too many calls; come back in {math.ceil(wait_s)} s"
    await send_problem(
        send, status, problem(status, detail), (b"retry-after", b"%d" % math.ceil(wait_s))
    )


def _delivered(reader: Reader, delivery_id: str) -> tuple[Delivery, ProjectWebhook | None]:
    """The delivery, and the hook it came by where that is still there."""
    delivery = reader.delivery(delivery_id)
    try:
        return delivery, reader.hook(delivery.hook_id) if delivery.hook_id else None
    except NotFoundError:
        raise ConflictError("the webhook by which it came is revoked") from None
