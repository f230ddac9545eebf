from datetime import UTC, datetime, timedelta

import pytest

from tagboat.core.catalog import HeldPush, Project, Stage
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.health import Trouble, Vitals
from tagboat.core.image import Digest, ImageName
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tagboat.operations.queries.matrix import MatrixRow, StageCell
from tagboat.web.cell_words import CellWords, cell_words, column_names, row_line, tag_change
from tagboat.web.messages import Tone

NOW = datetime(2026, 11, 29, 14, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
STAGE = Stage(id="s", project_id="p", name="prod", pattern=parse_tag_pattern("*"), created_at=NOW)


def a_deploy(tag: str, status: DeployStatus, **changes: object) -> Deploy:
    made = Deploy(
        id=f"d-{tag}",
        project_id="p",
        stage_id="s",
        tag=tag,
        digest=DIGEST,
        trigger=Trigger.WEBHOOK,
        status=status,
        created_at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def an_instance(tag: str) -> Instance:
    return Instance(
        id=f"i-{tag}",
        deploy_id="d",
        project_id="p",
        stage_id="s",
        tag=tag,
        digest=DIGEST,
        state=InstanceState.LIVE,
        container="c",
        endpoints=(),
        fingerprint="0",
        started_at=NOW - timedelta(days=3),
    )


def a_push(tag: str) -> HeldPush:
    return HeldPush(stage_id="s", tag=tag, digest=None, source="webhook", seen_at=NOW)


def trouble(kind: Trouble) -> Vitals:
    return Vitals(
        instance_id="i",
        running=True,
        restarting=False,
        paused=False,
        restarts=3,
        health=None,
        trouble=kind,
        detail="it has crashed 5 times",
        changed_at=NOW - timedelta(minutes=5),
    )


RUNNING = a_deploy("v1.5.0", DeployStatus.RUNNING).with_step(
    Step(StepName.WATCH, StepStatus.RUNNING, NOW, None, "healthy for 6 s of 10 s")
)
LIVE = StageCell(stage=STAGE, live=(an_instance("v1.4.8"),))


def seen(cell: StageCell) -> tuple[Tone, str, str, Tone]:
    words = cell_words(cell)
    return words.tone, words.text, words.pill, words.pill_tone


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (StageCell(stage=STAGE), (Tone.PLAIN, "nothing live", "", Tone.PLAIN)),
        (LIVE, (Tone.OK, "v1.4.8", "", Tone.PLAIN)),
        (
            replace(LIVE, live=(an_instance("b"), an_instance("a"))),
            (Tone.OK, "2 live", "", Tone.PLAIN),
        ),
        (replace(LIVE, under_way=(RUNNING,)), (Tone.RUN, "v1.4.8 → v1.5.0", "watch", Tone.RUN)),
        (
            replace(LIVE, under_way=(replace(RUNNING, cancelling=True),)),
            (Tone.RUN, "v1.4.8 → v1.5.0", "cancelling", Tone.RUN),
        ),
        (
            replace(LIVE, under_way=(a_deploy("v1.4.8", DeployStatus.QUEUED),)),
            (Tone.WAIT, "v1.4.8", "queued", Tone.WAIT),
        ),
        (
            StageCell(stage=STAGE, under_way=(a_deploy("v1", DeployStatus.RUNNING),)),
            (Tone.RUN, "v1", "running", Tone.RUN),
        ),
        (
            # Of several the one that comes last is what the stage will have.
            replace(LIVE, under_way=(RUNNING, a_deploy("v1.6.0", DeployStatus.QUEUED))),
            (Tone.WAIT, "v1.4.8 → v1.6.0", "queued", Tone.WAIT),
        ),
        (
            replace(LIVE, trouble=trouble(Trouble.CRASH_LOOP)),
            (Tone.BAD, "v1.4.8", "restarting", Tone.BAD),
        ),
        (
            replace(LIVE, trouble=trouble(Trouble.UNHEALTHY), waiting=(a_push("v2"),)),
            (Tone.BAD, "v1.4.8", "unhealthy", Tone.BAD),
        ),
        (
            replace(LIVE, newest=a_deploy("v1.5.0", DeployStatus.FAILED, reason="no answer")),
            (Tone.OK, "v1.4.8", "v1.5.0 failed", Tone.BAD),
        ),
        (
            replace(LIVE, newest=a_deploy("v1.5.0", DeployStatus.CANCELLED)),
            (Tone.OK, "v1.4.8", "", Tone.PLAIN),
        ),
        (
            StageCell(stage=STAGE, newest=a_deploy("v1", DeployStatus.FAILED)),
            (Tone.BAD, "v1", "failed", Tone.BAD),
        ),
        (
            StageCell(
                stage=replace(STAGE, stopped_at=NOW),
                newest=a_deploy("v1", DeployStatus.FAILED, finished_at=NOW - timedelta(hours=1)),
            ),
            (Tone.PLAIN, "stopped", "", Tone.PLAIN),
        ),
        (
            StageCell(
                stage=replace(STAGE, stopped_at=NOW),
                newest=a_deploy("v1", DeployStatus.FAILED, finished_at=NOW + timedelta(hours=1)),
            ),
            (Tone.BAD, "v1", "failed", Tone.BAD),
        ),
        (
            replace(LIVE, stage=replace(STAGE, held=True)),
            (Tone.OK, "v1.4.8", "held", Tone.WAIT),
        ),
        (
            replace(LIVE, stage=replace(STAGE, held=True), waiting=(a_push("a"), a_push("b"))),
            (Tone.OK, "v1.4.8", "held, 2 wait", Tone.WAIT),
        ),
        (replace(LIVE, waiting=(a_push("v2"),)), (Tone.OK, "v1.4.8", "v2 waits", Tone.WAIT)),
        (
            replace(LIVE, waiting=(a_push("v2"), a_push("v3"))),
            (Tone.OK, "v1.4.8", "2 newer wait", Tone.WAIT),
        ),
        (
            StageCell(stage=STAGE, waiting=(a_push("v2"),)),
            (Tone.PLAIN, "nothing live", "v2 waits", Tone.WAIT),
        ),
    ],
)
def test_a_cell(cell: StageCell, expected: tuple[Tone, str, str, Tone]) -> None:
    assert seen(cell) == expected


