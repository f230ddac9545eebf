"""What strains a page: the longest names, many stages and none, text from right to left."""

from datetime import UTC, datetime, timedelta

from tagboat.core.deploy import DeployStatus, StepName
from tagboat.core.ports import Store
from tagboat.core.values import replace
from tests.support.sample_pages import Sample, steps_until

LONGEST_NAME = 63
_HEBREW = "שגיאה: אין חיבור למסד הנתונים"
_LONG_LINE = "GET /" + "a" * 400 + " 200 0.8 ms"


async def fill_odd(store: Store) -> list[str]:
    """Put it on record; return the addresses at which it is looked at."""
    now = datetime.now(UTC)
    return await store.write(lambda tx: _fill(Sample(tx, now)))


def _fill(sample: Sample) -> list[str]:
    previews = sample.project("previews")
    for number in range(40):
        stage = sample.stage(previews, f"pr-{number + 100}", number)
        if number % 3:
            sample.live(stage, f"pr-{number + 100}-{number:07x}", timedelta(hours=number))
    sample.project("no-stage-yet")
    long = sample.project("l" + "o" * (LONGEST_NAME - 5) + "name")
    stage = sample.stage(long, "s" + "t" * (LONGEST_NAME - 4) + "age")
    sample.live(stage, "v" + "1.0" * 40, timedelta(days=1))
    failed = sample.deploy(
        stage,
        "main-" + "f" * 100,
        timedelta(minutes=3),
        DeployStatus.FAILED,
        reason="the new container exited with code 1",
        log="\n".join([_HEBREW, _LONG_LINE, *(f"line {number}" for number in range(2000))]),
    )
    waiting = sample.stage(sample.project("waiting"), "prod", auto_deploy=False)
    sample.waits(waiting, "v1.0.0", timedelta(hours=3))
    pulling = sample.deploy(
        sample.stage(sample.project("pulling"), "dev"),
        "v2",
        timedelta(seconds=20),
        DeployStatus.RUNNING,
        steps=steps_until(
            StepName.PULL, "120 of 610 MB, 3 of 9 layers", sample.now - timedelta(seconds=20)
        ),
    )
    held = sample.stage(sample.project("held"), "prod", held=True)
    sample.live(held, "v1", timedelta(days=400))
    sample.tx.put_stage(replace(held, held_at=sample.now, held_by="ada"))
    return [f"/deploys/{failed.id}", f"/deploys/{pulling.id}"]
