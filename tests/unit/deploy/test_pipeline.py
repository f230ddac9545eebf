"""The steps of a deploy: what each does, and how each fails."""

from collections.abc import Callable

import pytest

from tagboat.core.deploy import Deploy, DeployStatus, InstanceState, StepName, StepStatus, Trigger
from tagboat.core.errors import (
    DiskFullError,
    EndpointTakenError,
    EngineError,
    EngineUnavailableError,
    RegistryDeniedError,
    RegistryRateLimitedError,
    RegistryUnreachableError,
)
from tagboat.core.image import Digest, ImageInfo
from tagboat.core.push import Outcome
from tagboat.core.values import replace
from tagboat.deploy.containers import LOG_LINES
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.retry import delays
from tagboat.runtime.memory import MemoryImage
from tests.support.endpoints import port_of
from tests.unit.deploy.deploy_harness import (
    FIRST_PORT,
    IMAGE,
    INSTALLATION,
    REFUSED,
    World,
    assert_fails,
    assert_only,
    statuses,
)

pytestmark = pytest.mark.anyio


# From nothing to live.


async def test_a_first_deploy_goes_through_every_step(world: World) -> None:
    digest = world.publish("v1")
    deploy = await world.queue("v1")

    ended = await world.carry_out(deploy)

    assert (ended.status, ended.reason, ended.digest) == (
        DeployStatus.SUCCEEDED,
        "v1 is live",
        digest,
    )
    without_ingress = dict.fromkeys((StepName.WATCH, StepName.DRAIN), StepStatus.SKIPPED)
    assert statuses(ended) == dict.fromkeys(StepName, StepStatus.DONE) | without_ingress
    assert ended.step(StepName.RESOLVE).detail == f"v1 is {digest}"
    assert ended.step(StepName.PULL).detail == "pulled"
    assert ended.step(StepName.CHECK).detail == "it answers"
    assert all(
        step.started_at and step.finished_at and step.started_at <= step.finished_at
        for step in ended.steps
    )
    assert (world.ended(DeployStatus.SUCCEEDED), len(world.counters.read())) == (1, 1)
    timed = {
        dict(labels)["step"]: found for (_, labels), found in world.counters.durations().items()
    }
    assert timed.keys() == set(StepName) - without_ingress.keys()
    assert {found.number for found in timed.values()} == {1}
    instance = await world.instance_of(ended)
    assert (instance.tag, instance.digest, port_of(instance)) == ("v1", digest, FIRST_PORT)
    await assert_only(world, instance)


async def test_the_container_is_named_labelled_and_configured(world: World) -> None:
    await world.change_project(env={"A": "project", "B": "project"})
    await world.change_stage(env={"B": "stage"})
    digest = world.publish("v1")
    deploy = await world.queue("v1")

    await world.carry_out(deploy)

    (held,) = world.runtime._containers.values()
    assert held.spec.name == world.container_of(deploy)
    assert held.spec.image == f"{IMAGE}@{digest}"
    assert held.spec.labels == {
        "tagboat.managed": "true",
        "tagboat.project": "app",
        "tagboat.stage": "dev",
        "tagboat.deploy": deploy.id,
        "tagboat.installation": INSTALLATION,
        "tagboat.claim": "0",
        "tagboat.role": "instance",
    }
    assert held.spec.env == {"A": "project", "B": "stage"}
    assert (held.spec.port, port_of(held.spec)) == (8080, FIRST_PORT)


async def test_the_next_one_replaces_it_and_only_once_it_is_live(world: World) -> None:
    old = await world.ship("v1")
    began = len(world.runtime.journal)

    new = await world.ship("v2")

    assert [line.split()[0] for line in world.runtime.journal[began:]] == [
        "pull",
        "create",
        "start",
        "stop",
        "remove",
    ]
    await assert_only(world, new)
    retired = await world.store.read(lambda reader: reader.instance(old.id))
    assert (retired.state, retired.stopped_at) == (InstanceState.STOPPED, world.clock.now())