def test_a_cell_says_since_when_and_why() -> None:
    assert cell_words(LIVE).since == NOW - timedelta(days=3)
    ill = cell_words(replace(LIVE, trouble=trouble(Trouble.DOWN)))
    assert (ill.since, ill.title) == (NOW - timedelta(minutes=5), "it has crashed 5 times")
    running: CellWords = cell_words(replace(LIVE, under_way=(RUNNING,)))
    assert (running.deploy_id, running.title) == ("d-v1.5.0", "healthy for 6 s of 10 s")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("v1.4.8", "v1.5.0", "v1.4.8 → v1.5.0"),
        ("v2.0.0-rc2", "v2.0.0-rc3", "v2.0.0-rc2 → rc3"),
        ("main-8f3c2a1", "main-11b90de", "main-8f3c2a1 → 11b90de"),
        ("a-b-1", "a-b-2", "a-b-1 → 2"),
        ("main-", "main-", "main- → main-"),
        ("main-1", "main-", "main-1 → main-"),
        ("main", "main-2", "main → main-2"),
    ],
)
def test_a_change_of_tags_names_the_common_part_once(old: str, new: str, text: str) -> None:
    assert tag_change(old, new) == text


def rows(*names: str) -> list[MatrixRow]:
    project = Project(id="p", name="p", image=ImageName("a.example.com", "b"), created_at=NOW)
    cells = tuple(StageCell(stage=replace(STAGE, name=name)) for name in names)
    return [MatrixRow(project, cells)]


def test_each_cell_stands_in_its_column_or_among_the_others() -> None:
    (row,) = rows("prod", "pr-1", "dev")
    prod, preview, dev = row.cells
    line = row_line(row, ("dev", "staging", "prod"))
    assert line.cells == (("dev", dev), ("staging", None), ("prod", prod))
    assert line.others == (preview,)


@pytest.mark.parametrize(
    ("here", "names", "columns"),
    [
        ((), [], ()),
        (("dev",), [("dev", 3)], ("dev",)),
        (
            ("prod", "dev", "staging"),
            [("prod", 9), ("dev", 8), ("staging", 2)],
            ("dev", "staging", "prod"),
        ),
        (
            ("prod", "dev", "staging", "pr-1", "pr-2"),
            [("prod", 9), ("dev", 8), ("staging", 2), ("pr-1", 1), ("pr-2", 1)],
            ("dev", "staging", "prod"),
        ),
        (
            ("prod", "dev", "staging", "qa"),
            [("prod", 9), ("dev", 8), ("staging", 2), ("qa", 1)],
            ("dev", "qa", "staging", "prod"),
        ),
        (("blue", "prod"), [("blue", 1), ("prod", 1)], ("blue", "prod")),
    ],
)
def test_the_most_common_stages_have_columns_in_the_way_of_a_tag(
    here: tuple[str, ...], names: list[tuple[str, int]], columns: tuple[str, ...]
) -> None:
    assert column_names(rows(*here), names) == columns
