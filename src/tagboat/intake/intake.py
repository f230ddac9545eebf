"""The intake: every source's pushes become deploys here, in one transaction."""

import asyncio
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus

import msgspec
import structlog

from tagboat.core.auto_create import (
    MOST_NEW_PROJECTS,
    MOST_PUSHES,
    TOO_MANY_PUSHES,
    Screened,
    newcomers,
)
from tagboat.core.catalog import RegistryKind
from tagboat.core.config import read_auto_create
from tagboat.core.delivery import MAX_REFUSED_BODY, NOTHING_KEPT, Delivery, RecordedRequest
from tagboat.core.errors import NotAnImageError, TagboatError
from tagboat.core.ids import new_id
from tagboat.core.image import ImageInfo, ImageName, ImageRef
from tagboat.core.ports import DeployTriggerer, ImageInspector, Reader, Store, Topic, Tx
from tagboat.core.push import Outcome, Push
from tagboat.intake.admit import Admission, as_stored, kind_at, refusal
from tagboat.intake.explain import Explanation, explain
from tagboat.intake.ledger import Ledger
from tagboat.intake.receipt import Receipt, SkippedEvent, encode, shortened

INSPECTION_LIMIT_S = 4.0
"""Seconds an unknown image's inspection may take before its project is made without: senders wait for the answer."""

MANY_LIMIT_S = 1.5
"""The same where a call names more than a few."""
_FEW = 3

INSPECTIONS = MOST_NEW_PROJECTS
"""Images that are inspected at a time, of all calls."""

_SHOWN, _SHOWN_SHORT = 200, 3
"""Pushes of a call whose outcomes are kept with its delivery; the second where its URL has brought very much."""

ACCEPTED = 202


log = structlog.get_logger("tagboat.intake")

