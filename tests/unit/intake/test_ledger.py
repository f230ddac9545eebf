"""How much of a URL's calls is kept, on a clock of the test's own."""

from tagboat.intake.ledger import BYTES, DEPLOYS, REFUSED_CALLS, Ledger


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_bodies_are_kept_again_after_a_while() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    ledger.kept(None, BYTES.burst + 10 * int(BYTES.per_s))
    assert not ledger.keeps_whole(None)
    clock.now += 9
    assert not ledger.keeps_whole(None)
    clock.now += 2
    assert ledger.keeps_whole(None)


def test_each_url_has_an_account_of_its_own() -> None:
    ledger = Ledger(Clock())
    ledger.kept("a", 2 * BYTES.burst)
    ledger.queued("a", DEPLOYS.burst)
    assert (ledger.keeps_whole("a"), ledger.keeps_whole("b"), ledger.keeps_whole(None)) == (
        False,
        True,
        True,
    )
    assert ledger.wait_s("a") > 0
    assert ledger.wait_s("b") == ledger.wait_s(None) == 0


def test_so_many_refused_calls_are_kept() -> None:
    clock = Clock()
    ledger = Ledger(clock)
    assert [ledger.keeps_refused(None) for _ in range(REFUSED_CALLS.burst + 3)].count(
        True
    ) == REFUSED_CALLS.burst
    clock.now += 1
    assert [ledger.keeps_refused(None) for _ in range(10)].count(True) == REFUSED_CALLS.per_s


def test_a_burst_of_builds_waits_for_nothing() -> None:
    ledger = Ledger(Clock())
    for _ in range(1000):
        ledger.queued(None, 60)
    assert ledger.wait_s(None) == 0
