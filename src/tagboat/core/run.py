"""Run options of projects and stages, and the configuration that a deploy makes of both."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from tagboat.core.protocol import AppProtocol

RELEASE_TIMEOUT_S = 3600
"""Default of the seconds that a release command may run."""
KEEP_ENTRYPOINT = "image"
"""The value of `entrypoint` that keeps the image's own; commands are its arguments."""
# Another option here would change each fingerprint, and deploy every stage again.
_FIRST_OPTIONS = (
    *(
        "secrets",
        "secret_files",
        "volumes",
        "memory",
        "cpus",
        "pids",
        "command",
        "user",
        "networks",
        "labels",
    ),
    *("stop_signal", "stop_timeout_s", "release_command"),
)
"""Options that are in every fingerprint with options, even if they are not set."""


class EngineKind(StrEnum):
    """The engine that runs an app: one Docker engine, or the managers of a Docker Swarm."""

    DOCKER = "docker"
    SWARM = "swarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Run options of a project or a stage; an empty value, 0 or None is not set.

    `secrets` become environment variables and `secret_files` files under /run/secrets, by name;
    neither ever leaves the server. `volumes` are paths in the container by the volume's name.
    `memory` is in bytes, `cpus` a number of processors, `pids` the most processes. `networks` are
    names of networks that exist on the engine, besides the project's own. `stop_timeout_s` is how
    many seconds it may take to stop. `release_command` runs in its own container before the
    new instance is started, for at most `release_timeout_s` seconds (None: `RELEASE_TIMEOUT_S`).

    `command` is the whole command line; with an `entrypoint` of words it is the arguments of that,
    and with `KEEP_ENTRYPOINT` those of the image's own. `extra_hosts` are addresses by host name,
    `shm_size` is in bytes, `tmpfs` are mount options by path. `devices`, `binds` and `publish` are
    texts as `tagboat.core.host_access` reads them. `image_labels` is whether the labels of the
    image are the container's too.
    """

    # Not in `repr`, so that no log line and no error shows them.
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    volumes: Mapping[str, str] = field(default_factory=dict)
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    command: tuple[str, ...] = ()
    user: str = ""
    networks: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    release_command: tuple[str, ...] = ()
    release_timeout_s: int | None = None
    entrypoint: tuple[str, ...] | str = ()
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    shm_size: int = 0
    init: bool | None = None
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    read_only: bool | None = None
    cap_add: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    image_labels: bool | None = None

    def over(self, base: "RunOptions") -> "RunOptions":
        """Return these options where they are set, else those of `base`.

        Maps are merged by key, lists are joined.
        """
        return RunOptions(
            secrets={**base.secrets, **self.secrets},
            secret_files={**base.secret_files, **self.secret_files},
            volumes={**base.volumes, **self.volumes},
            # 0 and empty count as not set; where False says something, None is not set.
            memory=self.memory or base.memory,
            cpus=self.cpus or base.cpus,
            pids=self.pids or base.pids,
            command=self.command or base.command,
            user=self.user or base.user,
            # A stage adds to what its project needs.
            networks=_joined(base.networks, self.networks),
            labels={**base.labels, **self.labels},
            stop_signal=self.stop_signal or base.stop_signal,
            stop_timeout_s=base.stop_timeout_s
            if self.stop_timeout_s is None
            else self.stop_timeout_s,
            release_command=self.release_command or base.release_command,
            release_timeout_s=base.release_timeout_s
            if self.release_timeout_s is None
            else self.release_timeout_s,
            entrypoint=self.entrypoint or base.entrypoint,
            extra_hosts={**base.extra_hosts, **self.extra_hosts},
            shm_size=self.shm_size or base.shm_size,
            init=base.init if self.init is None else self.init,
            tmpfs={**base.tmpfs, **self.tmpfs},
            read_only=base.read_only if self.read_only is None else self.read_only,
            cap_add=_joined(base.cap_add, self.cap_add),
            devices=_joined(base.devices, self.devices),
            binds=_joined(base.binds, self.binds),
            publish=_joined(base.publish, self.publish),
            image_labels=base.image_labels if self.image_labels is None else self.image_labels,
        )

    @property
    def said(self) -> dict[str, Any]:
        """The options that are set, by name."""
        # An option that a later release adds changes nothing where nobody uses it.
        return {
            name: value
            for name, value in asdict(self).items()
            if value != getattr(NO_OPTIONS, name)
        }


NO_OPTIONS = RunOptions()


def _joined(base: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*base, *more)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """The configuration with which a deploy starts its containers: project and stage merged.

    It is stored with the deploy, so that a rollback can use it again. `image_volumes` are the
    absolute paths that the image declares as VOLUMEs, as far as they are known. `engine`,
    `replicas` and `constraints` are as in `Stage`.
    """

    port: int
    healthcheck: str
    env: Mapping[str, str]
    options: RunOptions = NO_OPTIONS
    image_volumes: tuple[str, ...] = ()
    protocol: AppProtocol = AppProtocol.HTTP
    replicas: int = 1
    constraints: tuple[str, ...] = ()
    engine: EngineKind | None = None

    @property
    def secret_values(self) -> tuple[str, ...]:
        """The values that no message may repeat."""
        return (*self.options.secrets.values(), *self.options.secret_files.values())

    @property
    def fingerprint(self) -> str:
        """Hash of the configuration, 16 hex digits; new options of Tagboat do not change it."""
        parts: dict[str, Any] = {"port": self.port, "env": dict(self.env)}
        # Left out at its default: fingerprints from before the field still hold.
        if self.protocol is not AppProtocol.HTTP:
            parts["protocol"] = self.protocol
        if self.replicas != 1:
            parts["replicas"] = self.replicas
        if self.constraints:
            parts["constraints"] = self.constraints
        if self.engine is not None:
            parts["engine"] = self.engine
        if said := self.options.said:
            parts["options"] = {
                **{name: getattr(self.options, name) for name in _FIRST_OPTIONS},
                **said,
            }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
