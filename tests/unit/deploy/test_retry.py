"""How long a deploy goes on trying."""

from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.errors import (
    DeployFailedError,
    DiskFullError,
    EndpointTakenError,
    EngineError,
    EngineNotFoundError,
    EngineUnavailableError,
    InvalidImageRefError,
    NameTakenError,
    NotFoundError,
    RegistryDeniedError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.deploy.retry import LONGEST_RATE_LIMIT_S, delays

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "kind",
    [
        DeployFailedError,
        EngineError,
        EngineNotFoundError,
        InvalidImageRefError,
        NameTakenError,
        NotFoundError,
        EndpointTakenError,
        RegistryDeniedError,
        RegistryNotFoundError,
        RegistryProtocolError,
    ],
)
def test_what_nobody_mends_by_waiting_is_not_tried_again(kind: type[TagboatError]) -> None:
    assert list(delays(kind("no"), NOW)) == []


@pytest.mark.parametrize(
    ("kind", "shortest_s", "longest_s"),
    [
        (RegistryUnreachableError, 5, 60),
        (RegistryRateLimitedError, 5, 60),
        (DiskFullError, 30, 120),
        (EngineUnavailableError, 60, 180),
        (StoreUnavailableError, 60, 180),
    ],
)
def test_what_may_pass_is_tried_again_with_growing_pauses_and_then_given_up(
    kind: type[TagboatError], shortest_s: float, longest_s: float
) -> None:
    pauses = list(delays(kind("later"), NOW))
    assert len(pauses) >= 3
    assert pauses == sorted(pauses)
    assert all(pause > 0 for pause in pauses)
    assert shortest_s <= sum(pauses) <= longest_s


@pytest.mark.parametrize("wait_s", [0.0, 1.0, 42.0, LONGEST_RATE_LIMIT_S])
def test_a_rate_limit_is_waited_out_once_and_not_a_moment_less(wait_s: float) -> None:
    (pause,) = delays(RegistryRateLimitedError("429", NOW + timedelta(seconds=wait_s)), NOW)
    assert wait_s < pause <= wait_s + 1


def test_a_rate_limit_that_is_over_already_is_tried_again_soon() -> None:
    (pause,) = delays(RegistryRateLimitedError("429", NOW - timedelta(hours=1)), NOW)
    assert 0 < pause <= 1


def test_a_rate_limit_that_takes_too_long_fails_the_deploy_at_once() -> None:
    retry_at = NOW + timedelta(seconds=LONGEST_RATE_LIMIT_S + 1)
    assert list(delays(RegistryRateLimitedError("429", retry_at), NOW)) == []
