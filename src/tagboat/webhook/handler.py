"""The webhook's HTTP side: authenticate, decode, delegate."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import ParamSpec

from msgspec import Struct, field

from tagboat.core.counters import Counters
from tagboat.core.delivery import RecordedRequest
from tagboat.core.errors import (
    CallerChangedError,
    ConflictError,
    InvalidValueError,
    NotFoundError,
    StoreUnavailableError,
)
from tagboat.core.generics import T
from tagboat.core.image import ImageRef
from tagboat.core.ports import DeployTriggerer, ImageInspector, Store
from tagboat.core.principal import SERVER, Principal
from tagboat.core.project_webhook import ProjectWebhook
from tagboat.core.push import Push, Source
from tagboat.core.rate import Rate
from tagboat.core.values import replace
from tagboat.http.client_address import ClientAddress
from tagboat.http.problem import MEDIA_TYPE, Send, not_found, problem, send_json, send_problem
from tagboat.http.rate_limits import Limiter, Throttle
from tagboat.intake.audit import Redelivery
from tagboat.intake.explain import Explanation
from tagboat.intake.intake import ACCEPTED, Confirmation, Intake, is_certain
from tagboat.intake.receipt import SkippedEvent
from tagboat.webhook.access import Access, AccessCheck
from tagboat.webhook.body import (
    MAX_CALL_BYTES,
    BodyTooLargeError,
    HungUpError,
    Receive,
    UnknownCodingError,
    decode_body,
    payload_of,
)
from tagboat.webhook.formats import FORMATS, gitea, recognise
from tagboat.webhook.formats.call import Call
from tagboat.webhook.placement import UnclearHostError, host_of_registry, place_images
from tagboat.webhook.recorded_request import record_request, requested_registry
from tagboat.webhook.sent_call import Scope, SentCall, take_call
from tagboat.webhook.signature import is_signed

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_UNKNOWN_SENDER = "unknown"
_NO_DATABASE = "the database is not available; call again"
_BODY_TOO_LARGE = f"the body is over {MAX_CALL_BYTES} bytes"
_CALL_COUNTER = "tagboat_webhook_calls_total"
_COUNTED_STATUSES = (
    HTTPStatus.OK,
    HTTPStatus.ACCEPTED,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
_JSON = "application/json"

# Bytes. Decoding a larger body on the event loop would make other calls wait.
LARGE = 64 * 1024

P = ParamSpec("P")

# For calls with a correct secret: far above what any forge or CI sends. `intake.ledger` limits what
# they store and deploy.
RIGHT_EACH = Rate(per_s=20_000, burst=60_000)
RIGHT_TOGETHER = Rate(per_s=40_000, burst=120_000)
WRONG_EACH = Rate(per_s=10, burst=1_000)
WRONG_TOGETHER = Rate(per_s=100, burst=5_000)
# Looks at what a secret opens, for one call.
_MOST_LOOKS = 3
# SkippedImage events that are listed: the answer must not grow larger than the call.
MOST_SKIPPED = 100
# Answers to wrong secrets per second: a small part of the server's capacity. The second value is
# for a shared database, for which calls with a correct secret wait too.
TURNED_AWAY_PER_S, TURNED_AWAY_SHARED_PER_S = 4_000, 400


class _WebhookAnswer(Struct, frozen=True):
    status: int
    body: bytes
    media_type: str = _JSON


class _AuthenticCall(Struct, frozen=True):
    """A call with a correct secret: its body decompressed, and the registry that its URL names."""

    headers: Mapping[str, str]
    body: bytes
    hook: ProjectWebhook | None
    registry: str | None
    kept: RecordedRequest
    address: str = ""
    confirm: Confirmation = is_certain
    began: float = field(default_factory=time.perf_counter)


class WebhookHandler:
    """Accepts `POST /{secret}`; answers everything else like an address that does not exist.

    `addresses` finds the callers' IP addresses, by default those that connect.
    """

    def __init__(
        self,
        store: Store,
        deployer: DeployTriggerer,
        inspector: ImageInspector,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        counters: Counters | None = None,
        addresses: ClientAddress | None = None,
    ) -> None:
        counters = counters or Counters()
        # Of these only, whatever is sent: each label value is a series that stays.
        self._counted = {
            (sender, status): counters.counter(
                _CALL_COUNTER, sender=sender, status=str(status.value)
            )
            for sender in dict.fromkeys((*(form.NAME for form in FORMATS), _UNKNOWN_SENDER))
            for status in _COUNTED_STATUSES
        }
        self._store = store
        self._addresses = addresses or ClientAddress(())
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
        """Return what a push of `ref` would do, and why, without doing it."""
        return await self._intake.explain(ref)

    async def redeliver(self, delivery_id: str, actor: Principal = SERVER) -> bytes:
        """Process an earlier delivery again for `actor`; return the JSON of the new receipt.

        Raises NotFoundError, ConflictError if its body was not kept completely or its webhook is
        revoked, and InvalidValueError if it cannot be read.
        """
        old = await self._store.read(lambda reader: reader.delivery(delivery_id))
        hook_id = old.hook_id
        try:
            hook = await self._store.read(lambda reader: reader.hook(hook_id)) if hook_id else None
        except NotFoundError:
            raise ConflictError("the webhook that it was sent to is revoked") from None
        if old.truncated or not old.body:
            raise ConflictError(
                "the body of that delivery was not kept completely; have its sender send it again"
            )
        body = old.body.encode()
        registry = requested_registry(old.headers)
        kept = record_request(old.headers, body, hook_id, registry=registry)
        call = _AuthenticCall(old.headers, body, hook, registry, kept)
        answer = await self._accept(call, Redelivery(delivery_id, actor))
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise InvalidValueError(json.loads(answer.body)["detail"])
        return answer.body

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        secret = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        try:
            access = await self._access.find(secret) if scope["method"] == "POST" else None
        except StoreUnavailableError:
            # The caller may be a stranger, who gets no details.
            await _refuse_unavailable(send, _NO_DATABASE)
            return
        if access is None:
            if wait_s := self._throttle.wait(time.monotonic()):
                await asyncio.sleep(wait_s)
            if wait_s := self._wrong.take(self._addresses.find(scope), time.monotonic()):
                await _refuse_flood(send, wait_s)
            else:
                await not_found(scope, receive, send)
            return
        try:
            await self._serve(secret, access, scope, receive, send)
        except HungUpError:
            return
        except NotFoundError:
            # Or the project was deleted in between, and the URL with it.
            await not_found(scope, receive, send)
        except StoreUnavailableError as error:
            # Another server may have changed the secret since: then this is a stranger.
            await _refuse_unavailable(send, str(error) if self._store.exclusive else _NO_DATABASE)

    async def _serve(
        self, secret: str, access: Access, scope: Scope, receive: Receive, send: Send
    ) -> None:
        address = self._addresses.find(scope)
        wait_s = self._right.take(address, time.monotonic()) or self._intake.wait_s(access.hook_id)
        if not wait_s:
            sent = await take_call(scope, receive, address)
            await _send_answer(send, await self._answer(secret, access, sent))
        elif await self._access.find_anew(secret, access):
            await _refuse_flood(send, wait_s)
        else:
            await not_found(scope, receive, send)

    async def _answer(self, secret: str, access: Access | None, call: SentCall) -> _WebhookAnswer:
        """Authenticate and accept a call.

        What the secret opens is looked up again where it has turned out to be out of date, or may
        be: another server can have changed the signature. Raises NotFoundError where secret or
        signature is wrong, and StoreUnavailableError.
        """
        for _ in range(_MOST_LOOKS):
            if access is None:
                break
            confirm = self._access.confirmation(secret, access)
            try:
                answer = await self._authenticate(access, confirm, call)
            except CallerChangedError:
                access = await self._access.find_anew(secret, access)
                continue
            if answer is not None:
                return answer
            now = await self._access.find_anew(secret, access)
            access = now if now != access else None
        raise NotFoundError("the secret or the signature is wrong")

    async def _authenticate(
        self, access: Access, confirm: Confirmation, call: SentCall
    ) -> _WebhookAnswer | None:
        """Accept a call with a correct secret; return None if its signature is wrong."""
        headers, sent, body, signature = call.headers, call.sent, call.body, access.signature
        # Senders sign the body before or after compression; either covers what is read here.
        # A set, because usually all three are the same bytes. One over a body that cannot be read
        # cannot be verified.
        if signature is not None and (
            call.error is not None
            or not is_signed(signature, headers, *{sent, body, payload_of(headers, body)})
        ):
            return None
        header = signature.header if signature else ""
        kept = record_request(headers, body, access.hook_id, header, registry=call.registry)
        incoming = _AuthenticCall(
            headers, body, access.hook, call.registry, kept, call.address, confirm
        )
        if call.error is None:
            return await self._accept(incoming)
        if isinstance(call.error, BodyTooLargeError):
            status, detail = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _BODY_TOO_LARGE
        elif isinstance(call.error, UnknownCodingError):
            status, detail = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(call.error)
        else:
            status, detail = HTTPStatus.BAD_REQUEST, str(call.error)
        return await self._refuse(incoming, _UNKNOWN_SENDER, status, detail)

    async def _accept(
        self, incoming: _AuthenticCall, again: Redelivery | None = None
    ) -> _WebhookAnswer:
        """Decode the call and pass on its pushes.

        The sender of a redelivery no longer waits for the answer of a handshake.
        """
        sender, kept, began = _UNKNOWN_SENDER, incoming.kept, incoming.began
        try:
            body = await _in_thread_if_large(
                incoming.body, decode_body, incoming.headers, incoming.body
            )
            call = Call(incoming.headers, body)
            shape = recognise(call)
            sender = shape.NAME
            if (name := incoming.registry) is not None:
                host = await self._store.read(lambda reader: host_of_registry(reader, name))
                call = replace(call, registry_host=host)
                shape = recognise(call)
            found = await _in_thread_if_large(incoming.body, shape.read, call)
            hook = incoming.hook
            # Without this condition each call would cost another read.
            if found.unqualified or hook or sender == gitea.NAME:
                parsed = found
                found = await self._store.read(
                    lambda reader: place_images(reader, parsed, hook, sender)
                )
        except InvalidValueError as error:
            needs_you = isinstance(error, UnclearHostError)
            return await self._refuse(
                incoming, sender, HTTPStatus.BAD_REQUEST, str(error), needs_you=needs_you
            )
        is_handshake = found.answer is not None and not found.images and again is None
        if is_handshake:
            reason = found.reason or "it expects another answer"
            await self._intake.keep(
                sender, HTTPStatus.OK, reason, kept, began=began, confirm=incoming.confirm
            )
            self._counted[sender, HTTPStatus.OK]()
            return _WebhookAnswer(HTTPStatus.OK, json.dumps(found.answer).encode())
        skipped = [SkippedEvent(one.image, one.reason) for one in found.skipped[:MOST_SKIPPED]]
        if more := len(found.skipped) - len(skipped):
            skipped.append(SkippedEvent(None, f"{more} more events are skipped"))
        receipt = await self._intake.accept(
            [Push(image, Source.WEBHOOK) for image in found.images],
            sender,
            found.reason,
            kept,
            began=began,
            skipped=skipped,
            needs_you=found.needs_you,
            address=incoming.address,
            again=again,
            confirm=incoming.confirm,
        )
        self._counted[sender, HTTPStatus.ACCEPTED]()
        return _WebhookAnswer(ACCEPTED, receipt)

    async def _refuse(
        self,
        call: _AuthenticCall,
        sender: str,
        status: HTTPStatus,
        detail: str,
        *,
        needs_you: bool = False,
    ) -> _WebhookAnswer:
        await self._intake.keep(
            sender,
            status,
            detail,
            call.kept,
            began=call.began,
            needs_you=needs_you,
            confirm=call.confirm,
        )
        self._counted[sender, status]()
        return _WebhookAnswer(status, problem(status, detail), MEDIA_TYPE)


async def _send_answer(send: Send, answer: _WebhookAnswer) -> None:
    more: tuple[tuple[bytes, bytes], ...] = ()
    if answer.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        more = ((b"accept-encoding", b"gzip"),)
    await send_json(send, answer.status, answer.body, *more, media_type=answer.media_type)


async def _in_thread_if_large(
    body: bytes, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do `work` on a call's body, in another thread if the body is large."""
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
