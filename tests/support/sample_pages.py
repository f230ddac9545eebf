"""Projects, stages, deploys and pushes as they are in the life of a small company."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tagboat.core.catalog import HeldPush, Project, Stage, run_config
from tagboat.core.deploy import (
    PENDING_STEPS,
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
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.ports import Store, Tx
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace
from tests.support.endpoints import at

LOG = """starting mailer 0.9.2 (commit 77aa012)
config: SMTP_FROM is not set, using noreply@example.com
Traceback (most recent call last):
  File "/app/mailer/main.py", line 41, in <module>
    serve(port=8080, database=os.environ["DATABASE_URL"])
KeyError: 'DATABASE_URL'"""
_DETAILS = {
    StepName.RESOLVE: "v is sha256:1a9cb7335272",
    StepName.PULL: "61 MB, 3 new layers",
    StepName.START: "started shop-prod-1a9cb7",
    StepName.CHECK: "GET /health answered 200",
    StepName.SWITCH: "it is live",
    StepName.WATCH: "healthy for 10 s",
    StepName.DRAIN: "no request was left",
    StepName.RETIRE: "retired shop-prod-0f0f0f",
}


@dataclass(slots=True)
class Sample:
    """Puts things on record; `now` is when it looks."""

    tx: Tx
    now: datetime

    def project(self, name: str) -> Project:
        """A project."""
        found = Project(
            id=new_id(),
            name=name,
            image=ImageName("git.example.com", f"acme/{name}"),
            port=8080,
            healthcheck="/health",
            created_at=self.now - timedelta(days=90),
        )
        self.tx.add_project(found)
        return found

    def stage(self, project: Project, name: str, position: int = 0, **changes: object) -> Stage:
        """A stage."""
        found = Stage(
            id=new_id(),
            project_id=project.id,
            name=name,
            pattern=parse_tag_pattern("*"),
            position=position,
            created_at=self.now - timedelta(days=90),
        )
        found = replace(found, **changes)  # type: ignore[arg-type]
        self.tx.add_stage(found)
        return found

    def deploy(
        self,
        stage: Stage,
        tag: str,
        ago: timedelta,
        status: DeployStatus = DeployStatus.SUCCEEDED,
        **changes: object,
    ) -> Deploy:
        """A deploy that began `ago`."""
        began = self.now - ago
        steps = tuple(
            Step(name, StepStatus.DONE, began, began + timedelta(seconds=1.3), _DETAILS[name])
            for name in StepName
        )
        found = Deploy(
            id=new_id(),
            project_id=stage.project_id,
            stage_id=stage.id,
            tag=tag,
            digest=digest_of(tag),
            trigger=Trigger.WEBHOOK,
            status=status,
            steps=steps if status is DeployStatus.SUCCEEDED else PENDING_STEPS,
            created_at=began,
            started_at=began if status is not DeployStatus.QUEUED else None,
            finished_at=began + timedelta(seconds=14) if status.final else None,
        )
        found = replace(found, **changes)  # type: ignore[arg-type]
        self.tx.add_deploy(found)
        return found

    def live(self, stage: Stage, tag: str, ago: timedelta) -> tuple[Deploy, Instance]:
        """A deploy that is live since `ago`."""
        deploy = self.deploy(stage, tag, ago)
        return deploy, self.instance(deploy, InstanceState.LIVE)

    def instance(self, deploy: Deploy, state: InstanceState) -> Instance:
        """The instance of a deploy, started as its stage is set now."""
        config = run_config(self.tx.project(deploy.project_id), self.tx.stage(deploy.stage_id))
        self.tx.put_deploy_config(deploy.id, config)
        found = Instance(
            id=new_id(),
            deploy_id=deploy.id,
            project_id=deploy.project_id,
            stage_id=deploy.stage_id,
            tag=deploy.tag,
            digest=digest_of(deploy.tag),
            state=state,
            container=f"app-{deploy.id[:8]}-{state}",
            endpoints=(at(40000),),
            fingerprint=config.fingerprint,
            started_at=deploy.created_at,
            live_at=deploy.created_at if state is not InstanceState.STARTING else None,
        )
        self.tx.add_instance(found)
        return found

    def waits(self, stage: Stage, tag: str, ago: timedelta) -> None:
        """A push that waits for a person."""
        push = HeldPush(
            stage_id=stage.id, tag=tag, digest=None, source="webhook", seen_at=self.now - ago
        )
        self.tx.add_held_push(push)


def digest_of(tag: str) -> Digest:
    """A digest for each tag."""
    return Digest("sha256:" + (tag.encode().hex() * 64)[:64])


def steps_until(name: StepName, detail: str, began: datetime) -> tuple[Step, ...]:
    """The steps of a deploy that is at `name`."""
    order = list(StepName)
    found = []
    for step in PENDING_STEPS:
        if order.index(step.name) < order.index(name):
            done = began + timedelta(seconds=1.3)
            found.append(Step(step.name, StepStatus.DONE, began, done, _DETAILS[step.name]))
        elif step.name is name:
            found.append(Step(name, StepStatus.RUNNING, began + timedelta(seconds=4), None, detail))
        else:
            found.append(step)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Filled:
    """Ids of what a test looks for."""

    running: str
    queued: str
    failed: str
    live: str
    held: str


async def fill(store: Store, more: Sequence[str] = ()) -> Filled:
    """Put the sample on record, with further projects of the names `more`."""
    now = datetime.now(UTC)
    return await store.write(lambda tx: _fill(Sample(tx, now), more))


def _fill(sample: Sample, more: Sequence[str]) -> Filled:
    shop = sample.project("shop")
    dev, staging, prod = (
        sample.stage(shop, "dev", 2),
        sample.stage(shop, "staging", 1, held=True),
        sample.stage(shop, "prod", 0),
    )
    sample.live(dev, "main-8f3c2a1", timedelta(minutes=12))
    sample.live(staging, "v1.4.9", timedelta(hours=2))
    sample.waits(staging, "v1.5.0-rc1", timedelta(hours=1))
    sample.waits(staging, "v1.5.1-rc1", timedelta(minutes=5))
    live, old = sample.live(prod, "v1.4.8", timedelta(days=3))
    running = sample.deploy(
        prod,
        "v1.5.0",
        timedelta(seconds=14),
        DeployStatus.RUNNING,
        steps=steps_until(
            StepName.CHECK,
            "GET /health: connection refused, 12 s of 60 s",
            sample.now - timedelta(seconds=14),
        ),
        replaced=(old.id,),
    )
    sample.instance(running, InstanceState.STARTING)
    for number in range(1, 5):
        preview = sample.stage(shop, f"pr-{number}", 10 + number)
        sample.live(preview, f"pr-{number}-abc{number}", timedelta(hours=number))

    billing = sample.project("billing")
    sample.live(sample.stage(billing, "dev"), "main-11b90de", timedelta(days=1))
    waits = sample.stage(billing, "staging")
    sample.live(waits, "v2.0.0-rc2", timedelta(days=2))
    queued = sample.deploy(waits, "v2.0.0-rc3", timedelta(seconds=3), DeployStatus.QUEUED)
    sample.live(sample.stage(billing, "prod"), "v1.12.4", timedelta(days=9))

    mailer = sample.project("mailer")
    sample.live(sample.stage(mailer, "dev"), "v0.9.2", timedelta(minutes=40))
    bad = sample.stage(mailer, "prod")
    sample.live(bad, "v0.9.1", timedelta(days=21))
    steps = steps_until(StepName.CHECK, "", sample.now - timedelta(minutes=30))
    failed = sample.deploy(
        bad,
        "v0.9.2",
        timedelta(minutes=30),
        DeployStatus.FAILED,
        reason="Nothing accepted a connection on port 8080 within 60 s. Does the app listen on"
        " 0.0.0.0:8080? Change the port: `tagboat projects edit mailer --port N`.",
        steps=tuple(
            replace(
                step,
                status=StepStatus.FAILED,
                finished_at=sample.now - timedelta(minutes=29),
                detail="connection refused",
            )
            if step.status is StepStatus.RUNNING
            else step
            for step in steps
        ),
        log=LOG,
    )
    sample.live(sample.stage(sample.project("docs"), "prod"), "2026.11.28", timedelta(minutes=5))
    importer = sample.project("importer")
    _, ill = sample.live(sample.stage(importer, "dev"), "main-77aa012", timedelta(minutes=50))
    sample.tx.put_vitals(
        Vitals(
            instance_id=ill.id,
            running=True,
            restarting=True,
            paused=False,
            restarts=7,
            health=None,
            crashes=5,
            trouble=Trouble.CRASH_LOOP,
            detail="it has crashed 5 times in a row; its log says why",
            changed_at=sample.now - timedelta(minutes=20),
        )
    )
    held = sample.stage(importer, "prod", auto_deploy=False)
    sample.live(held, "v3.1.0", timedelta(days=60))
    sample.waits(held, "v3.2.0", timedelta(days=2))
    sample.stage(sample.project("a-name-of-sixty-three-characters-" + "x" * 29), "prod")
    for name in more:
        project = sample.project(name)
        for position, stage in enumerate(("prod", "staging", "dev")):
            sample.live(
                sample.stage(project, stage, position), f"v1.{len(name)}.0", timedelta(days=4)
            )
    return Filled(running.id, queued.id, failed.id, live.id, staging.id)
