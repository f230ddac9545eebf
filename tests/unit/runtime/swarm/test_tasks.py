from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tagboat.core.endpoint import Endpoint
from tagboat.core.workload import WorkloadStatus
from tagboat.runtime.swarm.service_wire import HEALTH_LABEL, NAME_LABEL, TASK_PORT_LABEL
from tagboat.runtime.swarm.tasks import ends_of, read_nodes, read_tasks, service_status

UNHEALTHY = "its HEALTHCHECK failed, and the swarm ends such a task"
START = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)


def node(name: str, state: str = "ready", **manager: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "ID": f"id-{name}",
        "Description": {"Hostname": name},
        "Status": {"State": state, "Addr": f"198.18.0.{name[1:]}"},
        **({"ManagerStatus": manager} if manager else {}),
    }


def service(
    replicas: int = 1, condition: str = "any", *, tested: bool = False, memory: int = 0
) -> dict[str, Any]:
    return {
        "ID": "s1",
        "Spec": {
            "Name": "web",
            "Labels": {
                NAME_LABEL: "web",
                TASK_PORT_LABEL: "8080",
                HEALTH_LABEL: "true" if tested else "",
            },
            "Mode": {"Replicated": {"Replicas": replicas}},
            "TaskTemplate": {
                "ContainerSpec": {"Labels": {"a": "b"}},
                "RestartPolicy": {"Condition": condition},
                "Resources": {"Limits": {"MemoryBytes": memory} if memory else {}},
            },
        },
    }


def task(
    name: str,
    state: str,
    at: float,
    *,
    slot: int = 1,
    on: str = "n1",
    wanted: str = "running",
    port: int = 32768,
    changed: float | None = None,
    code: int = 0,
    err: str = "",
) -> dict[str, Any]:
    def time(seconds: float) -> str:
        return (START + timedelta(seconds=seconds)).isoformat()

    return {
        "ID": name,
        "ServiceID": "s1",
        "NodeID": f"id-{on}" if on else "",
        "Slot": slot,
        "CreatedAt": time(at),
        "UpdatedAt": time(at if changed is None else changed),
        "DesiredState": wanted,
        "Status": {
            "State": state,
            "Err": err,
            "ContainerStatus": {"ContainerID": "c", "ExitCode": code},
            "PortStatus": {
                "Ports": [{"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": port}]
            },
        },
    }


def status(
    tasks: list[dict[str, Any]],
    nodes: list[dict[str, Any]] | None = None,
    of: dict[str, Any] | None = None,
) -> WorkloadStatus:
    known = read_nodes(nodes or [node("n1"), node("n2"), node("n3")])
    found = of or service()
    return service_status(found, read_tasks(found, tasks, known))


def test_running_tasks_are_reached_at_their_nodes() -> None:
    seen = status(
        [task("a", "running", 0), task("b", "running", 0, slot=2, on="n2", port=32770)],
        of=service(2),
    )
    assert seen.running
    assert seen.wanted == 2
    assert [one.node for one in seen.tasks] == ["n1", "n2"]
    assert seen.endpoints == (Endpoint("198.18.0.1", 32768), Endpoint("198.18.0.2", 32770))
    assert dict(seen.labels) == {"a": "b"}


def test_a_manager_without_an_address_of_its_own_is_known_by_the_one_of_its_peers() -> None:
    manager = node("n1", Addr="10.0.0.7:2377", Leader=True)
    manager["Status"]["Addr"] = "0.0.0.0"  # noqa: S104 - as the engine has it
    assert read_nodes([manager])["id-n1"].address == "10.0.0.7"


def test_a_task_that_has_yet_to_start_is_waited_for() -> None:
    seen = status([task("a", "preparing", 0)])
    assert (seen.running, seen.restarting, seen.tasks) == (False, False, ())
    assert seen.waits_for == "n1: the task is preparing"
    assert not seen.ended


def test_a_task_without_an_address_says_what_to_look_at() -> None:
    seen = status([task("a", "new", 0, on="")])
    assert "its address pool may be used up" in seen.waits_for


def test_an_image_that_a_node_cannot_get_is_said_and_is_no_failure() -> None:
    no_image = task("a", "rejected", 0, changed=1, wanted="shutdown", err="No such image: x")
    seen = status([no_image, task("b", "new", 1, on="")])
    assert seen.waits_for == "n1: No such image: x"
    assert (seen.tasks, seen.restarts) == ((), 0)


def test_a_task_that_ended_and_the_next_one() -> None:
    ended = task("a", "failed", 0, changed=5, code=7, wanted="shutdown")
    waits = status([ended, task("b", "ready", 5)])
    assert (waits.running, waits.restarting, waits.restarts) == (False, True, 1)
    assert waits.exit_code == 7
    runs = status([ended, task("b", "running", 5)])
    assert (runs.running, runs.restarting, runs.restarts) == (True, False, 1)


def test_what_runs_once_has_ended_for_good() -> None:
    once = service(condition="none")
    seen = status([task("a", "complete", 0, changed=3, wanted="shutdown")], of=once)
    assert (seen.running, seen.restarting, seen.restarts, seen.exit_code) == (False, False, 0, 0)
    assert len(seen.tasks) == 1
    assert seen.ended


def test_a_task_on_a_lost_node_is_neither_a_failure_nor_a_restart() -> None:
    nodes = [node("n1", "down"), node("n2")]
    lost = status([task("a", "running", 0)], nodes)
    assert [one.node_lost for one in lost.tasks] == [True]
    assert not lost.ended
    assert lost.endpoints == ()
    moved = status(
        [task("a", "running", 0, wanted="shutdown"), task("b", "running", 9, on="n2")], nodes
    )
    assert [(one.node, one.node_lost) for one in moved.tasks] == [("n2", False)]
    assert moved.restarts == 0


