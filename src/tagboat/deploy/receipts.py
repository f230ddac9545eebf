"""Counting the requests during a deploy: looks at the ingress, kept in the deploy's ledger.

A deploy never fails, nor waits, because its requests cannot be counted: the receipt says so.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

import structlog

from tagboat.core.deploy import Deploy, Instance, InstanceState
from tagboat.core.endpoint import Endpoint, only_loopback
from tagboat.core.errors import IngressUnavailableError, NotFoundError
from tagboat.core.ports import Reader, Store, Tx
from tagboat.core.receipt import (
    MOVED,
    NOT_ASKED,
    NOT_ASKED_LAST,
    OTHER_SERVERS,
    ReceiptLedger,
    count,
)
from tagboat.core.route import Target
from tagboat.core.values import replace
from tagboat.deploy.context import DeployContext
from tagboat.deploy.traffic import Traffic

TELL_EVERY_S = 1.0
"""Seconds between two reports of progress at least."""
_LOOK_REST = 20
"""How many times as long as a look took the next one waits: many deploys may watch at once."""
_LOOK_LIMIT_S = 1.0
"""Seconds for a look: the watch, which looks at the app's health as well, must not wait longer."""
_SETTLES_S = 0.5
_SETTLE_PAUSE_S = 0.02

log = structlog.get_logger("tagboat.deploy")


