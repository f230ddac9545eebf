"""How the time of an instance as the live one ended."""

from datetime import UTC, datetime

import pytest

from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
    TakenBack,
    Trigger,
)
from tagboat.core.ending import EndingKind, how_it_ended
from tagboat.core.image import Digest
from tagboat.core.values import replace

NOW = datetime(2026, 11, 29, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
OWN = Deploy(
    id="1",
    project_id="p",
    stage_id="s",
    tag="v1",
    digest=DIGEST,
    trigger=Trigger.WEBHOOK,
    status=DeployStatus.SUCCEEDED,
    created_at=NOW,
)
NEXT = replace(OWN, id="2", tag="v2")
BACK = replace(NEXT, tag="v0", trigger=Trigger.ROLLBACK)
FAILED = replace(OWN, status=DeployStatus.FAILED, reason="not healthy any more").with_step(
    Step(StepName.WATCH, StepStatus.FAILED)
)
STUCK = replace(OWN, status=DeployStatus.FAILED, reason="the ingress is away")
CANCELLED = replace(OWN, status=DeployStatus.CANCELLED)
OVERTAKEN = replace(OWN, status=DeployStatus.SUPERSEDED, reason="v2 was pushed")
TAKEN = TakenBack(
    stage_id="s", digest=DIGEST, fingerprint="f", tag="v1", reason="a person rolled back", at=NOW
)
OTHER = replace(TAKEN, fingerprint="other")
LIVE, GONE, BAD = InstanceState.LIVE, InstanceState.STOPPED, InstanceState.FAILED


def instance(state: InstanceState) -> Instance:
    return Instance(
        id="i",
        deploy_id="1",
        project_id="p",
        stage_id="s",
        tag="v1",
        digest=DIGEST,
        state=state,
        container="c",
        endpoints=(),
        fingerprint="f",
        started_at=NOW,
        live_at=NOW,
    )


@pytest.mark.parametrize(
    ("state", "own", "successor", "taken_back", "kind", "reason"),
    [
        (LIVE, OWN, None, [], EndingKind.SERVING, "serves now"),
        (LIVE, OWN, NEXT, [TAKEN], EndingKind.SERVING, "serves now"),
        (GONE, OWN, NEXT, [], EndingKind.REPLACED, "replaced by v2"),
        (InstanceState.DRAINING, OWN, NEXT, [], EndingKind.REPLACED, "replaced by v2"),
        (GONE, OWN, BACK, [TAKEN], EndingKind.ROLLED_BACK, "rolled back to v0"),
        (GONE, OWN, None, [TAKEN], EndingKind.ROLLED_BACK, "a person rolled back"),
        (GONE, OWN, None, [OTHER], EndingKind.RETIRED, "retired: nothing replaced it"),
        (BAD, FAILED, None, [TAKEN], EndingKind.FAILED_WATCH, "not healthy any more"),
        (BAD, STUCK, None, [], EndingKind.FAILED_WATCH, "the ingress is away"),
        (BAD, CANCELLED, None, [TAKEN], EndingKind.ROLLED_BACK, "a person rolled back"),
        (BAD, CANCELLED, None, [OTHER], EndingKind.CANCELLED, "the deploy was cancelled"),
        (BAD, OVERTAKEN, None, [], EndingKind.REPLACED, "v2 was pushed"),
    ],
)
def test_how_it_ended(  # one case of the table
    state: InstanceState,
    own: Deploy,
    successor: Deploy | None,
    taken_back: list[TakenBack],
    kind: EndingKind,
    reason: str,
) -> None:
    ending = how_it_ended(instance(state), own, successor, taken_back)
    assert (ending.kind, ending.reason) == (kind, reason)
