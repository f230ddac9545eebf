"""The JSON of services in the Docker Engine API: their bodies for workloads. Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tagboat.core.errors import EngineError
from tagboat.core.placement import unknown_to_a_swarm
from tagboat.core.workload import WorkloadSpec
from tagboat.runtime.docker.archive import READABLE_BY_ALL
from tagboat.runtime.docker.wire import DROPPED_CAPABILITIES, GENEROUS_PIDS, Json

NAME_LABEL = "tagboat.swarm.name"
ATTEMPT_LABEL = "tagboat.swarm.attempt"
REPLICAS_LABEL = "tagboat.swarm.replicas"
STARTED_LABEL = "tagboat.swarm.started"
HEALTH_LABEL = "tagboat.swarm.healthcheck"
TASK_PORT_LABEL = "tagboat.swarm.port"
LOGIN_LABEL = "tagboat.swarm.login"
"""Labels of services.

The name that the workload has in Tagboat; which call made it, to tell apart one that was repeated;
the number of replicas while it runs; when it was started last; `true` where its image has a
HEALTHCHECK; its port; and when its login was renewed.
"""
OWN_LABELS = frozenset(
    {
        *(NAME_LABEL, ATTEMPT_LABEL, REPLICAS_LABEL, STARTED_LABEL),
        *(HEALTH_LABEL, TASK_PORT_LABEL, LOGIN_LABEL),
    }
)

SECRETS_BELOW = "/run/secrets/"
_LONGEST_NAME = 63
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_NS_PER_S = 1_000_000_000
_RESTART_DELAY_S = 1
_LOG_DRIVER = {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}}
_SIZE = re.compile(r"size=(\d+)([kmg]?)", re.IGNORECASE)
_MODE = re.compile(r"mode=([0-7]{3,4})")
_SIZE_UNITS = {"": 0, "k": 10, "m": 20, "g": 30}


class StoredFile(Struct, frozen=True):
    """A file of a workload that is in the swarm as a secret or a config."""

    id: str
    name: str
    path: str
    is_secret: bool


def service_name(name: str) -> str:
    """Return the name of the service of a workload: DNS's letters, at most 63 of them."""
    fit = _NOT_IN_A_NAME.sub("-", name).strip("-_")
    if fit == name and len(name) <= _LONGEST_NAME:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{fit[: _LONGEST_NAME - len(mark) - 1]}-{mark}"


def refuse_unknown(spec: WorkloadSpec) -> None:
    """Raise EngineError for options that services do not have."""
    if spec.devices:
        raise EngineError("devices: Docker Swarm gives services none; remove the option")
    for one in spec.publish:
        if one.host_ip not in {"0.0.0.0", "::"}:  # noqa: S104 - as people write it
            raise EngineError(
                f"publish {one}: Docker Swarm publishes on all addresses of a node; write"
                f" 0.0.0.0:{one.host_port}:{one.port}, or remove the option"
            )
    for path, options in spec.tmpfs.items():
        if unknown := unknown_to_a_swarm(options):
            raise EngineError(f"tmpfs: Docker Swarm has no option {unknown} for {path}; remove it")
    for path, text in spec.files.items():
        if not text:
            raise EngineError(f"the file {path} is empty, which Docker Swarm does not store")


def service_body(
    spec: WorkloadSpec,
    files: Sequence[StoredFile],
    networks: Sequence[str],
    *,
    attempt: str,
    image_labels: Iterable[str] = (),
    has_healthcheck: bool = False,
) -> dict[str, Any]:
    """Return the body of ServiceCreate for `spec`, with no task yet.

    `files` are those of the spec, as they are stored; `networks` the ids of its networks, in their
    order. `image_labels` are those of the image that are not to be the container's.
    """
    names = [name for name in (spec.network, *spec.networks) if name]
    template: dict[str, Any] = {
        "ContainerSpec": _container(spec, files, image_labels),
        "Resources": {"Limits": _limits(spec)},
        "RestartPolicy": (
            {"Condition": "any", "Delay": _RESTART_DELAY_S * _NS_PER_S, "MaxAttempts": 0}
            if spec.restarts
            else {"Condition": "none"}
        ),
        "Networks": [
            {"Target": network, "Aliases": list(spec.aliases.get(name, ()))}
            for name, network in zip(names, networks, strict=True)
        ],
        "LogDriver": _LOG_DRIVER,
    }
    if spec.constraints:
        template["Placement"] = {"Constraints": list(spec.constraints)}
    own = {
        NAME_LABEL: spec.name,
        ATTEMPT_LABEL: attempt,
        REPLICAS_LABEL: str(spec.replicas),
        HEALTH_LABEL: "true" if has_healthcheck else "",
        TASK_PORT_LABEL: str(spec.port),
    }
    return {
        "Name": service_name(spec.name),
        "Labels": {**spec.labels, **own},
        "TaskTemplate": template,
        "Mode": {"Replicated": {"Replicas": 0}},
        # A virtual address would need IPVS, and hide from the ingress which task is which.
        "EndpointSpec": {"Mode": "dnsrr", "Ports": _ports(spec)},
    }


