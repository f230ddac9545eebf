"""Workloads: the containers that a runtime is asked to run, and what it reports about them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tagboat.core.colours import TextMark
from tagboat.core.endpoint import Endpoint
from tagboat.core.host_access import Bind, Device, Published


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


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadStatus:
    """The state of a workload, as the runtime reports it.

    `health` is None without a HEALTHCHECK, else `starting`, `healthy` or `unhealthy`; `health_said`
    is one line of the output of its last run. A paused workload is `running`. `restarts` counts the
    restarts by the runtime. `endpoint` is where it is reached, None for none; `host_ports` are all
    ports of the runtime's machine that it has, empty where the runtime gives it none. `started_at`
    is when it was last started, None if it never was. `unasked_volumes` maps paths to the names of
    the volumes that the runtime made by itself for VOLUMEs of the image.
    """

    id: str
    name: str
    running: bool
    restarting: bool
    restarts: int
    exit_code: int
    oom_killed: bool
    health: str | None
    labels: Mapping[str, str]
    endpoint: Endpoint | None
    host_ports: frozenset[int] = frozenset()
    started_at: datetime | None = None
    paused: bool = False
    health_said: str = ""
    unasked_volumes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launched:
    """A workload that has just been started: the runtime's id of it, and where it is reached."""

    id: str
    endpoint: Endpoint | None


@dataclass(frozen=True, slots=True)
class LogLine:
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
