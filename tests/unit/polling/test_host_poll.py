"""How the polls of a round are spread."""

import pytest

from tagboat.polling.host_poll import SPACING_S, SPREAD, spacing

MINUTE = 60.0


@pytest.mark.parametrize("count", [1, 2, 10])
def test_few_are_polled_practically_at_once(count: int) -> None:
    assert spacing(count, 5 * MINUTE) * count <= 0.5


def test_thousands_leave_the_registry_a_moment_between_two() -> None:
    assert spacing(5_000, 60 * MINUTE) == SPACING_S


@pytest.mark.parametrize("room_s", [1.0, 60.0, 300.0])
def test_a_round_is_begun_well_before_the_next(room_s: float) -> None:
    assert spacing(50_000, room_s) * 50_000 == pytest.approx(room_s * SPREAD)


@pytest.mark.parametrize("room_s", [0.0, -5.0])
def test_a_round_that_is_late_is_not_spread(room_s: float) -> None:
    assert spacing(100, room_s) == 0
    assert spacing(0, room_s) == 0