async def test_the_old_one_serves_until_the_switch_and_drains_from_then_on(world: World) -> None:
    old = await world.ship("v1")
    seen: dict[str, list[InstanceState]] = {}

    async def look(moment: str) -> None:
        seen[moment] = [instance.state for instance in await world.instances()]

    world.calls.before("create", lambda: look("start"))
    world.calls.before("stop", lambda: look("retire"))
    await world.ship("v2")

    assert old.state is InstanceState.LIVE
    assert seen["start"] == [InstanceState.STARTING, InstanceState.LIVE]
    assert seen["retire"] == [InstanceState.LIVE, InstanceState.DRAINING]


async def test_the_engine_is_asked_of_an_image_only_until_it_holds_it(world: World) -> None:
    await world.ship("v1")
    began = len(world.calls.calls)

    await world.ship("v2")

    calls = world.calls.calls[began:]
    assert calls.count("inspect_image") == 1  # is it there? The pull tells the rest
    assert "inspect_image" not in calls[calls.index("create") - 1 :]


async def test_between_the_record_of_the_switch_and_traffic_only_the_routes_are_read(
    led: World,
) -> None:
    await led.ship("v1")
    began = len(led.calls.calls)

    await led.ship("v2")

    calls = led.calls.calls[began:]
    assert calls[: calls.index("apply_routes")][-3:] == ["status", "write", "read"]


async def test_several_tags_live_side_by_side_and_the_oldest_goes(world: World) -> None:
    await world.change_stage(max_instances=2)
    for tag in ("v1", "v2", "v3"):
        await world.ship(tag)

    assert [instance.tag for instance in await world.instances(InstanceState.LIVE)] == ["v3", "v2"]
    assert len(await world.containers()) == 2


async def test_of_several_the_one_of_the_same_tag_is_replaced(world: World) -> None:
    await world.change_stage(max_instances=2)
    first, second = await world.ship("v1"), await world.ship("v2")

    again = await world.ship("v1", MemoryImage(log=("a new build",)))

    assert [instance.id for instance in await world.instances(InstanceState.LIVE)] == [
        again.id,
        second.id,
    ]
    assert first.container not in await world.containers()


# Resolve.


async def test_the_digest_that_the_push_named_is_looked_up_all_the_same(world: World) -> None:
    digest = world.publish("v1")

    ended = await world.carry_out(await world.queue("v1", digest=digest))

    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v1 is live")
    assert world.tags.asked == ["v1"]


@pytest.mark.parametrize("named", ["another tag's", "one of before", "one of nothing"])
async def test_a_digest_that_is_not_the_tags_is_named_and_not_deployed(
    world: World, named: str
) -> None:
    other = world.publish("pr-666")
    before = world.publish("v1")
    right = world.publish("v1", MemoryImage(log=("a new build",)))
    wrong = {"another tag's": other, "one of before": before}.get(
        named, Digest("sha256:" + "0" * 64)
    )

    ended = await world.carry_out(await world.queue("v1", digest=wrong))

    (live,) = await world.instances(InstanceState.LIVE)
    assert (ended.status, ended.digest, live.digest) == (DeployStatus.SUCCEEDED, right, right)
    assert (
        f"the push named {wrong}, which is not what the tag points to now, and is not deployed"
        in str(ended.reason)
    )
    assert ended.step(StepName.RESOLVE).detail.startswith(f"v1 is {right}; ")
    known = await world.store.read(lambda reader: reader.known_tag(world.project.id, "v1"))
    assert known is not None
    assert known.digest == right


async def test_a_late_push_of_what_the_tag_was_leaves_what_is_live(world: World) -> None:
    before = world.publish("latest")
    world.publish("latest", MemoryImage(log=("a new build",)))
    first = await world.carry_out(await world.queue("latest"))

    late = await world.carry_out(await world.queue("latest", digest=before))

    assert (late.status, late.digest) == (DeployStatus.SUCCEEDED, first.digest)
    assert str(late.reason).startswith(f"already live; the push named {before}")


async def test_a_digest_does_not_stand_for_a_tag_that_the_registry_does_not_have(
    world: World,
) -> None:
    digest = world.publish("pr-666")
    deploy = await world.queue("v9.9.9", digest=digest)
    ended = await world.carry_out(deploy)
    assert (ended.status, ended.reason) == (
        DeployStatus.FAILED,
        "the registry git.example.com has no tag v9.9.9",
    )
    assert world.clock.slept == []


