"""Why a stage does not serve what the stage before it serves."""

from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.catalog import Stage
from tagboat.core.deploy import (
    PENDING_STEPS,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Trigger,
)
from tagboat.core.health import Trouble, Vitals
from tagboat.core.image import Digest
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.operations.queries.lane import Gap, GapReason, gap_between
from tagboat.operations.queries.matrix import StageCell

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ONE, OTHER = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)


def live(tag: str, digest: Digest) -> Instance:
    return Instance(
        id=tag,
        deploy_id="d",
        project_id="p",
        stage_id="s",
        tag=tag,
        digest=digest,
        state=InstanceState.LIVE,
        container=tag,
        endpoints=(),
        fingerprint="0",
        started_at=NOW - timedelta(hours=1),
    )


def stage_cell(name: str, *instances: Instance, pattern: str = "*", **changes: object) -> StageCell:
    stage = Stage(
        id=name, project_id="p", name=name, pattern=parse_tag_pattern(pattern), created_at=NOW
    )
    return StageCell(stage=replace(stage, **changes), live=instances)  # type: ignore[arg-type]


BEFORE = stage_cell("dev", live("v2", ONE))
UNDER_WAY = Deploy(
    id="d",
    project_id="p",
    stage_id="prod",
    tag="v2",
    digest=ONE,
    trigger=Trigger.PROMOTE,
    status=DeployStatus.RUNNING,
    steps=PENDING_STEPS,
    created_at=NOW,
)
ILL = Vitals(
    instance_id="v2",
    running=True,
    restarting=False,
    paused=False,
    restarts=0,
    health=None,
    crashes=0,
    trouble=Trouble.UNHEALTHY,
    detail="ill",
    changed_at=NOW,
)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (stage_cell("dev"), stage_cell("prod", live("v1", OTHER)), GapReason.NOTHING_BEFORE),
        (BEFORE, stage_cell("prod", live("other-name", ONE)), GapReason.SAME),
        (BEFORE, stage_cell("prod", live("v3", OTHER), live("v2", ONE)), GapReason.SAME),
        (BEFORE, replace(stage_cell("prod"), under_way=(UNDER_WAY,)), GapReason.UNDER_WAY),
        (BEFORE, stage_cell("prod", held=True), GapReason.HELD),
        (replace(BEFORE, trouble=ILL), stage_cell("prod"), GapReason.UNWELL),
        (BEFORE, stage_cell("prod", pattern="main-*"), GapReason.NO_MATCH),
        (BEFORE, stage_cell("prod", auto_deploy=False), GapReason.BY_HAND),
        (BEFORE, stage_cell("prod", live("v2", OTHER)), GapReason.NOT_YET),
    ],
)
def test_the_reason_that_matters_first(
    before: StageCell, after: StageCell, reason: GapReason
) -> None:
    gap = gap_between(before, after)
    assert gap.reason is reason
    nothing_to_promote = reason in {GapReason.NOTHING_BEFORE, GapReason.SAME}
    assert gap == Gap(reason) if nothing_to_promote else gap.offered == before.live[0]
