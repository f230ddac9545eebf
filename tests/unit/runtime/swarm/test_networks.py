"""The names of networks on a swarm."""

from typing import Any, cast

import pytest

from tagboat.core.errors import EngineUnavailableError, NetworkNotFoundError
from tagboat.core.ids import new_id
from tagboat.core.naming import project_network
from tagboat.runtime.swarm.managers import SwarmManagers
from tagboat.runtime.swarm.networks import SwarmNetworks
from tests.unit.runtime.swarm.calls import Calls

pytestmark = pytest.mark.anyio
OWN = project_network(new_id())


def network(name: str) -> dict[str, Any]:
    return {"Name": name, "Id": f"id-{name}", "Labels": {"a": "b"}}


def networks(*names: str) -> SwarmNetworks:
    calls = Calls({"networks": [network(name) for name in names]})
    return SwarmNetworks(cast("SwarmManagers", calls))


async def test_a_projects_network_has_another_name_than_that_of_its_containers() -> None:
    found = networks(f"{OWN}-swarm", OWN)
    assert await found.ids_of([OWN], "start") == [f"id-{OWN}-swarm"]
    assert await found.labelled({"a": "b"}) == [OWN]


async def test_one_that_an_earlier_release_has_made_is_used_and_removed() -> None:
    found = networks(OWN)
    assert await found.ensure(OWN, {"a": "b"}, {}) == f"id-{OWN}"
    assert await found.remove(OWN, {"a": "b"})


async def test_the_name_that_a_person_gives_is_taken_as_it_is() -> None:
    assert await networks("shared", "shared-swarm").ids_of(["shared"], "start") == ["id-shared"]


async def test_a_project_s_network_that_a_manager_does_not_list_is_worth_another_try() -> None:
    """It was made before the service: another manager asked now may not know it yet."""
    with pytest.raises(EngineUnavailableError, match=f"does not list the network {OWN}"):
        await networks().ids_of([OWN], "create the service app")
    with pytest.raises(NetworkNotFoundError):
        await networks().ids_of(["shared"], "create the service app")