async def test_what_a_tag_resolved_to_is_known_from_then_on(world: World) -> None:
    digest = world.publish("v1")
    await world.carry_out(await world.queue("v1"))

    known = await world.store.read(lambda reader: reader.known_tag(world.project.id, "v1"))

    assert known is not None
    assert (known.digest, known.source) == (digest, "webhook")


async def test_a_push_merged_in_while_the_tag_is_looked_up_has_it_looked_up_again(
    world: World,
) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    await world.change_deploy(deploy, status=DeployStatus.RUNNING)

    async def push_anew() -> None:
        newer = world.publish("v1", MemoryImage(log=("a new build",)))
        queue = DeployQueue(world.clock.now)
        queued = await world.store.write(
            lambda tx: queue.trigger_deploy(
                world.project.id, world.stage.id, "v1", tx=tx, digest=newer
            )
        )
        assert queued.deploy_id == deploy.id

    world.calls.after("resolve", push_anew)
    ended = await world.carry_out(deploy)

    assert world.tags.asked == ["v1", "v1"]
    assert ended.digest == world.tags.digests["v1"]


async def test_a_tag_that_the_registry_does_not_have_fails_at_once(world: World) -> None:
    await world.ship("v1")
    await assert_fails(world, "v2", StepName.RESOLVE, "has no tag v2")
    assert world.clock.slept == []


async def test_what_made_way_for_a_tag_that_there_is_not_is_queued_again(world: World) -> None:
    world.publish("v1")
    for tag in ("v1", "bogus", "v1", "bogus", "more-bogus"):
        newest = await world.queue(tag)

    async def carried_out(deploy: Deploy) -> Deploy:
        return await world.carry_out(await world.change_deploy(deploy, status=DeployStatus.RUNNING))

    ended = await carried_out(newest)
    assert (ended.status, ended.failed_step and ended.failed_step.name) == (
        DeployStatus.FAILED,
        StepName.RESOLVE,
    )

    async def waiting() -> list[Deploy]:
        return await world.store.read(lambda reader: reader.open_deploys(world.stage.id))

    (second,) = await waiting()
    assert second.tag == "bogus"
    assert (await carried_out(second)).status is DeployStatus.FAILED
    (good,) = await waiting()
    assert (good.tag, good.trigger) == ("v1", Trigger.WEBHOOK)
    assert (await carried_out(good)).status is DeployStatus.SUCCEEDED
    assert await waiting() == []


async def test_what_made_way_for_what_is_not_an_image_is_queued_again(world: World) -> None:
    for tag in ("v1", "chart", "cache"):
        world.publish(tag)
    world.tags.others = {"chart": "a chart", "cache": "a build's cache"}
    for tag in ("v1", "chart", "cache"):
        newest = await world.queue(tag)

    async def not_pulled(deploy: Deploy) -> Deploy:
        world.runtime.fail("pull", EngineError("the engine cannot pull that"))
        return await world.carry_out(await world.change_deploy(deploy, status=DeployStatus.RUNNING))

    async def waiting() -> list[Deploy]:
        return await world.store.read(lambda reader: reader.open_deploys(world.stage.id))

    ended = await not_pulled(newest)
    reason = f"{IMAGE}:cache@{ended.digest} is not a container image: it is a build's cache"
    assert (ended.status, ended.reason) == (DeployStatus.FAILED, reason)
    known = await world.store.read(lambda reader: reader.known_tag(world.project.id, "cache"))
    assert known is not None
    assert known.verdict is not None
    assert (known.verdict.outcome, known.verdict.reason) == (Outcome.REFUSED, reason)
    (second,) = await waiting()
    assert second.tag == "chart"
    assert (await not_pulled(second)).status is DeployStatus.FAILED
    (good,) = await waiting()
    assert good.tag == "v1"
    ended = await world.carry_out(await world.change_deploy(good, status=DeployStatus.RUNNING))
    assert (ended.status, await waiting()) == (DeployStatus.SUCCEEDED, [])


