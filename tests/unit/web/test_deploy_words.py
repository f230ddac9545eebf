from datetime import timedelta

import pytest

from tagboat.core.catalog import Project
from tagboat.core.deploy import (
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
)
from tagboat.core.image import ImageName
from tagboat.core.values import replace
from tagboat.operations.queries.deploy_page import SurroundedDeploy
from tagboat.operations.views import DeployView
from tagboat.web.deploy_words import (
    deploy_sentence,
    deploy_title,
    duration_of,
    step_sentence,
    step_words,
)
from tagboat.web.messages import Tone
from tests.unit.web.test_cell_words import NOW, STAGE, a_deploy, an_instance

PROJECT = Project(id="p", name="shop", image=ImageName("a.example.com", "b"), created_at=NOW)
OLD = an_instance("v1.4.8")
OWN = an_instance("v1.5.0")


def at(name: StepName, detail: str = "", status: StepStatus = StepStatus.RUNNING) -> Deploy:
    return a_deploy("v1.5.0", DeployStatus.RUNNING).with_step(Step(name, status, NOW, None, detail))


def page(
    deploy: Deploy,
    instance: Instance | None = None,
    before: Instance | None = OLD,
    serving: tuple[Instance, ...] = (OLD,),
) -> SurroundedDeploy:
    return SurroundedDeploy(
        view=DeployView(deploy, PROJECT, STAGE),
        instance=instance,
        before=before,
        serving=serving,
        address=None,
    )


QUEUED = a_deploy("v1.5.0", DeployStatus.QUEUED)
FAILED = a_deploy("v1.5.0", DeployStatus.FAILED, reason="it was not healthy within 60 s")
DONE = a_deploy("v1.5.0", DeployStatus.SUCCEEDED)


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        (page(QUEUED), "v1.5.0 waits for its turn in prod. v1.4.8 serves."),
        (page(QUEUED, serving=()), "v1.5.0 waits for its turn in prod. Nothing serves."),
        (
            page(at(StepName.PULL, "38 MB of 61 MB")),
            "Pulling the image: 38 MB of 61 MB. v1.4.8 serves.",
        ),
        (
            page(at(StepName.WATCH, "healthy for 6 s of 10 s"), OWN, serving=(OWN,)),
            "v1.5.0 is live and being watched: healthy for 6 s of 10 s. v1.4.8 is kept until then.",
        ),
        (
            page(at(StepName.WATCH), OWN, None, serving=(OWN,)),
            "v1.5.0 is live and being watched: just begun.",
        ),
        (
            page(at(StepName.DRAIN, "2 requests"), OWN, serving=(OWN,)),
            "v1.5.0 is live. Waiting for open requests: 2 requests.",
        ),
        (
            page(at(StepName.CHECK, "connection refused", StepStatus.FAILED)),
            "Taking it back: check failed. v1.4.8 serves.",
        ),
        (
            page(replace(at(StepName.CHECK), cancelling=True)),
            "Cancelling: what served before serves again. v1.4.8 serves.",
        ),
        (page(FAILED), "v1.5.0 failed: it was not healthy within 60 s. v1.4.8 serves."),
        (
            page(FAILED, serving=()),
            "v1.5.0 failed: it was not healthy within 60 s. Nothing serves.",
        ),
        (
            page(replace(FAILED, reason="Change it: `a b`.")),
            "v1.5.0 failed: Change it: `a b`. v1.4.8 serves.",
        ),
        (page(DONE, OWN, serving=(OWN,)), "v1.5.0 is live in prod."),
        (
            page(DONE, replace(OWN, state=InstanceState.STOPPED)),
            "v1.5.0 was live, and has been replaced. v1.4.8 serves.",
        ),
        (page(replace(DONE, reason="already live"), None), "v1.5.0: already live."),
        (
            page(a_deploy("v1.5.0", DeployStatus.CANCELLED), serving=(OLD, OWN)),
            "v1.5.0 was cancelled. v1.4.8, v1.5.0 serve.",
        ),
        (
            page(a_deploy("v1.5.0", DeployStatus.SUPERSEDED, reason="v1.6.0 came")),
            "v1.5.0 was not deployed: v1.6.0 came. v1.4.8 serves.",
        ),
    ],
)
def test_the_sentence_says_what_became_of_it_and_what_serves(
    shown: SurroundedDeploy, sentence: str
) -> None:
    assert deploy_sentence(shown) == sentence


def test_the_title_is_the_change() -> None:
    assert deploy_title(page(DONE)) == "v1.4.8 → v1.5.0"
    assert deploy_title(page(DONE, before=None)) == "v1.5.0"
    assert deploy_title(page(replace(DONE, tag="v1.4.8"))) == "v1.4.8"


def test_a_step_says_how_long_it_took() -> None:
    began = NOW - timedelta(seconds=6)
    done = Step(StepName.PULL, StepStatus.DONE, began, NOW - timedelta(seconds=4), "61 MB")
    assert step_words(done, NOW).lasted == timedelta(seconds=2)
    running = replace(done, status=StepStatus.RUNNING, finished_at=None)
    assert (step_words(running, NOW).lasted, step_words(running, NOW).tone) == (
        timedelta(seconds=6),
        Tone.RUN,
    )
    assert step_words(replace(done, status=StepStatus.SKIPPED), NOW).lasted is None
    assert step_words(Step(StepName.PULL), NOW).lasted is None


def test_a_deploy_lasts_from_its_start() -> None:
    assert duration_of(QUEUED, NOW) is None
    begun = replace(DONE, started_at=NOW - timedelta(seconds=9))
    assert duration_of(begun, NOW) == timedelta(seconds=9)
    assert duration_of(replace(begun, finished_at=NOW - timedelta(seconds=1)), NOW) == timedelta(
        seconds=8
    )


def test_between_two_steps_nothing_is_made_up() -> None:
    assert step_sentence(a_deploy("v1", DeployStatus.RUNNING)) == "Between two steps"
