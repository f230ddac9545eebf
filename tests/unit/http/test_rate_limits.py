"""The limits on calls, on a clock of the test's own."""

from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.rate import Rate
from tagboat.http import rate_limits
from tagboat.http.rate_limits import Limiter, Throttle

GENEROUS = Rate(per_s=1000, burst=100_000)


def test_a_burst_then_a_steady_rate() -> None:
    limiter = Limiter(Rate(per_s=2, burst=3), GENEROUS)
    assert [limiter.take("a", 10.0) for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a", 10.0) == 0.5
    assert limiter.take("a", 10.4) > 0
    assert limiter.take("a", 10.5) == 0
    assert limiter.take("a", 10.5) > 0


def test_one_address_does_not_use_up_what_another_has() -> None:
    limiter = Limiter(Rate(per_s=1, burst=1), GENEROUS)
    assert limiter.take("a", 0.0) == 0
    assert limiter.take("a", 0.0) == 1.0
    assert limiter.take("b", 0.0) == 0


def test_together_they_have_a_limit_too() -> None:
    limiter = Limiter(GENEROUS, Rate(per_s=1, burst=5))
    assert [limiter.take(str(number), 0.0) for number in range(6)] == [0, 0, 0, 0, 0, 1.0]


def test_what_is_refused_costs_nothing() -> None:
    limiter = Limiter(Rate(per_s=1, burst=1), GENEROUS)
    limiter.take("a", 0.0)
    for _ in range(100):
        assert limiter.take("a", 0.5) == 0.5
    assert limiter.take("a", 1.0) == 0


def test_addresses_are_not_remembered_without_end() -> None:
    limiter = Limiter(GENEROUS, GENEROUS)
    for number in range(rate_limits.MAX_ADDRESSES + 50):
        limiter.take(str(number), 0.0)
    assert len(limiter._by_address) == rate_limits.MAX_ADDRESSES


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_never_more_than_burst_and_rate_allow(pauses: list[float]) -> None:
    limiter = Limiter(Rate(per_s=2, burst=4), GENEROUS)
    now, taken = 0.0, 0
    for pause in pauses:
        now += pause
        taken += limiter.take("a", now) == 0
        assert taken <= 4 + 2 * now + 1e-6


def test_who_comes_alone_does_not_wait() -> None:
    line = Throttle(per_s=4)
    assert [line.wait(now) for now in (10.0, 10.25, 10.5, 99.0)] == [0, 0, 0, 0]


def test_a_crowd_goes_one_by_one() -> None:
    line = Throttle(per_s=4)
    assert [line.wait(10.0) for _ in range(4)] == [0, 0.25, 0.5, 0.75]
    assert line.wait(10.5) == 0.5


def test_no_line_is_endless() -> None:
    line = Throttle(per_s=4)
    for _ in range(100):
        line.wait(10.0)
    assert line.wait(10.0) == rate_limits.MAX_WAIT_S
    assert line.wait(10.0 + 2 * rate_limits.MAX_WAIT_S) == 0