_Found = ImageInfo | NotAnImageError | None
"""What an inspection came to; None where nobody could tell."""
_Inspected = Mapping[ImageRef, _Found]


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Images that may become projects and were not inspected yet. Nothing was written."""

    images: tuple[ImageRef, ...]


@dataclass(frozen=True, slots=True)
class _Call:
    """What is taken in, what its receipt says already, and what is kept of it: `shown` is how many of its pushes."""

    pushes: tuple[Push, ...]
    sender: str
    told: Receipt
    account: RecordedRequest
    began: float
    shown: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """The answer, once it is on disk; how many characters of it are kept, and how many deploys it queued."""

    body: bytes
    kept: int
    queued: int


class Intake:
    """Takes deliveries in: decided, recorded and queued when `accept` returns, and on disk."""

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
        self._inspector = inspector
        self._clock = clock
        self._ledger = ledger or Ledger()
        self._inspections: dict[ImageName, tuple[ImageRef, asyncio.Task[_Found]]] = {}
        self._places = asyncio.Semaphore(INSPECTIONS)

    async def accept(
        self,
        pushes: Sequence[Push],
        sender: str,
        reason: str | None = None,
        account: RecordedRequest = NOTHING_KEPT,
        *,
        began: float | None = None,
        skipped: Sequence[SkippedEvent] = (),
        needs_you: bool = False,
    ) -> bytes:
        """Carry the pushes of one delivery through and return the JSON of its `Receipt`, once committed.

        `reason`, `skipped` and `needs_you` are told in it as they are.
        `began` is when its call began to be looked at, by `time.perf_counter`; now unless given. Raises StoreUnavailableError
        when nothing could be written.
        """
        began = time.perf_counter() if began is None else began
        pushes, hook = distinct(pushes), account.hook_id
        shown = _SHOWN
        if not self._ledger.keeps_whole(hook):
            account, shown = account.cut(0), _SHOWN_SHORT
        told = Receipt("", (), reason, tuple(skipped), needs_you)
        call = _Call(pushes, sender, told, account, began, shown)
        inspected: dict[ImageRef, _Found] = {}
        while True:  # as a rule once or twice; again where a project went, or auto_create_images grew, in between
            answer = await self._store.write(lambda tx: self._admit(tx, call, inspected))
            if isinstance(answer, _Taken):
                self._ledger.kept(hook, account.size + answer.kept)
                self._ledger.queued(hook, answer.queued)
                return answer.body
            inspected.update(
                await self._inspect(answer.images, MANY_LIMIT_S if inspected else None)
            )

    async def keep(
        self,
        sender: str,
        status: int,
        reason: str,
        account: RecordedRequest,
        *,
        began: float,
        needs_you: bool = False,
    ) -> None:
        """Keep a delivery that has no receipt: it could not be read, or wanted another answer; `reason` says which.

        `began` and `needs_you` are as for `accept`.
        """
        hook = account.hook_id
        if status >= HTTPStatus.BAD_REQUEST:
            if not self._ledger.keeps_refused(hook):
                return
            account = account.cut(MAX_REFUSED_BODY)
        if not self._ledger.keeps_whole(hook):
            account = account.cut(0)
        self._ledger.kept(hook, account.size + len(reason))
        receipt = Receipt(new_id(), (), reason=reason, needs_you=needs_you)
        delivery = _delivery(receipt, sender, status, self._clock(), account, began)
        await self._store.write(lambda tx: _keep(tx, delivery))

    async def explain(self, ref: ImageRef) -> Explanation:
        """Say what a push of `ref` would come to at this moment; what would become a project is inspected for that."""
        told = await self._store.read(lambda reader: explain(reader, ref))
        if told.project is not None or told.outcome is Outcome.REFUSED:
            return told
        (found,) = (await self._inspect([replace(ref, digest=None)], None)).values()
        return await self._store.read(lambda reader: explain(reader, ref, found))

    def wait_s(self, hook_id: str | None) -> float:
        """Seconds until calls of that URL (None: the global one) may have more deployed; 0 for now."""
        return self._ledger.wait_s(hook_id)

    def _admit(self, tx: Tx, call: _Call, inspected: _Inspected) -> _Taken | _Unknown:
        taken, over = call.pushes[:MOST_PUSHES], call.pushes[MOST_PUSHES:]
        screened = _screen(tx, taken, inspected)
        if screened and (unknown := _uninspected(taken, screened, inspected)):
            return _Unknown(unknown)
        admission = self._admission(tx, screened, inspected)
        results = [admission.admit(push) for push in _distinct_as_stored(tx, taken, screened)]
        results += [refusal(push, TOO_MANY_PUSHES) for push in over]
        receipt = msgspec.structs.replace(call.told, delivery=new_id(), pushes=tuple(results))
        short = shortened(receipt, call.shown)
        kept = encode(short)
        accepted = _delivery(short, call.sender, ACCEPTED, admission.now, call.account, call.began)
        _keep(tx, accepted)
        queued = sum(result.outcome is Outcome.QUEUED for result in results)
        return _Taken(kept if short is receipt else encode(receipt), len(kept), queued)

    def _admission(self, tx: Tx, screened: Screened, inspected: _Inspected) -> Admission:
        if not screened and not inspected:
            return Admission(tx, self._deployer, self._clock())
        settled = _settled(inspected)
        no_images = {
            image: str(found)
            for image, found in inspected.items()
            if isinstance(found, NotAnImageError)
        }
        refused = {image.name: why for image, why in no_images.items() if image.name not in settled}
        refused |= {name: why for name, why in screened.items() if why is not None}
        infos = {
            image.name: found for image, found in inspected.items() if isinstance(found, ImageInfo)
        }
        return Admission(tx, self._deployer, self._clock(), refused, no_images, infos)

    async def _inspect(
        self, images: Sequence[ImageRef], limit_s: float | None
    ) -> dict[ImageRef, _Found]:
        limit_s = limit_s or (INSPECTION_LIMIT_S if len(images) <= _FEW else MANY_LIMIT_S)
        infos = await asyncio.gather(*(self._inspect_once(image, limit_s) for image in images))
        return dict(zip(images, infos, strict=True))

    async def _inspect_once(self, image: ImageRef, limit_s: float) -> _Found:
        """Inspect, sharing the answer among all who ask of the name at the same time, unless it is that there is no image."""
        if image.name not in self._inspections:
            task = asyncio.create_task(self._inspect_now(image, limit_s))
            self._inspections[image.name] = image, task
            task.add_done_callback(lambda _: self._inspections.pop(image.name, None))
        looked_at, task = self._inspections[image.name]
        found = await asyncio.shield(task)
        if isinstance(found, NotAnImageError) and looked_at != image:
            return await self._inspect_now(image, limit_s)
        return found

    async def _inspect_now(self, image: ImageRef, limit_s: float) -> _Found:
        try:
            async with asyncio.timeout(limit_s), self._places:
                return await self._inspector.inspect_image(image)
        except NotAnImageError as error:
            return error
        except (TagboatError, TimeoutError) as error:
            log.warning(
                "image not inspected",
                action="inspect",
                image=str(image),
                reason=str(error) or "it took too long",
            )
            return None


def distinct(pushes: Sequence[Push]) -> tuple[Push, ...]:
    """One push for each image and tag, in their order, with the digest that they name.

    Where they name two, nobody can tell which is the newer: it names none, and the tag will be looked up.
    """
    if len(pushes) == 1:
        return tuple(pushes)
    alike: dict[tuple[ImageName, str], list[Push]] = {}
    for push in pushes:
        alike.setdefault((push.image.name, push.image.tag), []).append(push)
    return tuple(_as_one(same) for same in alike.values())


def _as_one(same: Sequence[Push]) -> Push:
    if len(same) == 1:
        return same[0]
    digests = {push.image.digest for push in same} - {None}
    digest = digests.pop() if len(digests) == 1 else None
    return replace(same[0], image=replace(same[0].image, digest=digest))


def _distinct_as_stored(
    reader: Reader, pushes: Sequence[Push], unknown: Container[ImageName]
) -> Sequence[Push]:
    """`pushes` with those made one that the registry will take for one tag: Gitea does not tell V1 from v1."""
    if len(pushes) == 1:
        return [as_stored(pushes[0], kind_at(reader, pushes[0].image.name))]
    kinds: dict[tuple[str, ImageName | None], RegistryKind | None] = {}
    stored: list[Push] = []
    for push in pushes:
        name = push.image.name
        key = name.host, None if name in unknown else name
        if key not in kinds:
            kinds[key] = kind_at(reader, name)
        stored.append(as_stored(push, kinds[key]))
    return distinct(stored)


def _screen(reader: Reader, pushes: Sequence[Push], inspected: _Inspected) -> Screened:
    """What becomes of the images that no project has, each once, in their order."""
    if len(pushes) == 1 and reader.project_by_image(pushes[0].image.name) is not None:
        return {}  # as nearly always
    names = dict.fromkeys(push.image.name for push in pushes)
    known = reader.projects_by_image(names)
    unknown = [name for name in names if name not in known]
    if not unknown:
        return {}
    at_hand = {image.name for image in inspected}
    return newcomers(read_auto_create(reader), unknown, at_hand, reader.count_projects())


def _settled(inspected: _Inspected) -> frozenset[ImageName]:
    """The names under which there is an image, or may be one: nobody could tell."""
    return frozenset(
        image.name for image, found in inspected.items() if not isinstance(found, NotAnImageError)
    )


def _uninspected(
    pushes: Sequence[Push], screened: Screened, inspected: _Inspected
) -> tuple[ImageRef, ...]:
    """One image of each name that may become a project; of a name under which was found what is no image, all others.

    `INSPECTIONS` a call in all. They are looked at by tag: what digest a call names is a hint.
    """
    settled, looked_at = _settled(inspected), {image.name for image in inspected}
    found: dict[ImageRef, None] = {}
    names: set[ImageName] = set()
    for push in pushes:
        image = replace(push.image, digest=None)
        wanted = (
            screened.get(image.name, "known") is None
            and image.name not in settled
            and image not in inspected
        )
        if wanted and (image.name in looked_at or image.name not in names):
            names.add(image.name)
            found[image] = None
    return tuple(found)[: INSPECTIONS - len(inspected)]


def _keep(tx: Tx, delivery: Delivery) -> None:
    tx.add_delivery(delivery)
    tx.announce(Topic.DELIVERIES)


def _delivery(
    receipt: Receipt,
    sender: str,
    status: int,
    now: datetime,
    account: RecordedRequest,
    began: float,
) -> Delivery:
    return Delivery(
        id=receipt.delivery,
        sender=sender,
        status=status,
        receipt=receipt,
        received_at=now,
        headers=account.headers,
        body=account.body,
        truncated=account.truncated,
        took_ms=(time.perf_counter() - began) * 1000,
        hook_id=account.hook_id,
    )
