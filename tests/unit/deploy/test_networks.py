"""The network of each project: when it is made, who finds whom on it, and when it goes."""

import pytest

from tagboat.core.config import INSTALLATION_ID
from tagboat.core.errors import EngineUnavailableError
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.deploy.networks import tidy_networks
from tagboat.deploy.ownership import own_labels
from tagboat.deploy.reconcile import reconcile
from tagboat.deploy.removal import Removal
from tests.unit.deploy.deploy_harness import INSTALLATION, World

pytestmark = pytest.mark.anyio


def network_of(world: World) -> str:
    return f"tagboat-{world.project.id}"


def rejoins(world: World) -> list[str]:
    return [entry for entry in world.runtime.journal if entry.startswith("rejoin")]


async def somebody_on(world: World, network: str) -> str:
    """Return a container that a person has put on the project's network, say a database."""
    image = next(iter(world.runtime._images))
    container = await world.runtime.create(
        WorkloadSpec(name="database", image=image, labels={}, network=network)
    )
    await world.runtime.start(container)
    return container


async def test_a_project_has_a_network_that_bears_its_labels(led: World) -> None:
    live = await led.ship("v1")
    assert led.runtime.spec(live.container).network == network_of(led)
    assert await led.runtime.list_networks(
        {**own_labels(INSTALLATION), "tagboat.project": "app"}
    ) == [network_of(led)]


async def test_alone_on_it_the_next_one_has_its_names_from_the_start_and_is_not_cut_off(
    led: World,
) -> None:
    await led.ship("v1")
    new = await led.ship("v2")
    spec = led.runtime.spec(new.container)
    assert spec.aliases == {network_of(led): ("app-dev", "app")}
    assert not spec.keeps_address
    assert not rejoins(led)


async def test_others_find_the_next_one_once_it_is_healthy_at_an_address_that_it_keeps(
    led: World,
) -> None:
    await led.ship("v1")
    await somebody_on(led, network_of(led))
    new = await led.ship("v2")
    spec = led.runtime.spec(new.container)
    assert spec.keeps_address
    assert spec.aliases == {network_of(led): ("app-dev", "app")}
    assert rejoins(led) == [f"rejoin {new.container_id} {network_of(led)}"]


async def test_the_project_s_name_alone_leads_nowhere_where_it_has_two_stages(led: World) -> None:
    await led.another_stage("prod")
    live = await led.ship("v1")
    assert led.runtime.spec(live.container).aliases == {network_of(led): ("app-dev",)}


async def test_one_that_somebody_removed_is_made_again_by_the_next_deploy(led: World) -> None:
    await led.ship("v1")
    led.runtime.drop_network(network_of(led))
    await led.ship("v2")
    assert await led.runtime.list_networks(own_labels(INSTALLATION)) == [network_of(led)]


async def test_an_instance_that_does_not_run_comes_back_though_its_network_is_gone(
    led: World,
) -> None:
    live = await led.ship("v1")
    await led.runtime.stop(live.container)
    led.runtime.drop_network(network_of(led))
    await reconcile(led.services)
    status = await led.runtime.status(live.container)
    assert status is not None
    assert (status.id, status.running) == (live.container_id, True)


@pytest.fixture
async def removal(led: World) -> Removal:
    async def abandon(_: object) -> None:
        pass

    await led.store.write(lambda tx: tx.put_setting(INSTALLATION_ID, INSTALLATION))
    return Removal(led.store, led.runtime, abandon, led.clock.now)


async def test_it_goes_with_its_project(led: World, removal: Removal) -> None:
    await led.ship("v1")
    await removal.remove_project(led.project.id)
    assert await led.runtime.list_networks(own_labels(INSTALLATION)) == []


async def test_what_a_death_or_an_engine_that_is_away_has_left_is_tidied(
    led: World, removal: Removal
) -> None:
    await led.ship("v1")
    led.runtime.fail("remove_network", EngineUnavailableError("away"))
    await removal.remove_project(led.project.id)
    assert await led.runtime.list_networks(own_labels(INSTALLATION)) == [network_of(led)]
    await tidy_networks(led.store, led.runtime, INSTALLATION)
    assert await led.runtime.list_networks(own_labels(INSTALLATION)) == []


async def test_tidying_leaves_those_of_projects_of_others_and_those_in_use(led: World) -> None:
    await led.ship("v1")
    await led.runtime.ensure_network("tagboat-gone", own_labels(INSTALLATION))
    await led.runtime.ensure_network("tagboat-another", own_labels("another"))
    await somebody_on(led, "tagboat-gone")
    await tidy_networks(led.store, led.runtime, INSTALLATION)
    assert set(led.runtime._networks) == {network_of(led), "tagboat-gone", "tagboat-another"}
    await led.runtime.remove("database")
    await tidy_networks(led.store, led.runtime, INSTALLATION)
    assert set(led.runtime._networks) == {network_of(led), "tagboat-another"}


async def test_the_release_command_runs_on_it_too(led: World) -> None:
    options = replace(led.stage.run, release_command=("migrate",))
    await led.change_stage(run=options)
    led.publish("v1")
    deploy = await led.queue("v1")
    seen: list[str] = []

    async def look() -> None:
        seen.extend(held.spec.network for held in led.runtime._containers.values())
        for held in list(led.runtime._containers.values()):
            led.runtime.exit(held.spec.name, 0)

    led.calls.after("start", look)
    await led.carry_out(deploy)
    assert seen == [network_of(led)]
