from datetime import timedelta

import pytest
from yarl import URL

from tagboat.core.errors import BudgetSpentError
from tagboat.registry import budget
from tagboat.registry.budget import RECHECK, Allowance, Budgets, parse_allowance
from tagboat.registry.endpoint import Credentials, RegistryEndpoint
from tests.support.clock import FakeClock

NOW = FakeClock().now
SITE = RegistryEndpoint(URL("https://r.example.com"))
HUB = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (HUB, (100, 76, 21600)),
        (
            {"RateLimit-Limit": "100", "RateLimit-Remaining": "76", "RateLimit-Reset": "50"},
            (100, 76, 50),
        ),
        ({"RateLimit-Limit": "10, 10;w=1, 50;w=60", "RateLimit-Remaining": "9"}, (10, 9, 1)),
        ({"RateLimit-Limit": "100", "RateLimit-Remaining": "76"}, (100, 76, 3600)),
        ({"RateLimit-Limit": "100;w=999999999", "RateLimit-Remaining": "101"}, (100, 100, 86400)),
    ],
)
def test_what_registries_say(headers: dict[str, str], expected: tuple[int, int, int]) -> None:
    limit, remaining, seconds = expected
    assert parse_allowance(headers, NOW) == Allowance(
        limit, remaining, timedelta(seconds=seconds), NOW
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"RateLimit-Limit": "100"},
        {"RateLimit-Remaining": "5"},
        {"RateLimit-Limit": "0", "RateLimit-Remaining": "0"},
        {"RateLimit-Limit": "lots", "RateLimit-Remaining": "5"},
        {"RateLimit-Limit": "-1", "RateLimit-Remaining": "5"},
        {"RateLimit-Limit": "٣", "RateLimit-Remaining": "٣"},
        {"RateLimit-Limit": "9" * 5000, "RateLimit-Remaining": "5"},
    ],
)
def test_what_says_nothing(headers: dict[str, str]) -> None:
    assert parse_allowance(headers, NOW) is None


@pytest.mark.parametrize(("remaining", "spent"), [(100, False), (51, False), (50, True), (0, True)])
def test_the_share_is_what_may_be_gone_whoever_used_it(remaining: int, spent: bool) -> None:
    budgets = Budgets(0.5)
    budgets.note(SITE, HUB | {"RateLimit-Remaining": str(remaining)}, NOW)
    assert budgets.is_spent(SITE, NOW) is spent


def test_the_error_says_how_much_is_left_and_when_to_look_again() -> None:
    budgets = Budgets(0.25)
    budgets.note(SITE, HUB | {"RateLimit-Remaining": "70"}, NOW)
    with pytest.raises(
        BudgetSpentError, match=r"100 requests in 6 h, 70 are left, .* the last 75% to people"
    ) as caught:
        budgets.expect_left(SITE, NOW)
    assert caught.value.retry_at == NOW + RECHECK


def test_what_was_said_a_window_ago_is_forgotten() -> None:
    budgets = Budgets(0.5)
    budgets.note(SITE, HUB | {"RateLimit-Remaining": "0"}, NOW)
    assert budgets.is_spent(SITE, NOW + timedelta(hours=6, seconds=-1))
    assert not budgets.is_spent(SITE, NOW + timedelta(hours=6))
    budgets.expect_left(SITE, NOW + timedelta(hours=6))


def test_each_login_has_a_limit_of_its_own_and_silence_changes_none() -> None:
    budgets = Budgets(0.5)
    budgets.note(SITE, HUB | {"RateLimit-Remaining": "0"}, NOW)
    budgets.note(SITE, {}, NOW)
    assert budgets.is_spent(SITE, NOW)
    assert not budgets.is_spent(
        RegistryEndpoint(SITE.base, credentials=Credentials("ci", "secret")), NOW
    )


def test_no_more_are_kept_than_are_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_MAX_ALLOWANCES", 2)
    budgets = Budgets(0.5)
    endpoints = [RegistryEndpoint(URL(f"https://r{number}.example.com")) for number in range(3)]
    for endpoint in endpoints:
        budgets.note(endpoint, HUB | {"RateLimit-Remaining": "0"}, NOW)
    assert [budgets.is_spent(endpoint, NOW) for endpoint in endpoints] == [False, True, True]
