"""Idempotency-Key: an order that is sent twice with one key is carried out once."""

from datetime import UTC, datetime
from http import HTTPStatus
from re import Pattern

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tagboat.core.errors import ConflictError, StoreUnavailableError
from tagboat.core.idempotency import RememberedAnswer
from tagboat.core.principal import Principal
from tagboat.core.store_port import HashingStore, Tx
from tagboat.core.values import replace
from tagboat.http.identification import PRINCIPAL
from tagboat.http.problem import ProblemKind, problem, send_json, send_problem

MAX_KEY = 200
_KEY_HEADER = b"idempotency-key"
_UNFINISHED = 0
"""Status of an answer that is not known: its order is being carried out, or the server died."""
_BUSY = (
    "a call with this Idempotency-Key is being carried out, or was cut off before its answer was "
    "known; see what came of it before you send the order again with a new key"
)
_WITHHELD = (
    "this call was carried out with status {status}, but its answer held a secret, which is shown "
    "once only"
)
_REUSED = (
    "this Idempotency-Key was used for a call with another body; use a new key for a new order"
)

log = structlog.get_logger("tagboat.api")


class IdempotentOrders:
    """Answers a POST whose `Idempotency-Key` is known with the answer that its caller had before.

    The key is stored before the order is carried out, so that a crash in between cannot make it
    happen twice. Answers that did nothing (4xx, 503) are forgotten: the same call may be repeated.
    Bodies of answers at `secret_paths` are not stored. At `streamed_paths` a key is refused: their
    answers come bit by bit, and cannot be given again.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: HashingStore,
        secret_paths: Pattern[str],
        streamed_paths: Pattern[str],
    ) -> None:
        self._app = app
        self._store = store
        self._secret_paths = secret_paths
        self._streamed_paths = streamed_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        key = next((value for name, value in scope["headers"] if name == _KEY_HEADER), None)
        if key is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        # Any bytes can be read as Latin-1; those that are not ASCII are refused next.
        text = key.decode("latin-1")
        detail = ""
        if not (0 < len(text) <= MAX_KEY and text.isascii() and text.isprintable()):
            detail = f"must be 1 to {MAX_KEY} printable ASCII characters"
        elif self._streamed_paths.search(scope["path"]):
            detail = "cannot be used here, as the answer is a stream; leave the header out"
        if detail:
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            await send_problem(
                send,
                status,
                problem(
                    status,
                    f"Idempotency-Key: {detail}",
                    [{"field": "Idempotency-Key", "message": detail}],
                ),
            )
            return
        try:
            await self._once(text, scope, receive, send)
        except HTTPException as error:  # the body was too large
            await send_problem(send, error.status_code, problem(error.status_code, error.detail))
        except StoreUnavailableError as error:
            status, kind = HTTPStatus.SERVICE_UNAVAILABLE, ProblemKind.DATABASE_UNAVAILABLE
            await send_problem(send, status, problem(status, str(error), kind=kind))

    async def _once(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            # Whole, for its fingerprint; the authentication has capped its length.
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        claim = RememberedAnswer(
            key=key,
            # Of this caller: who happens upon another's key neither sees nor blocks its order.
            route=f"POST {scope['path']} by {_name_of(scope[PRINCIPAL])}",
            # Under a key: the body may hold a password, which a plain hash would help to guess.
            fingerprint=self._store.keyed_hash("idempotency", scope["query_string"] + b"\0" + body),
            status=_UNFINISHED,
            body="",
            at=datetime.now(UTC),
        )

        def begin(tx: Tx) -> RememberedAnswer | None:
            before = tx.remembered_answer(claim.key, claim.route)
            if before is None:
                tx.remember_answer(claim)
            return before

        try:
            before = await self._store.write(begin)
        except ConflictError:  # another server has just stored the same key
            before = replace(claim)
        if before is not None:
            await self._repeat(claim, before, send)
            return
        await self._carry_out(claim, body, scope, receive, send)

    async def _repeat(self, call: RememberedAnswer, before: RememberedAnswer, send: Send) -> None:
        status = HTTPStatus.CONFLICT
        if before.fingerprint != call.fingerprint:
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            await send_problem(send, status, problem(status, _REUSED, kind=ProblemKind.KEY_REUSED))
        elif before.status == _UNFINISHED:
            await send_problem(send, status, problem(status, _BUSY))
        elif not before.body and before.status != HTTPStatus.NO_CONTENT:
            detail = _WITHHELD.format(status=before.status)
            await send_problem(send, status, problem(status, detail))
        else:
            replayed = (b"idempotency-replayed", b"true")
            await send_json(send, before.status, before.body.encode(), replayed)

    async def _carry_out(
        self, claim: RememberedAnswer, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        read = False

        async def again() -> Message:
            nonlocal read
            if read:
                return await receive()
            # Once; after that the application waits for the client's end, as on any call.
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await self._app(scope, again, keep)
        status = int(sent[0]["status"])
        answer = b"".join(message.get("body", b"") for message in sent[1:])
        shown = "" if self._secret_paths.search(scope["path"]) else answer.decode()
        finished = replace(claim, status=status, body=shown)

        def finish(tx: Tx) -> None:
            # An answer of 500 stays unfinished: nobody knows what it did.
            if status != HTTPStatus.INTERNAL_SERVER_ERROR:
                tx.forget_answer(claim.key, claim.route)
            if status < HTTPStatus.BAD_REQUEST:
                tx.remember_answer(finished)

        try:
            await self._store.write(finish)
        except StoreUnavailableError as error:
            # The order is carried out; its answer counts more than that it could be repeated.
            log.warning("answer not remembered", action="answer", reason=str(error))
        for message in sent:
            await send(message)


def _name_of(caller: Principal) -> str:
    """Return the caller by what stays the same while its name and address change."""
    return f"{caller.kind} {caller.id or caller.name}"
