"""Workloads: the containers that a runtime is asked to run, and what it reports about them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec import Struct

from tagboat.core.colours import TextMark
from tagboat.core.endpoint import Endpoint
from tagboat.core.host_access import Bind, Device, Published
from tagboat.core.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSpec:
    """A workload for the runtime to run.

    `image` is `NAME@DIGEST`. `port` is the port on which the app listens, 0 for none; it is to be
    reached at `endpoint`, and where that is None the runtime chooses one as it launches. `volumes`
    maps names of the runtime's volumes to absolute paths in the container; missing ones are made
    with `volume_labels`. `files` maps absolute paths to contents. An `entrypoint` of None keeps the
    image's own, an empty one removes it. `network` is the one it is on from its start (empty: the
    runtime's default), `networks` are connected as well, and `aliases` are further names on some of
    these networks. With `keeps_address` it can leave `network` and join it again under other
    aliases with the same address, so that its connections last. Labels of the image other than
    `org.opencontainers.*` are kept only with `image_labels`. The rest is as in `RunOptions`: 0,
    empty and None keep the default of the runtime or of the image. Without `restarts` it runs once.
    `replicas` is how many tasks run at once, on machines that fit `constraints`; a runtime of one
    machine runs one.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    # Not in `repr`: secrets are among them.
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    port: int = 0
    endpoint: Endpoint | None = None
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] = ()
    user: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)
    volume_labels: Mapping[str, str] = field(default_factory=dict)
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    devices: tuple[Device, ...] = ()
    publish: tuple[Published, ...] = ()
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    shm_size: int = 0
    init: bool | None = None
    read_only: bool = False
    cap_add: tuple[str, ...] = ()
    # Not in `repr`, as above.
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    network: str = ""
    networks: tuple[str, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keeps_address: bool = False
    image_labels: bool = False
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    restarts: bool = True
    replicas: int = 1
    constraints: tuple[str, ...] = ()


class TaskStatus(Struct, frozen=True, kw_only=True):
    """The state of one task of a workload: a container that was started for it.

    `node` is the name of the machine that it is on, empty where the runtime has only one. With
    `node_lost` that machine does not answer: nobody knows if the task runs, and this is neither a
    failure of the app nor a restart. A paused task is `running`; one that waits to be started again
    is `restarting`, and does not run. `exit_code` is that of its last end, 0 for none. `health` is
    None without a HEALTHCHECK, else `starting`, `healthy` or `unhealthy`. `endpoint` is where it is
    reached, None for nowhere. `said` is what the runtime says of why it ended, empty for nothing
    but its exit code; `began` is False where its program could not be started at all.
    """

    id: str
    running: bool
    restarting: bool = False
    exit_code: int = 0
    oom_killed: bool = False
    health: str | None = None
    endpoint: Endpoint | None = None
    node: str = ""
    node_lost: bool = False
    said: str = ""
    began: bool = True


# The worst one decides, None if there is none.
_HEALTH_ORDER = ("unhealthy", "starting", "healthy")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadStatus:
    """The state of a workload, as the runtime reports it.

    `tasks` are those that were started and not yet replaced; so many are `wanted`. `waits_for` is
    why further ones cannot be started yet, empty where that is not known; `preparing` is True while
    a machine has yet to take one, or pulls its image. `restarts` counts the
    restarts by the runtime: in the same task, or by another task after one that ended by itself.
    `ended_at` is when a task last ended so, where the runtime forgets the earlier ones and
    `restarts` does not grow for ever; None elsewhere.
    `started_at` is when it was last started, None if it never was. `health_said` is one line of the
    output of the last HEALTHCHECK. `unasked_volumes` maps paths to the names of the volumes that
    the runtime made by itself for VOLUMEs of the image. `host_ports` are all ports of the runtime's
    machine that it has, empty where the runtime gives it none. With `self_healing`, the runtime
    starts tasks that end again, at another place if need be, so that the endpoints are those of the
    status; else reconcile does that, and they stay those of the launch. `lost_track` is True once a
    task has been running for some time and nobody knows where it is reached.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    tasks: tuple[TaskStatus, ...]
    wanted: int = 1
    waits_for: str = ""
    preparing: bool = False
    self_healing: bool = False
    lost_track: bool = False
    restarts: int = 0
    ended_at: datetime | None = None
    host_ports: frozenset[int] = frozenset()
    started_at: datetime | None = None
    paused: bool = False
    health_said: str = ""
    unasked_volumes: Mapping[str, str] = field(default_factory=dict)

    @property
    def known_tasks(self) -> tuple[TaskStatus, ...]:
        """The tasks on machines that answer."""
        return tuple(one for one in self.tasks if not one.node_lost)

    @property
    def running(self) -> bool:
        """True if any of its tasks runs, as far as that is known."""
        return any(one.running for one in self.known_tasks)

    @property
    def ended(self) -> bool:
        """True if it does not run, and will not: none of its tasks is yet to start, or lost."""
        return not (self.running or self.restarting) and bool(self.known_tasks or not self.wanted)

    @property
    def out_of_reach(self) -> bool:
        """True if nobody knows where any of its tasks is reached, and nobody will."""
        return self.lost_track and not self.endpoints

    @property
    def restarting(self) -> bool:
        """True if no task runs, and one waits to be started again."""
        return not self.running and any(one.restarting for one in self.known_tasks)

    @property
    def exit_code(self) -> int:
        """Exit code of the first task that does not run, 0 for none."""
        return next((one.exit_code for one in self.known_tasks if not one.running), 0)

    @property
    def said(self) -> str:
        """The words of the runtime for the end of that task, empty for none."""
        return next((one.said for one in self.known_tasks if not one.running), "")

    @property
    def began(self) -> bool:
        """False if the program of that task could not be started."""
        return next((one.began for one in self.known_tasks if not one.running), True)

    @property
    def oom_killed(self) -> bool:
        """True if one of its tasks ended since it needed more memory than it may have."""
        return any(one.oom_killed for one in self.known_tasks)

    @property
    def health(self) -> str | None:
        """Health of the task that is worst off, None without a HEALTHCHECK."""
        found = {one.health for one in self.known_tasks}
        return next((one for one in _HEALTH_ORDER if one in found), None)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Endpoints of its tasks, in their order."""
        return tuple(one.endpoint for one in self.known_tasks if one.endpoint is not None)

    def with_tasks(self, **changes: Any) -> "WorkloadStatus":  # noqa: ANN401 - any field
        """Return the status with these changes to each of its tasks."""
        return replace(self, tasks=tuple(replace(one, **changes) for one in self.tasks))


class Launched(Struct, frozen=True):
    """A workload that has just been started: the runtime's id of it, and where it is reached.

    `endpoints` is empty where it listens on nothing, and where they are known only afterwards, from
    its status.
    """

    id: str
    endpoints: tuple[Endpoint, ...]


class LogLine(Struct, frozen=True):
    """A line that a workload wrote, fit to be shown; `at` is when, None where it is not known.

    `marks` are the colours that the workload gave to parts of it.
    """

    text: str
    at: datetime | None = None
    marks: tuple[TextMark, ...] = ()

    def masked(self, mask: Callable[[str], str]) -> "LogLine":
        """Return the line with its text masked; one that this changes loses its colours."""
        text = mask(self.text)
        # Places in another text would colour other words.
        return LogLine(text, self.at, self.marks if text == self.text else ())
