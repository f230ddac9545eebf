"""The receipt of a deploy: how requests ended while it replaced an instance.

The ingress counts from its own start. A ledger remembers what it had counted at the last look, and
adds up what came after: so neither a death of Tagboat nor one of the ingress makes up a number.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct, field

from tagboat.core.endpoint import Endpoint
from tagboat.core.request_counts import EndedBy, InstanceCounts, ProcessCounts
from tagboat.core.values import replace

OTHER_SERVERS = "only this server's ingress is counted, not those of the other servers"
PROCESS_ENDED = "HAProxy was restarted during the deploy: what it counted last is missing"
NOT_ASKED = "HAProxy could not be asked when the counting began: what came before that is missing"
NOT_ASKED_LAST = "HAProxy could not be asked at the end: what came after the last count is missing"
MOVED = "an instance was started again at another port: what it answered by then is missing"
UNKNOWN_ENDS = "too many requests failed at once to know how each ended; all count as aborted"
# HAProxy tells its start in whole seconds.
_START_TICK = timedelta(seconds=1)


class SideCounts(Struct, frozen=True, kw_only=True):
    """Requests of the old or the new instances.

    `answered` completely, with a status below 500; `failed_5xx` by the app, or by the ingress where
    the app did not answer; `aborted` before the answer was complete, of those `left_by_client`.
    `in_flight` are those without a complete answer at the last count.
    """

    answered: int = 0
    failed_5xx: int = 0
    aborted: int = 0
    left_by_client: int = 0
    in_flight: int = 0

    @property
    def requests(self) -> int:
        """Requests that have ended."""
        return self.answered + self.failed_5xx + self.aborted

    @property
    def failed(self) -> int:
        """Requests without a complete answer below 500."""
        return self.failed_5xx + self.aborted

    def __add__(self, other: "SideCounts") -> "SideCounts":
        return SideCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        )


class DeployReceipt(Struct, frozen=True, kw_only=True):
    """Requests from `since` to `until`, which is None while it goes on, and how they ended.

    `longest_drain_s` is how many seconds after traffic had left them the old instances answered
    their last request, None without an old instance. For `downtime_s` seconds no instance took
    requests, which waited; `turned_away` were answered by the ingress, since there was none. Unless
    `complete`, `reason` says what was not counted.
    """

    old: SideCounts
    new: SideCounts
    longest_drain_s: float | None
    downtime_s: float
    turned_away: int
    complete: bool
    reason: str | None
    since: datetime
    until: datetime | None

    @property
    def requests(self) -> int:
        """Requests of both sides that have ended."""
        return self.old.requests + self.new.requests

    @property
    def failed(self) -> int:
        """Requests without a complete answer below 500, those that met no instance among them."""
        return self.old.failed + self.new.failed + self.turned_away


class ReceiptLedger(Struct, frozen=True, kw_only=True):
    """The counts of a deploy so far, with what is needed to go on counting.

    `endpoints` and `counted` are by the instance's id; an endpoint is the only one of an instance,
    of the loopback address, else None. `seen` is what each process of the ingress had counted at
    the last look, by instance, and `seen_away` what it had turned away. Traffic left the old
    instances at `away_at`, and is `back` at them where the deploy was undone: what they answer then
    is no drain. No instance takes requests since `dark_at`, None while one does. `missed` says what
    was not counted, empty for nothing.
    """

    since: datetime
    until: datetime | None = None
    hosts: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    new: str = ""
    endpoints: Mapping[str, Endpoint | None] = field(default_factory=dict)
    counted: Mapping[str, SideCounts] = field(default_factory=dict)
    seen: Mapping[str, Mapping[str, InstanceCounts]] = field(default_factory=dict)
    seen_away: Mapping[str, int] = field(default_factory=dict)
    turned_away: int = 0
    away_at: datetime | None = None
    draining: bool = False
    back: bool = False
    drained_s: float = 0.0
    dark_at: datetime | None = None
    dark_s: float = 0.0
    missed: str = ""

    def side(self, instances: Iterable[str]) -> SideCounts:
        """Return the sum of these instances."""
        return sum((self.counted.get(one, SideCounts()) for one in instances), SideCounts())

    @property
    def receipt(self) -> DeployReceipt | None:
        """The receipt so far, None before traffic was routed away from the old instances."""
        if self.away_at is None:
            return None
        return DeployReceipt(
            old=self.side(self.old),
            new=self.side([self.new]),
            longest_drain_s=round(self.drained_s, 3) if self.old else None,
            downtime_s=round(self.dark_s, 3),
            turned_away=self.turned_away,
            complete=not self.missed,
            reason=self.missed or None,
            since=self.since,
            until=self.until,
        )

    def tracking(self, endpoints: Mapping[str, Endpoint | None]) -> "ReceiptLedger":
        """Return the ledger with more instances, which are counted from the next look on."""
        return replace(self, endpoints={**self.endpoints, **endpoints})

    def without(self, what: str) -> "ReceiptLedger":
        """Return the ledger with a reason why it is not complete; the first one stays."""
        return replace(self, missed=self.missed or what)

    def routed_away(self, old: Iterable[str], new: str, now: datetime) -> "ReceiptLedger":
        """Return the ledger from when requests go to `new`, and to the instances `old` no more."""
        # Once each: a deploy that goes on after a crash routes away from the same ones again.
        both = dict.fromkeys((*self.old, *old))
        away_at = now if self.back else self.away_at or now
        return replace(self, old=tuple(both), new=new or self.new, away_at=away_at, back=False)

    def routed_back(self, now: datetime) -> "ReceiptLedger":
        """Return the ledger from when requests go to the old instances again."""
        if self.away_at is None:
            return self
        return replace(self, drained_s=self.drain_s(now), draining=False, back=True)

    def dark(self, now: datetime) -> "ReceiptLedger":
        """Return the ledger from when no instance takes requests."""
        return replace(self, dark_at=self.dark_at or now)

    def lit(self, now: datetime) -> "ReceiptLedger":
        """Return the ledger from when an instance takes requests again."""
        if self.dark_at is None:
            return self
        took_s = max(0.0, (now - self.dark_at).total_seconds())
        return replace(self, dark_at=None, dark_s=self.dark_s + took_s)

    def ended(self, now: datetime) -> "ReceiptLedger":
        """Return the ledger of a deploy that has ended, without what only counting needs."""
        done = self.lit(now)
        return replace(
            done,
            until=now,
            drained_s=done.drain_s(now),
            draining=False,
            # There may be a million of these on record.
            hosts=(),
            endpoints={},
            seen={},
            seen_away={},
        )

    def drain_s(self, now: datetime) -> float:
        """Return the seconds that old instances have needed for their last requests so far."""
        if not self.draining or self.away_at is None:
            return self.drained_s
        return max(self.drained_s, (now - self.away_at).total_seconds())


def count(
    ledger: ReceiptLedger, processes: Iterable[ProcessCounts], now: datetime
) -> ReceiptLedger:
    """Return the ledger after another look at the ingress.

    An instance that is seen for the first time in a process that was there before is counted from
    now on: its port may have been another's. So are those of a process that is older than the
    ledger, but was not seen: it is another server's.
    """
    found = {one.process: one for one in processes}
    begun = bool(ledger.seen)
    # In flight is a state, not a sum: that of the last look is over.
    counted = {key: replace(one, in_flight=0) for key, one in ledger.counted.items()}
    # Between the last look and its end, a process may have answered more.
    missed = PROCESS_ENDED if ledger.seen.keys() - found.keys() else ""
    seen: dict[str, dict[str, InstanceCounts]] = {}
    turned_away = ledger.turned_away
    for name, process in found.items():
        before, seen[name] = ledger.seen.get(name), {}
        is_newer = process.started_at + _START_TICK > ledger.since
        for key in ledger.endpoints:
            now_counted = process.instances.get(key)
            if now_counted is None:
                missed = missed or PROCESS_ENDED
                continue
            # Begun after the ledger: all that it has counted belongs here.
            if before is None and is_newer:
                last: InstanceCounts | None = InstanceCounts()
            else:
                last = (before or {}).get(key)
            # One that takes no requests yet has missed none: see `recreate`.
            is_routed = key == ledger.new or key in ledger.old
            if last is None and ledger.away_at is not None and is_routed:
                missed = missed or (NOT_ASKED if before is not None else PROCESS_ENDED)
            added, why = _between(last if begun and last is not None else now_counted, now_counted)
            missed = missed or why
            total = counted.get(key, SideCounts()) + added
            # One that began before the counting and was cut in it is taken off, but was not added.
            counted[key] = replace(total, answered=max(0, total.answered))
            # The ends are counted by now, and would only make the record longer.
            seen[name][key] = replace(now_counted, known_ends=())
        away_before = ledger.seen_away.get(name, 0 if is_newer else process.turned_away)
        if begun:
            turned_away += max(0, process.turned_away - away_before)
    result = replace(
        ledger,
        counted=counted,
        seen=seen,
        seen_away={name: one.turned_away for name, one in found.items()},
        turned_away=turned_away,
    )
    if missed:
        result = result.without(missed)
    if ledger.away_at is None:
        return result
    draining = not result.back and result.side(result.old).in_flight > 0
    return replace(result, draining=draining, drained_s=result.drain_s(now))


def _between(last: InstanceCounts, now: InstanceCounts) -> tuple[SideCounts, str]:
    """Return what was counted between two looks at a process, and what of it is not known."""
    if now.answers < last.answers or now.errors < last.errors or now.early_ends < last.early_ends:
        # Another process that got the same number.
        added, _ = _between(InstanceCounts(), now)
        return added, PROCESS_ENDED
    ends = [one for one in now.known_ends if last.early_ends < one.number <= now.early_ends]
    errors = now.errors - last.errors
    aborted = [one for one in ends if one.by not in {EndedBy.NOBODY, EndedBy.ERROR}]
    # An error is counted apart, so an end that is not known any more is most often one of those.
    unknown = now.early_ends - last.early_ends - len(ends)
    unknown -= max(0, errors - sum(one.by is EndedBy.ERROR for one in ends))
    unknown = max(0, unknown)
    begun = sum(one.answered for one in aborted)
    added = SideCounts(
        answered=now.answers - last.answers - begun,
        failed_5xx=errors,
        aborted=len(aborted) + unknown,
        left_by_client=sum(one.by is EndedBy.CLIENT for one in aborted),
        in_flight=now.in_flight,
    )
    return added, UNKNOWN_ENDS if unknown else ""
