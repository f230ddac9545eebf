"""By which names a stage's instances are found on networks, and when."""

import pytest

from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.ids import new_id
from tagboat.core.image import ImageName
from tagboat.core.ports import Tx
from tagboat.core.run import RunOptions
from tagboat.core.values import replace
from tagboat.deploy.reconcile import reconcile
from tests.unit.deploy.deploy_harness import REFUSED, World

pytestmark = pytest.mark.anyio
ON = RunOptions(networks=("back", "front"))


@pytest.fixture
async def joined(led: World) -> World:
    """Return a stage on two networks."""
    for network in ON.networks:
        led.runtime.add_network(network)
    await led.change_project(name="my_app", run=ON)
    return led


async def test_the_first_instance_is_found_from_its_start(joined: World) -> None:
    first = await joined.ship("v1")
    names = ("my-app-dev", "my-app")
    spec = joined.runtime.spec(first.container)
    assert spec.aliases == {"back": names, "front": names, spec.network: names}
    assert not [entry for entry in joined.runtime.journal if entry.startswith("rejoin")]


async def test_the_next_one_is_found_once_it_is_healthy_and_before_it_is_live(
    joined: World,
) -> None:
    await joined.ship("v1")
    joined.publish("v2")
    deploy = await joined.queue("v2")
    container = joined.container_of(deploy)
    found_while_asked = []

    async def note(_port: int) -> None:
        found_while_asked.append("back" in joined.runtime.spec(container).aliases)

    joined.probe.of_port = note
    ended = await joined.carry_out(deploy)
    assert ended.status is DeployStatus.SUCCEEDED
    assert found_while_asked[:2] == [False, True], (
        "asked at the gate, and once more, for its connections have been cut"
    )
    assert joined.runtime.spec(container).aliases["back"] == ("my-app-dev", "my-app")


async def test_the_old_one_is_found_no_more_when_it_is_told_to_end(joined: World) -> None:
    first = await joined.ship("v1")
    await joined.ship("v2")
    told = [
        entry
        for entry in joined.runtime.journal
        if entry.split()[1] in {first.container, first.handle}
    ]
    assert [entry.split()[0] for entry in told] == [
        "create",
        "start",
        "rejoin",
        "rejoin",
        "stop",
        "remove",
    ]


async def test_one_that_never_becomes_healthy_is_never_found(joined: World) -> None:
    first = await joined.ship("v1")
    await joined.change_stage(health_timeout_s=0)
    joined.probe.says = REFUSED
    joined.publish("v2")
    assert (await joined.carry_out(await joined.queue("v2"))).status is DeployStatus.FAILED
    assert not [entry for entry in joined.runtime.journal if entry.startswith("rejoin")]
    assert await joined.instances(InstanceState.LIVE) == [first]


async def test_the_project_s_name_is_nobody_s_where_two_stages_are_on_a_network(
    joined: World,
) -> None:
    other = await joined.another_stage("prod")
    await joined.change_project(run=RunOptions())
    await joined.change_stage(run=ON)
    await joined.store.write(
        lambda tx: tx.put_stage(replace(other, run=RunOptions(networks=("back",))))
    )
    first = await joined.ship("v1")
    aliases = joined.runtime.spec(first.container).aliases
    assert (aliases["back"], aliases["front"]) == (("my-app-dev",), ("my-app-dev", "my-app"))


@pytest.mark.parametrize(
    ("project", "stage", "claims"),
    [("my-app", "prod", True), ("my", "app", True), ("my-app2", "dev", False)],
)
async def test_the_project_s_name_is_nobody_s_where_another_project_could_mean_it(
    joined: World, project: str, stage: str, *, claims: bool
) -> None:
    image = ImageName("git.example.com", f"acme/{project}")
    other = replace(joined.project, id=new_id(), name=project, image=image, run=RunOptions())
    its = replace(joined.stage, id=new_id(), project_id=other.id, name=stage)

    def add(tx: Tx) -> None:
        tx.add_project(other)
        tx.add_stage(replace(its, run=RunOptions(networks=("back",))))

    await joined.store.write(add)
    aliases = joined.runtime.spec((await joined.ship("v1")).container).aliases
    assert aliases["back"] == (("my-app-dev",) if claims else ("my-app-dev", "my-app"))
    assert aliases["front"] == ("my-app-dev", "my-app")


async def test_what_is_made_again_is_found_again(joined: World) -> None:
    first = await joined.ship("v1")
    await joined.runtime.remove(first.container)
    await reconcile(joined.services)
    assert joined.runtime.spec(first.container).aliases["back"] == ("my-app-dev", "my-app")


async def test_without_networks_nothing_is_joined_again(led: World) -> None:
    await led.ship("v1")
    await led.ship("v2")
    assert not [entry for entry in led.runtime.journal if entry.startswith("rejoin")]