async def test_what_made_way_for_an_image_that_cannot_be_pulled_stays_so(world: World) -> None:
    await world.queue("v1")
    world.publish("v2")
    world.runtime.fail("pull", EngineError("the engine cannot pull that"))
    await assert_fails(world, "v2", StepName.PULL, "the engine cannot pull that")
    assert await world.store.read(lambda reader: reader.open_deploys(world.stage.id)) == []


async def test_what_was_superseded_by_a_tag_that_there_is_stays_so(world: World) -> None:
    await world.queue("v0")
    await world.ship("v1")
    await assert_fails(world, "bogus", StepName.RESOLVE, "has no tag bogus")
    assert await world.store.read(lambda reader: reader.open_deploys(world.stage.id)) == []


async def test_a_login_that_is_refused_fails_at_once(world: World) -> None:
    world.tags.failures = [RegistryDeniedError("the registry refused the login")]
    await assert_fails(world, "v1", StepName.RESOLVE, "refused the login")
    assert world.clock.slept == []


async def test_a_registry_out_of_reach_is_asked_again_and_given_up_in_the_end(world: World) -> None:
    await world.ship("v1")
    world.tags.failures = [RegistryUnreachableError("no connection to the registry")] * 4
    await assert_fails(world, "v2", StepName.RESOLVE, "no connection to the registry")
    assert world.clock.slept == [1.0, 3.0, 9.0]
    assert world.tags.asked == ["v1", *["v2"] * 4]


async def test_a_registry_that_comes_back_is_no_failure_and_the_wait_is_told_meanwhile(
    world: World,
) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    world.tags.failures = [RegistryUnreachableError("no connection")]
    details: list[str] = []

    async def look() -> None:
        details.append((await world.deploy(deploy.id)).step(StepName.RESOLVE).detail)

    world.calls.before("resolve", look)
    world.calls.before("resolve", look)
    ended = await world.carry_out(deploy)

    assert ended.status is DeployStatus.SUCCEEDED
    assert details == ["", "no connection; trying again in 1 s"]


async def test_a_rate_limit_is_waited_out(world: World) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    world.tags.failures = [RegistryRateLimitedError("429", retry_at=deploy.created_at)]
    ended = await world.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert world.clock.slept == [0.5]


# Already live, and forced.


async def test_what_is_live_already_is_not_deployed_again(world: World) -> None:
    live = await world.ship("v1")
    began = len(world.runtime.journal)

    ended = await world.carry_out(await world.queue("v1"))

    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "already live")
    assert statuses(ended) == dict.fromkeys(StepName, StepStatus.SKIPPED) | {
        StepName.RESOLVE: StepStatus.DONE
    }
    assert world.runtime.journal[began:] == []
    await assert_only(world, live)


async def test_what_is_live_has_yet_to_pass_a_new_healthcheck(world: World) -> None:
    live = await world.ship("v1")
    await world.change_project(healthcheck="image")

    ended = await assert_fails(world, "v1", StepName.CHECK, "the image has no HEALTHCHECK")
    assert ended.digest == live.digest
    await assert_only(world, live)

    await world.change_project(healthcheck="/")
    ended = await world.carry_out(await world.queue("v1"))
    assert (ended.status, ended.reason) == (DeployStatus.SUCCEEDED, "v1 is live")
    again = await world.carry_out(await world.queue("v1"))
    assert again.reason == "already live"


async def test_the_live_digest_under_another_tag_only_changes_what_the_instance_is_called(
    world: World,
) -> None:
    live = await world.ship("v1")
    world.tags.digests["stable"] = live.digest

    ended = await world.carry_out(await world.queue("stable"))

    assert ended.reason == "already live"
    assert await world.instances(InstanceState.LIVE) == [replace(live, tag="stable")]


async def test_with_several_instances_another_tag_of_the_same_digest_gets_its_own(
    world: World,
) -> None:
    await world.change_stage(max_instances=2)
    live = await world.ship("v1")
    world.tags.digests["stable"] = live.digest

    await world.carry_out(await world.queue("stable"))

    assert [instance.tag for instance in await world.instances(InstanceState.LIVE)] == [
        "stable",
        "v1",
    ]


