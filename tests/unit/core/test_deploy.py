"""When a push merges into a deploy that is open already, and what that leaves of the deploy."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.deploy import (
    EXACT_TRIGGERS,
    MAX_NOTE,
    Deploy,
    DeployStatus,
    Step,
    StepName,
    StepStatus,
    Trigger,
    both_notes,
    merged,
    merges_into,
)
from tagboat.core.image import Digest
from tagboat.core.values import replace

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
QUEUED = Deploy(
    id="d",
    project_id="p",
    stage_id="s",
    tag="v1",
    digest=None,
    trigger=Trigger.WEBHOOK,
    created_at=NOW,
)
RUNNING = replace(QUEUED, status=DeployStatus.RUNNING)
RESOLVED = replace(RUNNING, digest=ONE).with_step(Step(StepName.RESOLVE, StepStatus.DONE))


def told(deploy: Deploy, digest: Digest) -> Deploy:
    return replace(deploy, digest=digest)


@pytest.mark.parametrize(
    ("waiting", "digest", "merges"),
    [
        (QUEUED, None, True),  # it looks the tag up later anyway
        (QUEUED, ONE, True),
        (RUNNING, None, True),  # begun, but not yet resolved
        (RUNNING, ONE, True),
        (told(QUEUED, ONE), ONE, True),  # the very same
        (told(QUEUED, ONE), TWO, False),
        (told(QUEUED, ONE), None, True),  # the tag may have moved: it is told to look it up
        (told(RUNNING, ONE), None, False),  # already on its way with a digest that may be old
        (told(RUNNING, ONE), ONE, True),
        (told(RUNNING, ONE), TWO, False),
        (RESOLVED, None, False),
        (RESOLVED, ONE, False),
        (RESOLVED, TWO, False),
    ],
)
def test_whether_a_push_merges(waiting: Deploy, digest: Digest | None, merges: bool) -> None:
    assert merges_into(waiting, "v1", digest, force=False) is merges


@pytest.mark.parametrize("waiting", [QUEUED, RUNNING, told(QUEUED, ONE)])
def test_another_tag_never_merges(waiting: Deploy) -> None:
    assert not merges_into(waiting, "v2", waiting.digest, force=False)


def test_a_forced_one_does_not_merge_into_one_that_is_not() -> None:
    assert not merges_into(QUEUED, "v1", None, force=True)
    forced = replace(QUEUED, force=True)
    assert merges_into(forced, "v1", None, force=True)
    assert merges_into(forced, "v1", None, force=False)


@pytest.mark.parametrize("trigger", sorted(EXACT_TRIGGERS))
def test_a_promotion_or_rollback_keeps_its_digest_whatever_is_pushed(trigger: Trigger) -> None:
    exact = replace(told(QUEUED, ONE), trigger=trigger)
    assert not merges_into(exact, "v1", None, force=False)
    assert not merges_into(exact, "v1", TWO, force=False)
    assert merges_into(exact, "v1", ONE, force=False)


@pytest.mark.parametrize(
    ("waiting", "digest", "kept"),
    [(None, None, None), (None, ONE, None), (ONE, ONE, ONE), (ONE, None, None)],
)
def test_unless_both_name_one_digest_the_tag_is_looked_up_afresh(
    waiting: Digest | None, digest: Digest | None, kept: Digest | None
) -> None:
    after = merged(replace(QUEUED, digest=waiting), digest)
    assert after.digest == kept
    assert after.merges == 1


DIGESTS = st.sampled_from([None, ONE, TWO])


@given(
    waiting=DIGESTS,
    pushes=st.lists(DIGESTS),
    status=st.sampled_from([DeployStatus.QUEUED, DeployStatus.RUNNING]),
)
def test_no_merge_ever_leaves_a_digest_that_the_last_push_did_not_mean(
    waiting: Digest | None, pushes: list[Digest | None], status: DeployStatus
) -> None:
    deploy = replace(QUEUED, digest=waiting, status=status)
    for count, digest in enumerate(pushes, start=1):
        if not merges_into(deploy, "v1", digest, force=False):
            return
        deploy = merged(deploy, digest)
        assert deploy.merges == count
        assert deploy.digest in {None, digest}


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("", "", ""),
        ("hotfix", "", "hotfix"),
        ("", "hotfix", "hotfix"),
        ("hotfix", "again", "hotfix; again"),
        ("hotfix; again", "again", "hotfix; again"),
        ("hotfix", "fix", "hotfix; fix"),
        ("a" * 250, "b" * 248, "a" * 250 + "; " + "b" * 248),
        ("a" * 250, "b" * 249, "a" * 250 + "; " + "b" * 247 + "…"),
    ],
)
def test_two_orders_of_one_deploy_keep_both_notes(first: str, second: str, both: str) -> None:
    assert both_notes(first, second) == both
    assert len(both) <= MAX_NOTE
