"""What a ledger makes of the counts of an ingress that starts, restarts and ends."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tagboat.core.endpoint import Endpoint
from tagboat.core.receipt import (
    NOT_ASKED,
    OTHER_SERVERS,
    PROCESS_ENDED,
    UNKNOWN_ENDS,
    DeployReceipt,
    ReceiptLedger,
    SideCounts,
    count,
)
from tagboat.core.request_counts import EarlyEnd, EndedBy, InstanceCounts, ProcessCounts
from tagboat.core.values import replace

START = datetime(2026, 11, 24, tzinfo=UTC)
OLD, NEW = Endpoint("127.0.0.1", 20000), Endpoint("127.0.0.1", 20001)
NONE = InstanceCounts()


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def process(
    old: InstanceCounts = NONE,
    new: InstanceCounts | None = NONE,
    *,
    name: str = "1",
    turned_away: int = 0,
    started: float = -60,
) -> ProcessCounts:
    instances = {"old": old} if new is None else {"old": old, "new": new}
    return ProcessCounts(
        process=name, started_at=at(started), instances=instances, turned_away=turned_away
    )


def begun(*processes: ProcessCounts) -> ReceiptLedger:
    """A ledger before the switch, with both instances known."""
    ledger = ReceiptLedger(since=START, hosts=("app-dev.localhost",))
    return count(ledger.tracking({"old": OLD, "new": NEW}), processes or [process()], START)


def switched(ledger: ReceiptLedger) -> ReceiptLedger:
    return ledger.routed_away(["old"], "new", START)


def receipt_of(ledger: ReceiptLedger) -> DeployReceipt:
    found = ledger.receipt
    assert found is not None
    return found


def ends(*kinds: tuple[EndedBy, bool], first: int = 1) -> tuple[EarlyEnd, ...]:
    return tuple(
        EarlyEnd(number, by, answered) for number, (by, answered) in enumerate(kinds, first)
    )


def test_there_is_none_before_requests_go_elsewhere() -> None:
    assert begun().receipt is None


def test_what_was_counted_before_does_not_count() -> None:
    before = InstanceCounts(answers=100, errors=7, early_ends=9)
    ledger = switched(begun(process(before, before)))
    ledger = count(ledger, [process(before, replace(before, answers=112, errors=8))], at(1))
    receipt = receipt_of(ledger)
    assert receipt.old == SideCounts()
    assert receipt.new == SideCounts(answered=12, failed_5xx=1)
    assert (receipt.requests, receipt.failed, receipt.complete) == (13, 1, True)


def test_several_looks_add_up_to_one() -> None:
    ledger = switched(begun())
    for answers in (3, 3, 10):
        ledger = count(ledger, [process(new=InstanceCounts(answers=answers))], at(1))
    assert receipt_of(ledger).new.answered == 10


def test_what_ended_early_is_told_apart() -> None:
    counts = InstanceCounts(
        answers=6,
        errors=1,
        early_ends=5,
        known_ends=ends(
            (EndedBy.ERROR, True),
            (EndedBy.NOBODY, True),
            (EndedBy.CLIENT, False),
            (EndedBy.APP, True),
            (EndedBy.CLIENT, True),
        ),
    )
    receipt = receipt_of(count(switched(begun()), [process(new=counts)], at(1)))
    # Two of the answers had begun and were not completed.
    assert receipt.new == SideCounts(answered=4, failed_5xx=1, aborted=3, left_by_client=2)
    assert receipt.complete


def test_an_end_counts_once_however_often_it_is_seen() -> None:
    one = InstanceCounts(early_ends=1, known_ends=ends((EndedBy.CLIENT, False)))
    ledger = switched(begun())
    for _ in range(3):
        ledger = count(ledger, [process(new=one)], at(1))
    assert receipt_of(ledger).new == SideCounts(aborted=1, left_by_client=1)


def test_an_end_that_is_newer_than_the_count_is_for_the_next_look() -> None:
    both = ends((EndedBy.CLIENT, False), (EndedBy.APP, False))
    ledger = count(
        switched(begun()), [process(new=InstanceCounts(early_ends=1, known_ends=both))], at(1)
    )
    assert receipt_of(ledger).new.aborted == 1
    ledger = count(ledger, [process(new=InstanceCounts(early_ends=2, known_ends=both))], at(2))
    assert receipt_of(ledger).new == SideCounts(aborted=2, left_by_client=1)


def test_ends_that_are_forgotten_are_errors_as_far_as_there_were_errors() -> None:
    known = ends((EndedBy.ERROR, True), first=5000)
    counts = InstanceCounts(errors=5000, early_ends=5000, known_ends=known)
    receipt = receipt_of(count(switched(begun()), [process(new=counts)], at(1)))
    assert (receipt.new, receipt.complete) == (SideCounts(failed_5xx=5000), True)

    counts = replace(counts, errors=4990)
    receipt = receipt_of(count(switched(begun()), [process(new=counts)], at(1)))
    assert receipt.new == SideCounts(failed_5xx=4990, aborted=10)
    assert (receipt.complete, receipt.reason) == (False, UNKNOWN_ENDS)


def test_a_stream_from_before_that_is_cut_makes_no_number_negative() -> None:
    ledger = switched(begun(process(InstanceCounts(answers=1, in_flight=1))))
    cut = InstanceCounts(answers=1, early_ends=1, known_ends=ends((EndedBy.APP, True)))
    assert receipt_of(count(ledger, [process(cut)], at(1))).old == SideCounts(aborted=1)


def test_all_processes_count_and_one_that_ended_is_missed() -> None:
    ledger = switched(begun(process(name="1"), process(name="2")))
    both = [
        process(new=InstanceCounts(answers=2), name="1"),
        process(new=InstanceCounts(answers=3), name="2"),
    ]
    ledger = count(ledger, both, at(1))
    assert (receipt_of(ledger).new.answered, receipt_of(ledger).complete) == (5, True)
    ledger = count(ledger, [process(new=InstanceCounts(answers=4), name="2")], at(2))
    receipt = receipt_of(ledger)
    assert (receipt.new.answered, receipt.complete, receipt.reason) == (6, False, PROCESS_ENDED)


def test_a_process_that_began_later_counts_from_its_first_request() -> None:
    ledger = switched(begun(process(name="1")))
    later = process(new=InstanceCounts(answers=4), name="2", turned_away=3, started=0)
    receipt = receipt_of(count(ledger, [process(name="1"), later], at(1)))
    assert (receipt.new.answered, receipt.turned_away, receipt.complete) == (4, 3, True)


def test_what_another_servers_ingress_has_long_counted_is_not_this_deploys() -> None:
    ledger = switched(begun(process(name="1")))
    other = process(new=InstanceCounts(answers=4000), name="2", turned_away=7, started=-3600)
    ledger = count(ledger, [other], at(1))
    other = replace(other, instances={**other.instances, "new": InstanceCounts(answers=4002)})
    receipt = receipt_of(count(ledger, [other], at(2)))
    assert (receipt.new.answered, receipt.turned_away) == (2, 0)
    assert (receipt.complete, receipt.reason) == (False, PROCESS_ENDED)


def test_another_process_of_the_same_number_is_noticed() -> None:
    ledger = switched(begun(process(new=InstanceCounts(answers=50))))
    receipt = receipt_of(count(ledger, [process(new=InstanceCounts(answers=3))], at(1)))
    assert (receipt.new.answered, receipt.reason) == (3, PROCESS_ENDED)


def test_a_process_that_does_not_count_is_said() -> None:
    ledger = switched(begun())
    found = [process(), ProcessCounts(process="0", started_at=at(-60), instances={})]
    assert receipt_of(count(ledger, found, at(1))).reason == PROCESS_ENDED


def test_an_instance_first_seen_after_the_switch_is_not_all_counted() -> None:
    ledger = count(
        ReceiptLedger(since=START).tracking({"old": OLD}), [process(new=None)], START
    ).routed_away(["old"], "new", START)
    ledger = ledger.tracking({"new": NEW})
    ledger = count(ledger, [process(new=InstanceCounts(answers=5))], at(1))
    ledger = count(ledger, [process(new=InstanceCounts(answers=7))], at(2))
    assert (receipt_of(ledger).new.answered, receipt_of(ledger).reason) == (2, NOT_ASKED)


def test_an_instance_that_takes_no_requests_yet_has_missed_none() -> None:
    # As where two cannot run at once: requests leave the old one before there is another.
    ledger = count(
        ReceiptLedger(since=START).tracking({"old": OLD}), [process(new=None)], START
    ).routed_away(["old"], "", START)
    ledger = count(ledger.tracking({"new": NEW}), [process()], at(1))
    ledger = ledger.routed_away(["old"], "new", at(1))
    ledger = count(ledger, [process(new=InstanceCounts(answers=2))], at(2))
    receipt = receipt_of(ledger)
    assert (receipt.new.answered, receipt.complete, receipt.reason) == (2, True, None)


def test_the_first_reason_stays() -> None:
    ledger = switched(begun()).without(OTHER_SERVERS).without(PROCESS_ENDED)
    assert receipt_of(ledger).reason == OTHER_SERVERS


def test_what_met_no_instance_counts_from_the_beginning() -> None:
    ledger = switched(begun(process(turned_away=5)))
    receipt = receipt_of(count(ledger, [process(turned_away=8)], at(1)))
    assert (receipt.turned_away, receipt.failed) == (3, 3)


@pytest.mark.parametrize(
    ("looks", "longest"),
    [
        ([(0.5, 0), (2, 0)], 0.0),
        ([(0.5, 2), (2, 1), (3, 0), (9, 0)], 3.0),
        ([(0.5, 2), (2, 1)], 9.5),
    ],
)
def test_the_drain_lasts_until_no_request_is_left(
    looks: list[tuple[float, int]], longest: float
) -> None:
    ledger = switched(begun())
    for second, in_flight in looks:
        ledger = count(ledger, [process(InstanceCounts(in_flight=in_flight))], at(second))
    assert receipt_of(ledger.ended(at(9.5))).longest_drain_s == longest


def test_without_an_old_instance_nothing_drains() -> None:
    assert receipt_of(begun().routed_away([], "new", START)).longest_drain_s is None


def test_downtime_is_the_time_without_an_instance() -> None:
    ledger = switched(begun())
    assert receipt_of(ledger.lit(at(1)).ended(at(2))).downtime_s == 0
    ledger = ledger.dark(at(1)).dark(at(2)).lit(at(3.5)).lit(at(4))
    assert receipt_of(ledger).downtime_s == 2.5
    # One that has nothing to go back to ends dark.
    assert receipt_of(ledger.dark(at(5)).ended(at(6))).downtime_s == 3.5


def test_an_ended_one_keeps_its_receipt_and_little_else() -> None:
    counts = InstanceCounts(answers=2, errors=1, early_ends=1)
    ledger = count(switched(begun()), [process(counts, counts, turned_away=1)], at(1))
    before, ended = receipt_of(ledger), ledger.ended(at(2))
    assert receipt_of(ended) == replace(before, until=at(2))
    assert len(msgspec.json.encode(ended)) < 700


def test_a_ledger_survives_the_database() -> None:
    counts = InstanceCounts(answers=2, early_ends=1, known_ends=ends((EndedBy.APP, True)))
    ledger = count(switched(begun()).dark(at(1)), [process(new=counts)], at(2))
    text = msgspec.json.encode(ledger)
    assert msgspec.json.decode(text, type=ReceiptLedger) == ledger


def test_once_requests_go_back_none_of_the_old_instances_is_a_drain() -> None:
    def look(ledger: ReceiptLedger, in_flight: int, second: float) -> ReceiptLedger:
        return count(ledger, [process(InstanceCounts(in_flight=in_flight))], at(second))

    assert begun().routed_back(at(1)) == begun()
    back = look(switched(begun()), 1, 2).routed_back(at(3))
    assert receipt_of(back.routed_back(at(4))).longest_drain_s == 3
    back = look(back, 7, 64)
    assert receipt_of(back.ended(at(65))).longest_drain_s == 3
    # The deploy begins again.
    away = look(switched_at(back, 100), 1, 102)
    assert receipt_of(away).longest_drain_s == 3
    assert receipt_of(look(switched_at(away, 103), 1, 110)).longest_drain_s == 10


def switched_at(ledger: ReceiptLedger, second: float) -> ReceiptLedger:
    return ledger.routed_away(["old"], "new", at(second))


def test_one_from_before_a_field_was_there_is_read() -> None:
    kept = msgspec.to_builtins(switched(begun()), str_keys=True)
    del kept["back"]
    assert msgspec.convert(kept, ReceiptLedger, str_keys=True) == switched(begun())
