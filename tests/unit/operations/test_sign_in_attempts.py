"""Whoever guesses waits, and nobody is locked out by another."""

import pytest

from tagboat.core.errors import SignInError, StoreUnavailableError, TooManyAttemptsError
from tagboat.operations import sign_in_attempts
from tagboat.operations.sign_in_attempts import (
    FORGOTTEN_AFTER_S,
    FREE_FOR_ACCOUNT,
    FREE_FOR_ADDRESS,
    LONGEST_WAIT_S,
    SignInAttempts,
)


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def attempts(clock: Seconds) -> SignInAttempts:
    return SignInAttempts(clock)


def test_after_a_few_free_ones_each_wrong_guess_doubles_the_wait(
    attempts: SignInAttempts, clock: Seconds
) -> None:
    waits: list[float] = []
    for _ in range(FREE_FOR_ACCOUNT + 12):
        assert attempts.begin("anna", "192.0.2.7") == 0
        waits.append(attempts.begin("anna", "192.0.2.7") if len(waits) >= 4 else 0)
        clock.now += waits[-1]
    assert waits[:9] == [0, 0, 0, 0, 1, 2, 4, 8, 16]
    assert waits[-1] == LONGEST_WAIT_S


def test_a_refused_attempt_does_not_prolong_the_wait(
    attempts: SignInAttempts, clock: Seconds
) -> None:
    for _ in range(FREE_FOR_ACCOUNT):
        attempts.begin("anna", "192.0.2.7")
    for _ in range(100):
        assert attempts.begin("anna", "192.0.2.7") == 1
    clock.now += 1
    assert attempts.begin("anna", "192.0.2.7") == 0


def test_the_right_one_from_another_address_is_not_locked_out(attempts: SignInAttempts) -> None:
    for _ in range(FREE_FOR_ACCOUNT):
        attempts.begin("anna", "192.0.2.7")
    assert attempts.begin("anna", "192.0.2.7") > 0
    assert attempts.begin("anna", "192.0.2.8") == 0
    assert attempts.begin("ben", "192.0.2.7") == 0


def test_one_address_cannot_try_all_names(attempts: SignInAttempts) -> None:
    for number in range(FREE_FOR_ADDRESS):
        assert attempts.begin(f"user-{number}", "192.0.2.7") == 0
    assert attempts.begin("one-more", "192.0.2.7") > 0
    assert attempts.begin("one-more", "198.51.100.1") == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("", "", True),
    ],
)
def test_an_ipv6_host_is_counted_by_its_network(
    attempts: SignInAttempts, one: str, other: str, same: bool
) -> None:
    for _ in range(FREE_FOR_ACCOUNT):
        attempts.begin("anna", one)
    assert (attempts.begin("anna", other) > 0) is same


def test_a_success_forgets_the_guesses_at_that_account_only(attempts: SignInAttempts) -> None:
    for _ in range(FREE_FOR_ACCOUNT - 1):
        attempts.begin("anna", "192.0.2.7")
    attempts.begin("anna", "192.0.2.7")
    attempts.succeed("anna", "192.0.2.7")
    assert attempts.begin("anna", "192.0.2.7") == 0


def test_who_has_an_account_cannot_guess_at_others_without_end(attempts: SignInAttempts) -> None:
    for number in range(2 * FREE_FOR_ADDRESS):
        attempts.begin(f"user-{number}", "192.0.2.7")
        if attempts.begin("mallory", "192.0.2.7"):
            break
        attempts.succeed("mallory", "192.0.2.7")
    assert number == FREE_FOR_ADDRESS - 1


def test_guesses_are_forgotten_in_time(attempts: SignInAttempts, clock: Seconds) -> None:
    for _ in range(FREE_FOR_ACCOUNT):
        attempts.begin("anna", "192.0.2.7")
    clock.now += FORGOTTEN_AFTER_S + 1
    assert [attempts.begin("anna", "192.0.2.7") for _ in range(FREE_FOR_ACCOUNT)] == [0] * 5


def test_the_memory_is_bounded(attempts: SignInAttempts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in_attempts, "MOST_REMEMBERED", 10)
    for number in range(100):
        attempts.begin("anna", f"192.0.2.{number}")
    assert len(attempts._by_account) == len(attempts._by_address) == 10


@pytest.mark.parametrize(
    "error", [StoreUnavailableError("it is away"), TooManyAttemptsError("the line is full", 5.0)]
)
def test_attempts_that_tested_nothing_do_not_count(
    attempts: SignInAttempts, error: Exception
) -> None:
    for _ in range(3 * FREE_FOR_ADDRESS):
        with pytest.raises(type(error)), attempts.attempt("anna", "192.0.2.7"):
            raise error
    assert [attempts.begin("anna", "192.0.2.7") for _ in range(FREE_FOR_ACCOUNT)] == [0] * 5


def test_wrong_guesses_count_and_are_told_how_long_to_wait(attempts: SignInAttempts) -> None:
    for _ in range(FREE_FOR_ACCOUNT):
        with pytest.raises(SignInError), attempts.attempt("anna", "192.0.2.7"):
            raise SignInError("wrong")
    with (
        pytest.raises(TooManyAttemptsError, match="too many attempts: try again in 1 s") as caught,
        attempts.attempt("anna", "192.0.2.7"),
    ):
        pass
    assert caught.value.wait_s == 1


def test_an_attempt_that_is_taken_back_leaves_the_wait_of_those_before(
    attempts: SignInAttempts, clock: Seconds
) -> None:
    for _ in range(FREE_FOR_ACCOUNT):
        assert attempts.begin("anna", "192.0.2.7") == 0
    for wait_s in (1, 2):
        clock.now += wait_s
        assert attempts.begin("anna", "192.0.2.7") == 0
    assert attempts.begin("anna", "192.0.2.7") == 4
    attempts.take_back("anna", "192.0.2.7")
    assert attempts.begin("anna", "192.0.2.7") == 2


def test_sign_ins_at_the_provider_are_counted_by_address_and_apart(
    attempts: SignInAttempts,
) -> None:
    for _ in range(FREE_FOR_ADDRESS):
        assert attempts.begin(None, "192.0.2.7") == 0
    assert attempts.begin(None, "192.0.2.7") == 1
    assert attempts.begin(None, "192.0.2.8") == 0
    assert attempts.begin("anna", "192.0.2.7") == 0
    attempts.succeed(None, "192.0.2.7")
    assert attempts.begin(None, "192.0.2.7") == 0