async def test_forced_it_is_deployed_again(world: World) -> None:
    old = await world.ship("v1")

    ended = await world.carry_out(await world.queue("v1", force=True))

    assert ended.reason == "v1 is live"
    assert ended.step(StepName.PULL).detail == "the engine had it already"
    new = await world.instance_of(ended)
    assert new.container != old.container
    await assert_only(world, new)


async def test_another_configuration_is_not_already_live(world: World) -> None:
    await world.ship("v1")
    await world.change_stage(env={"COLOUR": "blue"})
    ended = await world.carry_out(await world.queue("v1"))
    assert ended.reason == "v1 is live"


@pytest.mark.parametrize("harm", ["exit", "remove"])
async def test_a_live_one_that_does_not_run_any_more_is_replaced(world: World, harm: str) -> None:
    old = await world.ship("v1")
    if harm == "exit":
        world.runtime.exit(old.container, 1)
    else:
        await world.runtime.remove(old.container)

    ended = await world.carry_out(await world.queue("v1"))

    assert ended.reason == "v1 is live"
    await assert_only(world, await world.instance_of(ended))


async def test_an_engine_out_of_reach_while_it_is_asked_for_the_live_one_fails_that_step(
    world: World,
) -> None:
    await world.ship("v1")
    away = EngineUnavailableError("the engine is away")
    for _ in (None, *delays(away, world.clock.now())):
        world.runtime.fail("status", away)
    await assert_fails(world, "v1", StepName.RESOLVE, "the engine is away")


# Pull.


async def test_the_progress_of_a_pull_is_told(world: World) -> None:
    digest = world.publish("v1")
    deploy = await world.queue("v1")
    pull, details = world.runtime.pull, list[str]()

    async def slow_pull(
        image: object, digest: object, registry: object, progress: Callable[[str], None]
    ) -> ImageInfo:
        progress("1 of 2 layers")
        while not details:
            world.clock.move(1.0)
            details.extend(
                filter(None, [(await world.deploy(deploy.id)).step(StepName.PULL).detail])
            )
        return await pull(image, digest, registry, progress)  # type: ignore[arg-type]

    world.runtime.pull = slow_pull  # type: ignore[method-assign]
    ended = await world.carry_out(deploy)

    assert details == ["1 of 2 layers"]
    assert ended.status is DeployStatus.SUCCEEDED
    assert ended.digest == digest


async def test_what_the_image_says_completes_a_project_that_nobody_described(world: World) -> None:
    await world.change_project(port=0, inspected=False, port_set=False, healthcheck_set=False)
    await world.ship(
        "v1",
        MemoryImage(info=ImageInfo(tcp_ports=(8080, 9090), labels={"tagboat.healthcheck": "/up"})),
    )

    project = await world.store.read(lambda reader: reader.project(world.project.id))

    assert (project.port, project.healthcheck, project.inspected) == (8080, "/up", True)
    assert world.probe.asked == [(FIRST_PORT, "/up")]


async def test_what_somebody_has_said_of_a_project_stays(world: World) -> None:
    await world.ship("v1", MemoryImage(info=ImageInfo(tcp_ports=(9090,))))
    project = await world.store.read(lambda reader: reader.project(world.project.id))
    assert project == world.project


async def test_a_pull_that_is_refused_fails_the_deploy(world: World) -> None:
    await world.ship("v1")
    world.publish("v2")
    world.runtime.fail("pull", EngineError("pull access denied"))
    await assert_fails(world, "v2", StepName.PULL, "pull access denied")


async def test_an_image_that_is_gone_fails_the_deploy(world: World) -> None:
    await world.ship("v1")
    world.tags.digests["v2"] = Digest("sha256:" + "2" * 64)
    await assert_fails(world, "v2", StepName.PULL, "no such image")


async def test_a_full_disk_is_waited_for_and_given_up_in_the_end(world: World) -> None:
    await world.ship("v1")
    world.publish("v2")
    for _ in range(4):
        world.runtime.fail("pull", DiskFullError("no space left on device"))
    await assert_fails(world, "v2", StepName.PULL, "no space left on device")
    assert world.clock.slept == [5.0, 15.0, 30.0]


