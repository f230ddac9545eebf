"""How an app is run: what projects and stages say of it, and what a deploy makes of both."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from tagboat.core.protocol import AppProtocol

RELEASE_TIMEOUT_S = 3600
"""Seconds that a release command may run where nobody has said otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a project or a stage says of its containers; what is empty, 0 or None is not said.

    `secrets` become environment variables and `secret_files` files under /run/secrets, by name; neither ever leaves the
    server. `volumes` are paths in the container by the volume's name. `memory` is in bytes, `cpus` a number of processors,
    `pids` the most processes. `networks` are names of networks that exist on the engine, beside the default one.
    `stop_timeout_s` is how many seconds it may take to stop. `release_command` runs in a container of its own before the
    new instance is started, for at most `release_timeout_s` seconds (None: `RELEASE_TIMEOUT_S`).
    """

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

    def over(self, base: "RunOptions") -> "RunOptions":
        """These options where they say something, else those of `base`; what has names is merged name by name."""
        return RunOptions(
            secrets={**base.secrets, **self.secrets},
            secret_files={**base.secret_files, **self.secret_files},
            volumes={**base.volumes, **self.volumes},
            memory=self.memory or base.memory,
            cpus=self.cpus or base.cpus,
            pids=self.pids or base.pids,
            command=self.command or base.command,
            user=self.user or base.user,
            networks=tuple(dict.fromkeys((*base.networks, *self.networks))),
            labels={**base.labels, **self.labels},
            stop_signal=self.stop_signal or base.stop_signal,
            stop_timeout_s=base.stop_timeout_s if self.stop_timeout_s is None else self.stop_timeout_s,
            release_command=self.release_command or base.release_command,
            release_timeout_s=base.release_timeout_s if self.release_timeout_s is None else self.release_timeout_s,
        )


NO_OPTIONS = RunOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """With what a deploy starts its containers: project and stage merged. Kept with the deploy, to be had again."""

    port: int
    healthcheck: str
    env: Mapping[str, str]
    options: RunOptions = NO_OPTIONS
    protocol: AppProtocol = AppProtocol.HTTP

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when the configuration of the containers does."""
        parts = {"port": self.port, "env": dict(self.env)}
        if self.protocol is not AppProtocol.HTTP:
            parts["protocol"] = self.protocol
        if self.options != NO_OPTIONS:
            parts["options"] = asdict(self.options)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
