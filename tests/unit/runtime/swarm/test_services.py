"""Services as the managers have them, and what these forget."""

from typing import Any, cast

import pytest

from tagboat.core.endpoint import Endpoint
from tagboat.runtime.swarm.managers import SwarmManagers
from tagboat.runtime.swarm.services import LOST_TRACK_S, SwarmServices
from tests.unit.runtime.swarm.calls import Calls
from tests.unit.runtime.swarm.test_tasks import node, service, task

pytestmark = pytest.mark.anyio
AT = Endpoint("198.18.0.1", 32768)


def forgotten(one: dict[str, Any]) -> dict[str, Any]:
    """The task as its node reports it to a new leader: seen with Docker 20.10."""
    return {**one, "Status": {**one["Status"], "PortStatus": {}}}


async def test_a_task_whose_port_is_forgotten_after_an_election_is_still_reached() -> None:
    answers: dict[str, Any] = {"nodes": [node("n1")], "tasks": [task("a", "running", 0)]}
    services = SwarmServices(cast("SwarmManagers", Calls(answers)))
    (before,) = await services.statuses([service()])
    assert before.endpoints == (AT,)
    answers["tasks"] = [forgotten(task("a", "running", 0))]
    (after,) = await services.statuses([service()])
    assert after.endpoints == (AT,)
    assert [one.endpoint for one in await services.tasks(service())] == [AT]


async def test_a_task_that_never_had_a_port_has_none_and_the_reason_says_so() -> None:
    tasks = [forgotten(task("a", "running", 0))]
    answers: dict[str, Any] = {"nodes": [node("n1")], "tasks": tasks}
    services = SwarmServices(cast("SwarmManagers", Calls(answers)))
    (found,) = await services.statuses([service()])
    assert found.endpoints == ()
    assert "do not know at which port" in found.waits_for


async def test_an_ended_task_gets_no_endpoint_back() -> None:
    answers: dict[str, Any] = {"nodes": [node("n1")], "tasks": [task("a", "running", 0)]}
    services = SwarmServices(cast("SwarmManagers", Calls(answers)))
    await services.statuses([service()])
    answers["tasks"] = [forgotten(task("a", "failed", 0, code=1))]
    assert [one.endpoint for one in await services.tasks(service())] == [None]


async def test_after_a_while_without_a_port_the_task_is_lost_track_of_until_another_one_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("tagboat.runtime.swarm.services.time.monotonic", lambda: now)
    answers: dict[str, Any] = {
        "nodes": [node("n1")],
        "tasks": [forgotten(task("a", "running", 0))],
        "services/web": {**service(), "Version": {"Index": 7}},
    }
    calls = Calls(answers)
    services = SwarmServices(cast("SwarmManagers", calls))

    async def is_lost() -> bool:
        (found,) = await services.statuses([service()])
        return found.lost_track

    assert not await is_lost()
    now = LOST_TRACK_S
    assert await is_lost()

    await services.replace_tasks("web")
    ((_, path, made, _),) = calls.changes
    assert path == "services/s1/update"
    assert made["TaskTemplate"]["ForceUpdate"] == 1
    # The managers need a moment to begin with it, and must not be told again.
    assert not await is_lost()
    answers["tasks"].append(task("b", "running", 30))
    now = 3 * LOST_TRACK_S
    assert not await is_lost()
    assert (await services.statuses([service()]))[0].endpoints == (AT,)