def _container(
    spec: WorkloadSpec, files: Sequence[StoredFile], image_labels: Iterable[str]
) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [
        {
            "Type": "volume",
            "Source": name,
            "Target": path,
            "VolumeOptions": {"Labels": dict(spec.volume_labels)},
        }
        for name, path in spec.volumes.items()
    ]
    mounts += [
        {"Type": "bind", "Source": one.source, "Target": one.target, "ReadOnly": one.read_only}
        for one in spec.binds
    ]
    mounts += [
        {"Type": "tmpfs", "Target": path, **_tmpfs(options)} for path, options in spec.tmpfs.items()
    ]
    if spec.shm_size:
        # Services have no option for it.
        shm = {"SizeBytes": spec.shm_size, "Mode": 0o1777}
        mounts.append({"Type": "tmpfs", "Target": "/dev/shm", "TmpfsOptions": shm})  # noqa: S108
    body: dict[str, Any] = {
        "Image": spec.image,
        "Labels": {**dict.fromkeys(image_labels, ""), **spec.labels},
        # Swarm takes the values of variables for templates.
        "Env": [f"{name}={_verbatim(value)}" for name, value in spec.env.items()],
        "Mounts": mounts,
        "CapabilityDrop": [
            f"CAP_{name}" for name in DROPPED_CAPABILITIES if name not in spec.cap_add
        ],
        "CapabilityAdd": [f"CAP_{name}" for name in spec.cap_add],
        # Engines before Docker 25 do not know it, and ignore it.
        "Privileges": {"NoNewPrivileges": True},
        "Secrets": [_file_reference(one, "Secret") for one in files if one.is_secret],
        "Configs": [_file_reference(one, "Config") for one in files if not one.is_secret],
    }
    command, arguments = spec.entrypoint, spec.command
    if command == ():
        # An empty command would leave the image's entrypoint.
        command, arguments = arguments, ()
    given: dict[str, Any] = {
        "Command": list(command or ()),
        "Args": list(arguments),
        "User": spec.user,
        "StopSignal": spec.stop_signal,
        "Hosts": [f"{address} {host}" for host, address in spec.extra_hosts.items()],
        "ReadOnly": spec.read_only,
    }
    body |= {name: value for name, value in given.items() if value}
    if spec.stop_timeout_s is not None:
        body["StopGracePeriod"] = spec.stop_timeout_s * _NS_PER_S
    return body if spec.init is None else body | {"Init": spec.init}


def _limits(spec: WorkloadSpec) -> dict[str, int]:
    limits = {
        "MemoryBytes": spec.memory,
        "NanoCPUs": round(spec.cpus * _NS_PER_S),
        "Pids": spec.pids or GENEROUS_PIDS,
    }
    return {name: value for name, value in limits.items() if value}


def _ports(spec: WorkloadSpec) -> list[dict[str, Any]]:
    ports: list[dict[str, Any]] = [
        {
            "Protocol": one.protocol,
            "TargetPort": one.port,
            "PublishedPort": one.host_port,
            "PublishMode": "host",
        }
        for one in spec.publish
    ]
    if spec.port:
        # The node chooses the port: a fixed one would serve one task of each node only.
        ports.append({"Protocol": "tcp", "TargetPort": spec.port, "PublishMode": "host"})
    return ports


def _tmpfs(options: str) -> dict[str, object]:
    """Return the options of a mount; see `unknown_to_a_swarm` for those that it cannot have."""
    found: dict[str, int] = {}
    read_only = False
    # The last one of a kind counts, as for mount(8).
    for one in options.split(","):
        if size := _SIZE.fullmatch(one):
            found["SizeBytes"] = int(size[1]) << _SIZE_UNITS[size[2].lower()]
        elif mode := _MODE.fullmatch(one):
            found["Mode"] = int(mode[1], 8)
        elif one in {"ro", "rw"}:
            read_only = one == "ro"
    return {"TmpfsOptions": found, **({"ReadOnly": True} if read_only else {})}


def _file_reference(file: StoredFile, kind: str) -> Json:
    # Of a path below /run/secrets the engine takes the rest, of any other the whole.
    name = file.path.removeprefix(SECRETS_BELOW) if file.is_secret else file.path
    target: Mapping[str, object] = {"Name": name, "UID": "0", "GID": "0", "Mode": READABLE_BY_ALL}
    return {"File": target, f"{kind}ID": file.id, f"{kind}Name": file.name}


def _verbatim(text: str) -> str:
    return text.replace("{{", '{{"{{"}}')