class RequestCount:
    """Counts the requests of the deploy `deploy_id`. Without an ingress all calls do nothing.

    `begin` comes before anything is changed, `add_new` before requests are routed to the new
    instance. What was counted is on record after the next `save`.
    """

    def __init__(
        self, store: Store, traffic: Traffic, clock: Callable[[], datetime], deploy_id: str
    ) -> None:
        self._store = store
        self._traffic = traffic
        self._clock = clock
        self._deploy_id = deploy_id
        self._ledger: ReceiptLedger | None = None
        self._read = False
        self._tell_at = 0.0

    async def begin(self, context: DeployContext) -> None:
        """Count from now on what the stage's instances answer; go on with what is on record."""
        if not self._traffic.active or await self._known() is not None:
            return
        # Where nothing was live, requests without an instance are not this deploy's failure.
        was_live = context.others_that(InstanceState.LIVE)
        hosts = await self._traffic.hosts(context.stage.id) if was_live else ()
        ledger = ReceiptLedger(since=self._clock(), hosts=hosts)
        if not self._store.exclusive:
            ledger = ledger.without(OTHER_SERVERS)
        self._ledger = ledger.tracking(_endpoints(one for one in context.others if one.endpoints))
        await self._look(NOT_ASKED)
        # It counts from the look on, not from before it.
        self._ledger = replace(self._ledger, since=self._clock())

    async def add_new(self, context: DeployContext) -> None:
        """Count from now on what the new instance answers."""
        if await self._known() is not None and self._ledger and context.own is not None:
            # Some runtimes know its endpoints only later.
            if context.own.endpoints or context.config.port:
                self._ledger = self._ledger.tracking(_endpoints([context.own]))
            await self._look(NOT_ASKED)

    async def look(self) -> None:
        """Count what came since the last look."""
        if await self._known() is not None:
            await self._look("")

    async def progress(self) -> str | None:
        """Count and return words for what the new instance has answered, empty where unknown.

        None if the last report was only a moment ago.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        if began < self._tell_at:
            return None
        await self.look()
        self._tell_at = began + max(TELL_EVERY_S, _LOOK_REST * (clock() - began))
        return self.words()

    @property
    def summary(self) -> str:
        """Words for what the new instance has answered, empty if it got no request."""
        # Most deploys of a small site see none: then there is nothing to say.
        words = self.words()
        return "" if words.startswith("0 ") else words

    def words(self) -> str:
        """Return words for what the new instance has answered so far, empty where unknown."""
        receipt = self._ledger.receipt if self._ledger is not None else None
        if receipt is None:
            return ""
        requests = receipt.new.requests
        return f"{requests} request{'s' if requests != 1 else ''}, {receipt.new.failed} failed"

    def save(self, tx: Tx) -> None:
        """Put on record what was counted, as part of a transaction."""
        if self._ledger is None:
            return
        # Compared with the record itself: a transaction that is rolled back is carried out again.
        if tx.receipt_ledgers([self._deploy_id]).get(self._deploy_id) != self._ledger:
            tx.put_receipt_ledger(self._deploy_id, self._ledger)

    def route_away(self, reader: Reader, deploy: Deploy, *, dark: bool = False) -> None:
        """Note which instances requests no longer go to, by what is on record.

        `dark` is True if none takes them instead.
        """
        if self._ledger is None:
            return
        active = [InstanceState.LIVE, InstanceState.DRAINING]
        found = reader.instances(stage_id=deploy.stage_id, states=active)
        new = next((one.id for one in found if one.deploy_id == deploy.id), "")
        old = [one.id for one in found if one.state is InstanceState.DRAINING]
        self._ledger = self._ledger.routed_away(old, new, self._clock())
        if dark and old:
            self._ledger = self._ledger.dark(self._clock())

    async def dark(self) -> None:
        """Note that no instance of the stage takes requests."""
        if await self._known() is not None and self._ledger is not None:
            self._ledger = self._ledger.dark(self._clock())

    async def lit(self) -> None:
        """Note that an instance of the stage takes requests, if none did before."""
        if await self._known() is not None and self._ledger is not None:
            self._ledger = self._ledger.lit(self._clock())

    async def back(self) -> None:
        """Note that requests go to the old instances again."""
        if await self._known() is not None and self._ledger is not None:
            self._ledger = self._ledger.routed_back(self._clock())

    async def end(self) -> None:
        """Count for the last time: what was removed since the last look has ended its requests."""
        if await self._known() is None or self._ledger is None:
            return
        await self._look(NOT_ASKED_LAST)
        clock = asyncio.get_running_loop().time
        last = clock() + _SETTLES_S
        removed = await self._store.read(self._removed)
        while self._ledger.side(removed).in_flight and clock() < last:
            # HAProxy learns of the end of a container a moment after us.
            await asyncio.sleep(_SETTLE_PAUSE_S)
            await self._look(NOT_ASKED_LAST)
        self._ledger = self._ledger.ended(self._clock())

    def _removed(self, reader: Reader) -> list[str]:
        """Return the counted instances that have ended, and say if one is at another port."""
        ledger = self._ledger
        if ledger is None:
            return []
        removed = []
        for key, endpoint in ledger.endpoints.items():
            try:
                instance = reader.instance(key)
            except NotFoundError:
                continue  # the deploy that made it is forgotten
            if only_loopback(instance.endpoints) != endpoint:
                self._ledger = ledger.without(MOVED)
            if instance.state.final:
                removed.append(key)
        return removed

    async def _known(self) -> ReceiptLedger | None:
        """Return the ledger, that on record if none was begun here; None where there is none."""
        if self._ledger is None and not self._read and self._traffic.active:
            found = await self._store.read(lambda reader: reader.receipt_ledgers([self._deploy_id]))
            self._ledger = found.get(self._deploy_id)
            self._read = True
        return self._ledger

    async def _look(self, missed: str) -> None:
        if self._ledger is None:
            return
        targets = [
            Target(key, (endpoint,) if endpoint else ())
            for key, endpoint in self._ledger.endpoints.items()
        ]
        try:
            async with asyncio.timeout(_LOOK_LIMIT_S):
                counts = await self._traffic.count_requests(targets, self._ledger.hosts)
        except (IngressUnavailableError, TimeoutError) as error:
            reason = str(error) or f"HAProxy did not answer within {_LOOK_LIMIT_S:g} s"
            log.warning("requests not counted", action="receipt", reason=reason)
            if missed:
                self._ledger = self._ledger.without(missed)
        else:
            self._ledger = count(self._ledger, counts, self._clock())


def _endpoints(instances: Iterable[Instance]) -> dict[str, Endpoint | None]:
    return {one.id: only_loopback(one.endpoints) for one in instances}