def test_a_task_that_ends_after_it_was_replaced_was_given_up() -> None:
    """As on a node that comes back: its clock does not matter."""
    given_up = task("a", "failed", 0, changed=60, code=255, wanted="shutdown")
    seen = status([given_up, task("b", "running", 9, on="n2")])
    assert (seen.restarts, seen.running) == (0, True)
    nodes = read_nodes([node("n1"), node("n2")])
    slot = read_tasks(service(), [given_up, task("b", "running", 9, on="n2")], nodes)
    assert ends_of(slot, slot) == []


def test_with_a_healthcheck_a_task_is_up_once_that_has_passed() -> None:
    tested = service(tested=True)
    starts = status([task("a", "starting", 0)], of=tested)
    assert (starts.running, starts.tasks, starts.ended) == (False, (), False)
    assert status([task("a", "running", 0)], of=tested).health == "healthy"


def test_a_task_whose_port_is_not_known_yet_is_not_up() -> None:
    assert not status([task("a", "running", 0, port=0)]).running


def test_a_pull_is_no_time_of_the_app() -> None:
    assert status([task("a", "preparing", 0)]).preparing
    assert status([task("a", "assigned", 0)]).preparing, "its node has lost its manager"
    in_vain = task("a", "rejected", 0, changed=1, wanted="shutdown", err="No such image: x")
    assert not status([in_vain, task("b", "preparing", 1)]).preparing
    assert not status([task("a", "running", 0)]).preparing


def test_a_stopped_service_has_no_tasks() -> None:
    seen = status([], of=service(0))
    assert (seen.running, seen.restarting, seen.wanted) == (False, False, 0)


def test_a_new_leader_that_has_yet_to_hear_of_a_node_has_not_lost_it() -> None:
    """For these seconds each live instance would be down."""
    heard = [node("n1", "unknown"), node("n2")]
    found = status([task("a", "running", 0)], heard)
    assert found.running
    assert found.endpoints == (Endpoint("198.18.0.1", 32768),)
    for state in ("down", "disconnected"):
        assert not status([task("a", "running", 0)], [node("n1", state), node("n2")]).running
    assert not read_nodes(heard)["id-n1"].ready


def test_no_task_is_paused_as_far_as_managers_know() -> None:
    """So nobody is advised to type `docker unpause`, which works on a node only."""
    assert not status([task("a", "running", 0)]).paused


def test_a_task_that_no_node_fits_says_what_to_look_at() -> None:
    nodes = read_nodes([node("n1")])
    waiting = task("a", "pending", 0, on="", err="no suitable node (not satisfied on 1 node)")
    (found,) = read_tasks(service(), [waiting], nodes)
    assert service_status(service(), [found]).waits_for == (
        "no suitable node (not satisfied on 1 node); look at constraints, memory and cpus of the"
        " stage"
    )
    publishing = service()
    publishing["Spec"]["EndpointSpec"] = {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]}
    assert "look at constraints, memory, cpus and publish" in (
        service_status(publishing, [found]).waits_for
    )


@pytest.mark.parametrize(
    ("code", "err", "began", "said"),
    [
        (7, "task: non-zero exit (7)", True, ""),
        (137, "task: non-zero exit (137)", True, ""),
        (
            128,
            "starting container failed: unable to find user nosuchuser: no matching entries",
            False,
            "unable to find user nosuchuser: no matching entries",
        ),
        (9, "task: non-zero exit (9): dockerexec: unhealthy container", True, UNHEALTHY),
        (0, "", True, ""),
    ],
)
def test_the_end_of_a_task_has_the_words_of_the_engine(
    code: int, err: str, said: str, *, began: bool
) -> None:
    seen = status([task("a", "failed", 0, changed=5, code=code, err=err, wanted="shutdown")])
    assert (seen.exit_code, seen.began, seen.said) == (code, began, said)


def test_the_words_for_a_program_that_is_not_there_are_those_of_a_docker_engine() -> None:
    err = (
        "starting container failed: failed to create shim task: OCI runtime create failed: runc"
        ' create failed: unable to start container process: exec: "/no/such": stat /no/such: no'
        " such file or directory: unknown"
    )
    seen = status([task("a", "failed", 0, changed=5, code=127, err=err, wanted="shutdown")])
    assert not seen.began
    assert seen.said.startswith('exec: "/no/such"')


def test_an_end_with_code_0_and_a_healthcheck_may_be_that_of_an_unhealthy_app() -> None:
    """The swarm ends such a task, and says nothing where the app heeds SIGTERM."""
    ended = task("a", "complete", 0, changed=5, wanted="shutdown")
    said = status([ended], of=service(tested=True)).said
    assert said.startswith("perhaps its HEALTHCHECK failed, for the swarm ends such a task")


def test_a_kill_with_a_limit_of_memory_may_be_for_want_of_it() -> None:
    """Managers do not learn of it."""
    killed = task(
        "a", "failed", 0, changed=5, code=137, err="task: non-zero exit (137)", wanted="shutdown"
    )
    said = status([killed], of=service(memory=64 << 20)).said
    assert said == "perhaps it ran out of memory, for the stage's memory is 64 MiB"


def test_the_last_end_has_a_time_that_stays_the_same() -> None:
    """The managers keep a few tasks only, so that the number of ends does not grow."""
    ended = [task("b", "failed", 5, changed=9.1, code=7, wanted="shutdown")]
    (later,) = [task("c", "starting", 9)]
    assert status([*ended, later]).ended_at == START + timedelta(seconds=9)
    assert status([later]).ended_at is None