# Start.


async def test_a_container_that_cannot_be_started_fails_the_deploy(world: World) -> None:
    await world.ship("v1")
    world.publish("v2", MemoryImage(start_error="exec: no such file"))
    ended = await assert_fails(world, "v2", StepName.START, "exec: no such file")
    assert (await world.instance_of(ended)).state is InstanceState.FAILED


async def test_a_container_that_cannot_be_made_fails_the_deploy(world: World) -> None:
    await world.ship("v1")
    world.publish("v2")
    world.runtime.fail("create", EngineError("invalid reference"))
    await assert_fails(world, "v2", StepName.START, "invalid reference")


@pytest.mark.parametrize("call", ["create", "start"])
async def test_an_engine_that_restarts_in_the_middle_gets_one_container_all_the_same(
    world: World, call: str
) -> None:
    world.publish("v1")
    world.runtime.fail(call, EngineUnavailableError("the engine went away"))
    ended = await world.carry_out(await world.queue("v1"))
    assert ended.status is DeployStatus.SUCCEEDED
    assert world.clock.slept == [0.5]
    await assert_only(world, await world.instance_of(ended))


async def test_a_container_of_its_own_that_is_left_over_makes_way(world: World) -> None:
    """The engine made it, but its answer was lost."""
    world.publish("v1")
    deploy = await world.queue("v1")
    labels = {"tagboat.installation": INSTALLATION, "tagboat.deploy": deploy.id}
    world.calls.before(
        "create", lambda: world.foreign_container(world.container_of(deploy), **labels)
    )

    ended = await world.carry_out(deploy)

    assert ended.status is DeployStatus.SUCCEEDED
    await assert_only(world, await world.instance_of(ended))


async def test_somebody_elses_container_of_that_name_is_left_alone(world: World) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    name = world.container_of(deploy)
    await world.foreign_container(name)
    world.runtime.say(name, "a secret of somebody else")

    ended = await world.carry_out(deploy)

    assert ended.status is DeployStatus.FAILED
    assert f"another container is named {name}" in (ended.reason or "")
    assert await world.is_running(name)
    assert ended.log == ""
    assert not {f"stop {name}", f"remove {name}"} & set(world.runtime.journal)


async def test_somebody_elses_container_of_that_name_is_left_alone_when_it_is_tried_again(
    world: World,
) -> None:
    world.publish("v1")
    deploy = await world.queue("v1")
    name = world.container_of(deploy)

    async def come_first() -> None:
        await world.foreign_container(name)
        raise EngineUnavailableError("the engine went away")

    world.calls.before("create", come_first)
    ended = await world.carry_out(deploy)

    assert ended.status is DeployStatus.FAILED
    assert await world.is_running(name)


async def test_a_port_that_somebody_else_took_meanwhile_is_replaced_by_another(
    world: World,
) -> None:
    world.publish("v1")
    for _ in range(2):
        world.runtime.fail("start", EndpointTakenError("port is already allocated"))

    ended = await world.carry_out(await world.queue("v1"))

    instance = await world.instance_of(ended)
    assert world.ports.given == [FIRST_PORT, FIRST_PORT + 1, FIRST_PORT + 2]
    assert port_of(instance) == FIRST_PORT + 2
    assert world.clock.slept == []
    await assert_only(world, instance)


async def test_ports_of_other_instances_are_not_asked_for(world: World) -> None:
    old = await world.ship("v1")
    asked: list[set[int]] = []
    free = world.ports.free

    def noted(taken: set[int]) -> int:
        asked.append(set(taken))
        return free(taken)

    world.ports.free = noted  # type: ignore[method-assign, assignment]
    await world.ship("v2")
    assert asked == [{port_of(old)}]


async def test_ports_that_are_always_taken_fail_the_deploy(world: World) -> None:
    await world.ship("v1")
    world.publish("v2")
    for _ in range(20):
        world.runtime.fail("start", EndpointTakenError("port is already allocated"))
    await assert_fails(world, "v2", StepName.START, "no free loopback port")


