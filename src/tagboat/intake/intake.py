"""The intake: every source's pushes become deploys here, in one transaction."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
import structlog

from tagboat.core.config import read_auto_create
from tagboat.core.decision import refuses
from tagboat.core.delivery import NOTHING_KEPT, Account, Delivery
from tagboat.core.errors import TagboatError
from tagboat.core.ids import new_id
from tagboat.core.image import ImageInfo, ImageName, ImageRef
from tagboat.core.ports import DeployTriggerer, ImageInspector, Reader, Store, Tx
from tagboat.core.push import Push
from tagboat.intake.admit import Admission, as_stored, kind_at
from tagboat.intake.receipt import Receipt, SkippedEvent, encode

INSPECTION_LIMIT_S = 4.0
"""Seconds an unknown image's inspection may take before its project is made without: senders wait for the answer."""

ACCEPTED = 202


log = structlog.get_logger("tagboat.intake")


@dataclass(frozen=True, slots=True)
class _Unknown:
    """Images that may become projects and were not inspected yet. Nothing was written."""

    images: tuple[ImageRef, ...]


class Intake:
    """Takes deliveries in: decided, recorded and queued when `accept` returns, and on disk."""

    def __init__(
        self,
        store: Store,
        deployer: DeployTriggerer,
        inspector: ImageInspector,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._deployer = deployer
        self._inspector = inspector
        self._clock = clock
        self._inspections: dict[ImageName, asyncio.Task[ImageInfo | None]] = {}

    async def accept(
        self,
        pushes: Sequence[Push],
        sender: str,
        reason: str | None = None,
        account: Account = NOTHING_KEPT,
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
        pushes = distinct(pushes)
        told = Receipt("", (), reason, tuple(skipped), needs_you)
        inspected: dict[ImageName, ImageInfo | None] = {}
        while True:  # as a rule once or twice; again where a project went, or auto_create_images grew, in between
            answer = await self._store.write(lambda tx: self._admit(tx, pushes, sender, told, inspected, account, began))
            if isinstance(answer, bytes):
                return answer
            inspected.update(await self._inspect(answer.images))

    async def keep(
        self, sender: str, status: int, reason: str, account: Account, *, began: float, needs_you: bool = False
    ) -> None:
        """Keep a delivery that has no receipt: it could not be read, or wanted another answer; `reason` says which.

        `began` and `needs_you` are as for `accept`.
        """
        result = encode({"reason": reason} | ({"needs_you": True} if needs_you else {})).decode()
        delivery = _delivery(new_id(), sender, status, result, self._clock(), account, began)
        await self._store.write(lambda tx: tx.add_delivery(delivery))

    def _admit(
        self,
        tx: Tx,
        pushes: Sequence[Push],
        sender: str,
        told: Receipt,
        inspected: Mapping[ImageName, ImageInfo | None],
        account: Account,
        began: float,
    ) -> bytes | _Unknown:
        if unknown := _unknown(tx, pushes, inspected):
            return _Unknown(unknown)
        admission = Admission(tx, self._deployer, inspected, self._clock())
        results = tuple([admission.admit(push) for push in _distinct_as_stored(tx, pushes)])
        delivery = new_id()
        body = encode(msgspec.structs.replace(told, delivery=delivery, pushes=results))
        tx.add_delivery(_delivery(delivery, sender, ACCEPTED, body.decode(), admission.now, account, began))
        return body

    async def _inspect(self, images: Sequence[ImageRef]) -> dict[ImageName, ImageInfo | None]:
        infos = await asyncio.gather(*(self._inspect_once(image) for image in images))
        return {image.name: info for image, info in zip(images, infos, strict=True)}

    async def _inspect_once(self, image: ImageRef) -> ImageInfo | None:
        """Inspect, sharing the answer among all who ask at the same time."""
        task = self._inspections.get(image.name)
        if task is None:
            task = asyncio.create_task(self._inspect_now(image))
            self._inspections[image.name] = task
            task.add_done_callback(lambda _: self._inspections.pop(image.name, None))
        return await asyncio.shield(task)

    async def _inspect_now(self, image: ImageRef) -> ImageInfo | None:
        try:
            async with asyncio.timeout(INSPECTION_LIMIT_S):
                return await self._inspector.inspect_image(image)
        except (TagboatError, TimeoutError) as error:
            log.warning("image not inspected", action="inspect", image=str(image), reason=str(error) or "it took too long")
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
    digests = {push.image.digest for push in same} - {None}
    digest = digests.pop() if len(digests) == 1 else None
    return replace(same[0], image=replace(same[0].image, digest=digest))


def _distinct_as_stored(reader: Reader, pushes: Sequence[Push]) -> Sequence[Push]:
    """`pushes` with those made one that the registry will take for one tag: Gitea does not tell V1 from v1."""
    if len(pushes) < 2:  # noqa: PLR2004 - one cannot be there twice
        return pushes
    return distinct([as_stored(push, kind_at(reader, push.image.name)) for push in pushes])


def _unknown(reader: Reader, pushes: Sequence[Push], inspected: Mapping[ImageName, object]) -> tuple[ImageRef, ...]:
    """The images (each once) that no project has, that may become one, and that were not inspected."""
    found: dict[ImageName, ImageRef] = {}
    for push in pushes:
        name = push.image.name
        if reader.project_by_image(name) is None and name not in inspected:
            found.setdefault(name, push.image)
    if not found:
        return ()
    policy = read_auto_create(reader)
    return tuple(image for name, image in found.items() if refuses(policy, name) is None)


def _delivery(
    delivery_id: str, sender: str, status: int, result: str, now: datetime, account: Account, began: float
) -> Delivery:
    return Delivery(
        id=delivery_id,
        sender=sender,
        status=status,
        result=result,
        received_at=now,
        headers=account.headers,
        body=account.body,
        truncated=account.truncated,
        took_ms=(time.perf_counter() - began) * 1000,
        hook_id=account.hook_id,
    )
