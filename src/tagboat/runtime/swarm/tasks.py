"""The tasks of services: what the managers say of them, read as the status of a workload. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from msgspec import Struct

from tagboat.core.endpoint import Endpoint
from tagboat.core.values import replace
from tagboat.core.workload import TaskStatus, WorkloadStatus
from tagboat.runtime.docker.loglines import first_line
from tagboat.runtime.docker.refusal import clean
from tagboat.runtime.docker.wire import Json, parse_time
from tagboat.runtime.swarm.service_wire import (
    HEALTH_LABEL,
    NAME_LABEL,
    STARTED_LABEL,
    TASK_PORT_LABEL,
)

_BY_ITSELF = frozenset({"complete", "failed"})
_BEFORE_THE_APP = frozenset({"assigned", "accepted", "preparing"})
"""States in which a node has yet to take a task, or pulls its image."""
_ACTIVE = frozenset({"starting", "running"})
_LOST = frozenset({"down", "disconnected"})
_ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not listened at
_NO_NODE = "no suitable node"
_EXIT = re.compile(r"task: non-zero exit \(\d+\)(?:: )?")
_NOT_BEGUN = "starting container failed: "
_UNHEALTHY = "unhealthy container"
_KILLED = 137
"""Exit code of a process that ended by SIGKILL, as that of the kernel for want of memory."""
_AFTERWARDS = timedelta(seconds=0.5)
"""A task that ends is replaced in the same moment. One that was given up ends later than that."""
_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class SwarmNode(Struct, frozen=True):
    """A machine of the swarm: its name, address, and whether the managers hear of it.

    After an election the new leader has yet to hear of each machine, dead or not: until then it is
    neither `ready` nor `lost`.
    """

    id: str
    name: str
    address: str
    ready: bool
    lost: bool = False
    is_leader: bool = False
    is_manager: bool = False


def read_nodes(answer: Iterable[Json]) -> dict[str, SwarmNode]:
    """Read the answer of NodeList, by id."""
    return {one["ID"]: _read_node(one) for one in answer}


def _read_node(answer: Json) -> SwarmNode:
    status, manager = answer.get("Status") or {}, answer.get("ManagerStatus") or {}
    address = str(status.get("Addr") or "")
    if address in _ANY_ADDRESS:
        # A manager that was made without an address to advertise.
        address = str(manager.get("Addr") or "").rpartition(":")[0]
    return SwarmNode(
        id=answer["ID"],
        name=str((answer.get("Description") or {}).get("Hostname") or answer["ID"]),
        address=address,
        ready=status.get("State") == "ready",
        lost=status.get("State") in _LOST,
        is_leader=bool(manager.get("Leader")),
        is_manager=bool(manager),
    )


class SwarmTask(Struct, frozen=True):
    """One task. `node` is None before it has one, and where that was removed from the swarm.

    `began` is False where the engine could not start its program. `abandoned` is True once nobody
    waits for it any more: it was replaced before it ended. With `lost_track` it runs, and its port
    will not be known.
    """

    id: str
    slot: int
    state: str
    wanted: str
    created_at: datetime
    changed_at: datetime
    node: SwarmNode | None
    has_container: bool
    exit_code: int
    said: str
    endpoint: Endpoint | None
    began: bool = True
    abandoned: bool = False
    lost_track: bool = False

    @property
    def node_lost(self) -> bool:
        """True if it should run, on a machine that nobody hears of any more."""
        return self.node is not None and self.node.lost and self.state in _ACTIVE

    @property
    def is_up(self) -> bool:
        """True if it has a process, as far as that is known."""
        return self.state in _ACTIVE and self.has_container and not self.node_lost


def read_tasks(
    service: Json, answer: Iterable[Json], nodes: Mapping[str, SwarmNode]
) -> list[SwarmTask]:
    """Read the tasks of `service` in an answer of TaskList, the oldest first."""
    port = int(_labels(service).get(TASK_PORT_LABEL) or 0)
    found = sorted(
        (one for one in answer if one.get("ServiceID") == service["ID"]),
        key=lambda one: (_time(one.get("CreatedAt")), one["ID"]),
    )
    return [_read_task(one, nodes.get(one.get("NodeID") or ""), port) for one in found]


def _read_task(answer: Json, node: SwarmNode | None, port: int) -> SwarmTask:
    status = answer.get("Status") or {}
    container, err = status.get("ContainerStatus") or {}, str(status.get("Err") or "")
    published = [
        int(one.get("PublishedPort") or 0)
        for one in (status.get("PortStatus") or {}).get("Ports") or ()
        if one.get("TargetPort") == port and one.get("Protocol") == "tcp"
    ]
    # A fixed port that `publish` asks for comes first, and stays the same with the next task.
    at = next(filter(None, reversed(published)), 0)
    return SwarmTask(
        id=answer["ID"],
        slot=int(answer.get("Slot") or 0),
        state=str(status.get("State") or "new"),
        wanted=str(answer.get("DesiredState") or ""),
        created_at=_time(answer.get("CreatedAt")),
        changed_at=_time(answer.get("UpdatedAt")),
        node=node,
        has_container=bool(container.get("ContainerID")),
        exit_code=int(container.get("ExitCode") or 0),
        said=first_line(clean(err.removeprefix(_NOT_BEGUN))),
        began=not err.startswith(_NOT_BEGUN),
        endpoint=Endpoint(node.address, at) if node is not None and at else None,
    )


def service_status(service: Json, tasks: Sequence[SwarmTask]) -> WorkloadStatus:
    """Return the status of a workload by its service, and by its tasks, the oldest first."""
    spec = service["Spec"]
    labels, template = _labels(service), spec["TaskTemplate"]
    wanted = int(spec["Mode"]["Replicated"].get("Replicas") or 0)
    tested = labels.get(HEALTH_LABEL) == "true"
    restarts = (template.get("RestartPolicy") or {}).get("Condition") != "none" and wanted > 0
    slots: dict[int, list[SwarmTask]] = {}
    for one in tasks:
        slots.setdefault(one.slot, []).append(one)
    memory = int(((template.get("Resources") or {}).get("Limits") or {}).get("MemoryBytes") or 0)
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    publishes = any(one.get("PublishedPort") for one in ports)
    found, waits = [], []
    listens = bool(int(labels.get(TASK_PORT_LABEL) or 0))
    for slot in sorted(slots):
        status = _slot_status(slots[slot], tested=tested, restarts=restarts, listens=listens)
        if status and not status.running:
            ended = next(one for one in slots[slot] if one.id == status.id)
            why = _why_ended(ended, tested=tested, memory=memory)
            status = replace(status, said=why, began=ended.began)
        found += [status] if status else []
        if not (status and status.running):
            waits.append(_why_waits(slots[slot], publishes=publishes))
    # When it was replaced: of all times of a task, this one alone never changes.
    after = {one.id: then.created_at for some in slots.values() for one, then in pairwise(some)}
    ends = [one for some in slots.values() for one in ends_of(some[:-1], some)]
    return WorkloadStatus(
        id=service["ID"],
        name=labels.get(NAME_LABEL) or spec["Name"],
        labels=template["ContainerSpec"].get("Labels") or {},
        tasks=tuple(found),
        wanted=wanted,
        self_healing=True,
        lost_track=listens and any(some[-1].lost_track for some in slots.values()),
        waits_for=next(filter(None, waits), ""),
        # A task that was tried in vain is no first one: a node may never get its image.
        preparing=wanted > 0
        and any(
            some[-1].state in _BEFORE_THE_APP and not any(one.said for one in some)
            for some in slots.values()
        ),
        restarts=len(ends) if restarts else 0,
        ended_at=max((after[one.id] for one in ends), default=None) if restarts else None,
        started_at=parse_time(labels.get(STARTED_LABEL) or ""),
    )


def ends_of(ended: Sequence[SwarmTask], slot: Sequence[SwarmTask]) -> list[SwarmTask]:
    """Return those of the tasks of a slot that ended by themselves, the oldest first.

    Not among them are those that were replaced first: their machine was lost or emptied, or they
    were told to stop.
    """
    later = {one.id: after for one, after in pairwise(slot)}
    return [
        one
        for one in ended
        if one.state in _BY_ITSELF
        and (one.id not in later or one.changed_at - later[one.id].created_at < _AFTERWARDS)
    ]


def _slot_status(
    slot: Sequence[SwarmTask], *, tested: bool, restarts: bool, listens: bool
) -> TaskStatus | None:
    """Return the status of one place for a task, None before one was started there."""
    task = slot[-1]
    # Without its port, nobody could tell an app that listens from one that does not. With a
    # HEALTHCHECK, a task is called running once that has passed.
    if task.state == "running" and (task.endpoint is not None or not listens):
        return TaskStatus(
            id=task.id,
            running=True,
            health="healthy" if tested else None,
            endpoint=task.endpoint,
            node=task.node.name if task.node else "",
            node_lost=task.node_lost,
        )
    ended = ends_of(slot, slot)
    if not ended:
        return None
    last = ended[-1]
    return TaskStatus(
        id=last.id,
        running=False,
        restarting=restarts,
        exit_code=last.exit_code,
        node=last.node.name if last.node else "",
    )


def _why_ended(task: SwarmTask, *, tested: bool, memory: int) -> str:
    """Return why a task has ended, empty where nobody knows more than its exit code.

    `tested` is True with a HEALTHCHECK, `memory` its limit in bytes, 0 for none.
    """
    said = _EXIT.sub("", task.said)
    if _UNHEALTHY in said:
        return "its HEALTHCHECK failed, and the swarm ends such a task"
    if said:
        return said
    # The managers say nothing of either: what is likely is all that can be said.
    if tested and task.exit_code == 0:
        return (
            "perhaps its HEALTHCHECK failed, for the swarm ends such a task; or the program went to"
            " the background, which ends its container"
        )
    if memory and task.exit_code == _KILLED:
        return f"perhaps it ran out of memory, for the stage's memory is {memory >> 20} MiB"
    return ""


def _why_waits(slot: Sequence[SwarmTask], *, publishes: bool) -> str:
    """Return why no task runs in this place, empty where nothing says it.

    With `publishes`, each task needs ports of its node that no other one has.
    """
    # The next try says nothing before it fails like the one before.
    task = next((one for one in reversed(slot[-2:]) if one.said), slot[-1])
    place = f"{task.node.name}: " if task.node else ""
    if task.state == "running":
        return f"{place}the task runs, but the managers do not know at which port"
    if task.state == "new" and not task.said:
        # The managers say no more when no subnet is left for its network.
        return (
            f"{place}the swarm gives the task no address; its address pool may be used up (see"
            " docker swarm init --default-addr-pool)"
        )
    fields = (
        "constraints, memory, cpus and publish" if publishes else "constraints, memory and cpus"
    )
    advice = f"; look at {fields} of the stage" if _NO_NODE in task.said else ""
    return f"{place}{task.said}{advice}" if task.said else f"{place}the task is {task.state}"


def _labels(service: Json) -> Mapping[str, str]:
    return (service.get("Spec") or {}).get("Labels") or {}


def _time(text: object) -> datetime:
    return parse_time(str(text or "")) or _UNKNOWN_TIME