async def test_a_project_without_a_port_gets_none(world: World) -> None:
    await world.change_project(port=0)
    instance = await world.ship("v1")
    assert port_of(instance) == 0
    assert world.ports.given == []
    assert world.probe.asked == []
    assert sum(world.clock.slept) >= 3.0  # there is nothing to ask: it has to run for a while


# Check.


async def test_an_app_that_needs_a_while_is_waited_for(world: World) -> None:
    world.publish("v1")
    world.probe.says = REFUSED
    deploy = await world.queue("v1")

    async def answer() -> None:
        world.probe.says = None

    for _ in range(7):
        world.calls.before("status", noop)
    world.calls.before("status", answer)
    ended = await world.carry_out(deploy)

    assert ended.status is DeployStatus.SUCCEEDED
    assert 6 <= len(world.clock.slept) <= 8
    assert world.clock.slept == sorted(world.clock.slept)
    assert max(world.clock.slept) <= 1.0


async def noop() -> None:
    """Let it pass."""


async def test_an_app_that_never_answers_fails_the_deploy_after_the_stages_timeout(
    world: World,
) -> None:
    await world.ship("v1")
    await world.change_stage(health_timeout_s=10)
    world.publish("v2", MemoryImage(log=("starting", "cannot find the database")))
    world.probe.says = REFUSED

    ended = await assert_fails(
        world,
        "v2",
        StepName.CHECK,
        "not healthy within 10 s: nothing accepted a connection on port",
    )

    assert ended.log == "starting\ncannot find the database"
    assert 10 <= sum(world.clock.slept) <= 12


async def test_an_app_that_exits_fails_the_deploy_at_once_with_its_last_words(world: World) -> None:
    await world.ship("v1")
    world.publish("v2", MemoryImage(log=tuple(f"line {n}" for n in range(150)), exit_code=3))
    world.probe.says = REFUSED

    ended = await assert_fails(world, "v2", StepName.CHECK, "exited with code 3")

    assert ended.log.splitlines() == [f"line {n}" for n in range(150 - LOG_LINES, 150)]
    assert world.clock.slept == []


async def test_a_container_that_ended_with_the_engine_is_started_again(world: World) -> None:
    await world.ship("v1")
    world.publish("v2")
    deploy = await world.queue("v2")

    async def restart_the_engine() -> None:
        await world.runtime.stop(world.container_of(deploy))
        world.runtime.fail("status", EngineUnavailableError("it is restarted"))

    world.calls.before("status", restart_the_engine)
    ended = await world.carry_out(deploy)

    assert ended.status is DeployStatus.SUCCEEDED, ended.reason
    assert await world.is_running(world.container_of(deploy))


async def test_a_container_that_vanishes_fails_the_deploy(world: World) -> None:
    await world.ship("v1")
    world.publish("v2")
    deploy = await world.queue("v2")
    world.calls.after("start", lambda: world.runtime.remove(world.container_of(deploy)))

    ended = await world.carry_out(deploy)

    assert (ended.status, ended.log) == (DeployStatus.FAILED, "")
    assert "removed by somebody else" in (ended.reason or "")
    (live,) = await world.instances(InstanceState.LIVE)
    await assert_only(world, live)


async def test_the_images_own_healthcheck_decides_where_the_project_says_so(world: World) -> None:
    await world.change_project(healthcheck="image")
    world.publish("v2", MemoryImage(info=ImageInfo(has_healthcheck=True)))
    deploy = await world.queue("v2")

    async def fall_ill() -> None:
        world.runtime.set_health(world.container_of(deploy), "unhealthy")

    world.calls.after("start", fall_ill)
    ended = await world.carry_out(deploy)

    assert (ended.status, ended.reason) == (
        DeployStatus.FAILED,
        "the image's HEALTHCHECK says unhealthy",
    )
    assert world.probe.asked == []


async def test_a_path_without_a_port_is_said_to_be_a_mistake(world: World) -> None:
    await world.change_project(port=0, healthcheck="/up")
    world.publish("v1")
    await assert_fails(world, "v1", StepName.CHECK, "set the port")
