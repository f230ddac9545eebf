"""The intake: pushes of every source become deploys here, in one transaction."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus

import msgspec

from tagboat.core.auto_create import MOST_PUSHES, TOO_MANY_PUSHES
from tagboat.core.delivery import MAX_REFUSED_BODY, NOTHING_KEPT, Delivery, RecordedRequest
from tagboat.core.errors import CallerChangedError
from tagboat.core.heard import calls_heard
from tagboat.core.ids import new_id
from tagboat.core.image import ImageRef
from tagboat.core.ports import DeployTriggerer, ImageInspector, Reader, Store, Topic, Tx
from tagboat.core.principal import Principal
from tagboat.core.push import Outcome, Push, Source
from tagboat.core.values import replace
from tagboat.intake.admit import refused_push
from tagboat.intake.audit import Redelivery, call_entries, calling_sender
from tagboat.intake.distinct import distinct, distinct_as_stored
from tagboat.intake.explain import Explanation, explain_image
from tagboat.intake.inspections import Inspected, InspectionResult, Inspections
from tagboat.intake.ledger import Ledger
from tagboat.intake.receipt import Receipt, SkippedEvent, encode, shortened
from tagboat.intake.screening import admission, screen, uninspected_images
from tagboat.intake.tag_checks import TagChecks

# Pushes of a call whose outcomes are kept with its delivery; the second value holds when the URL
# has received very much.
_KEPT_OUTCOMES, _KEPT_OUTCOMES_SHORT = 200, 3

ACCEPTED = 202


class _Unknown(msgspec.Struct, frozen=True):
    """Images to inspect before anything is written: they may become projects."""

    images: tuple[ImageRef, ...]


class _Call(msgspec.Struct, frozen=True):
    """A call to process: the draft of its receipt, and how many of its outcomes are kept."""

    pushes: tuple[Push, ...]
    sender: str
    draft: Receipt
    request: RecordedRequest
    began: float
    shown: int
    caller: Principal
    again: Redelivery | None


class _Committed(msgspec.Struct, frozen=True):
    """The answer, once written; the characters of it that are kept, and the deploys it queued."""

    body: bytes
    kept: int
    queued: int


Confirmation = Callable[[Reader], bool]
"""Whether the caller may still call, asked in the transaction that its call ends in."""


def is_certain(_reader: Reader) -> bool:
    """Confirm a caller that nobody needs to ask about."""
    return True


class Intake:
    """Accepts deliveries: when `accept` returns, they are decided, queued and on disk."""

    def __init__(
        self,
        store: Store,
        deployer: DeployTriggerer,
        inspector: ImageInspector,
        *,
        clock: Callable[[], datetime],
        ledger: Ledger | None = None,
    ) -> None:
        self._store = store
        self._deployer = deployer
        self._clock = clock
        self._ledger = ledger or Ledger()
        self._inspections = Inspections(inspector)
        self._tag_checks = TagChecks(store, inspector)
        # Its own: whoever only asks must not use up what pushes may ask.
        self._explain_checks = TagChecks(store, inspector)

    async def accept(
        self,
        pushes: Sequence[Push],
        sender: str,
        reason: str | None = None,
        request: RecordedRequest = NOTHING_KEPT,
        *,
        began: float | None = None,
        skipped: Sequence[SkippedEvent] = (),
        needs_you: bool = False,
        address: str = "",
        again: Redelivery | None = None,
        confirm: Confirmation = is_certain,
    ) -> bytes:
        """Process the pushes of one delivery; return the JSON of its `Receipt` once committed.

        `reason`, `skipped` and `needs_you` are put into the receipt. `began` is the start of the
        call by `time.perf_counter`, by default now; `address` the IP address that it came from;
        `again` is None unless somebody has ordered it again. Raises CallerChangedError where
        `confirm` says no, and StoreUnavailableError if nothing could be written.
        """
        began = time.perf_counter() if began is None else began
        pushes, hook = distinct(pushes), request.hook_id
        # A URL that has stored very much keeps no bodies and few outcomes.
        shown = _KEPT_OUTCOMES
        if not self._ledger.keeps_whole(hook):
            request, shown = request.cut(0), _KEPT_OUTCOMES_SHORT
        draft = Receipt("", (), reason, tuple(skipped), needs_you)
        caller = calling_sender(sender, hook, address)
        call = _Call(pushes, sender, draft, request, began, shown, caller, again)
        inspected: dict[ImageRef, InspectionResult] = {}
        inspected.update(await self._tag_checks.check(pushes[:MOST_PUSHES]))
        afresh = False
        # Usually once or twice; again if a project was deleted, or a setting changed, in between.
        while True:
            answer = await self._store.write(
                lambda tx: self._admit(tx, call, inspected) if confirm(tx) else None
            )
            if answer is None:
                raise CallerChangedError
            if isinstance(answer, _Committed):
                # After the commit: a call that was not written takes no space.
                self._ledger.kept(hook, request.size + answer.kept)
                self._ledger.queued(hook, answer.queued)
                return answer.body
            inspected.update(await self._inspections.inspect(answer.images, again=afresh))
            afresh = True

    async def keep(
        self,
        sender: str,
        status: int,
        reason: str,
        request: RecordedRequest,
        *,
        began: float,
        needs_you: bool = False,
        confirm: Confirmation = is_certain,
    ) -> None:
        """Keep a delivery without a receipt: it was refused, or its sender needs another answer.

        `reason` says why; the rest, and what is raised, are as for `accept`.
        """
        hook = request.hook_id
        if status >= HTTPStatus.BAD_REQUEST:
            # Anybody who knows the URL can send calls that are refused.
            if not self._ledger.keeps_refused(hook):
                if confirm is not is_certain and not await self._store.read(confirm):
                    raise CallerChangedError
                return
            request = request.cut(MAX_REFUSED_BODY)
        if not self._ledger.keeps_whole(hook):
            request = request.cut(0)
        receipt = Receipt(new_id(), (), reason=reason, needs_you=needs_you)
        delivery = _delivery(receipt, sender, status, self._clock(), request, began)

        def add(tx: Tx) -> bool:
            confirmed = confirm(tx)
            if confirmed:
                _add_delivery(tx, delivery)
            return confirmed

        if not await self._store.write(add):
            raise CallerChangedError
        self._ledger.kept(hook, request.size + len(reason))

    async def explain(self, ref: ImageRef) -> Explanation:
        """Return what a push of `ref` would do now; inspects an image without a project."""
        explanation = await self._store.read(lambda reader: explain_image(reader, ref))
        if explanation.outcome is Outcome.REFUSED:
            return explanation
        # By tag, as for pushes: the digest that a call names is only a hint.
        if explanation.project is None:
            (found,) = (await self._inspections.inspect([replace(ref, digest=None)])).values()
        else:
            checked = await self._explain_checks.check([Push(ref, Source.WEBHOOK)])
            found = next(iter(checked.values()), None)
        return await self._store.read(lambda reader: explain_image(reader, ref, found))

    def wait_s(self, hook_id: str | None) -> float:
        """Return the seconds until calls of a URL (None: the global one) are accepted."""
        return self._ledger.wait_s(hook_id)

    def _admit(self, tx: Tx, call: _Call, inspected: Inspected) -> _Committed | _Unknown:
        taken, over = call.pushes[:MOST_PUSHES], call.pushes[MOST_PUSHES:]
        screened = screen(tx, taken, inspected)
        stored = distinct_as_stored(tx, taken, screened)
        if screened and (unknown := uninspected_images(stored, screened, inspected)):
            return _Unknown(unknown)
        now = self._clock()
        admitting = admission(tx, self._deployer, now, screened, inspected)
        results = [admitting.admit(push) for push in stored]
        results += [refused_push(push, TOO_MANY_PUSHES) for push in over]
        receipt = msgspec.structs.replace(call.draft, delivery=new_id(), pushes=tuple(results))
        short = shortened(receipt, call.shown)
        kept = encode(short)
        accepted = _delivery(short, call.sender, ACCEPTED, now, call.request, call.began)
        _add_delivery(tx, accepted)
        for entry in call_entries(results, call.caller, call.again, now):
            tx.record_audit(entry)
        queued = sum(result.outcome is Outcome.QUEUED for result in results)
        return _Committed(kept if short is receipt else encode(receipt), len(kept), queued)


def _add_delivery(tx: Tx, delivery: Delivery) -> None:
    tx.add_delivery(delivery)
    for call in calls_heard(delivery):
        tx.note_call(call)
    tx.announce(Topic.DELIVERIES)


def _delivery(
    receipt: Receipt,
    sender: str,
    status: int,
    now: datetime,
    request: RecordedRequest,
    began: float,
) -> Delivery:
    return Delivery(
        id=receipt.delivery,
        sender=sender,
        status=status,
        receipt=receipt,
        received_at=now,
        headers=request.headers,
        body=request.body,
        truncated=request.truncated,
        took_ms=(time.perf_counter() - began) * 1000,
        hook_id=request.hook_id,
    )
