"""The JSON of the Docker Engine API: reading its answers, and writing its requests.

Pure: values in, values out.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Network
from typing import Any

from tagboat.core.endpoint import loopback_endpoint
from tagboat.core.host_access import Published
from tagboat.core.workload import TaskStatus, WorkloadSpec, WorkloadStatus
from tagboat.runtime.docker.healthtest import last_said
from tagboat.runtime.docker.subnets import lower_half

DEFAULT_STOP_TIMEOUT_S = 10

GENEROUS_PIDS = 4096
"""The most processes and threads of a container without a limit.

Apps need fewer. An app that forks without end stops there, and not where the machine has no more
(Linux has 32,768 by default).
"""

DROPPED_CAPABILITIES = ("NET_RAW", "MKNOD", "AUDIT_WRITE", "SYS_CHROOT", "SETFCAP")
"""Capabilities that the engine gives by default: few apps need them, and attackers do."""

_BOUNDED_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
"""A flooding app must not fill the disk: at most 30 MB a container."""

_ENDINGS = ("die", "stop", "destroy", "pause", "unpause", "health_status")
"""Events that are exits, or other news of a container.

One that is stopped while it waits to be restarted only has a `stop`, any other a `die` as well. The
engine takes `health_status` for the beginning of `health_status: healthy` and similar.
"""

Json = Mapping[str, Any]


def create_body(
    spec: WorkloadSpec,
    *,
    image_labels: Iterable[str] = (),
    address: str = "",
    bounded_log: bool = True,
) -> dict[str, Any]:
    """Return the body of ContainerCreate for `spec`, without its files and further networks.

    `image_labels` are those of the image that are not to be the container's, `address` the one that
    it keeps. Without `bounded_log` the engine's own default for logs is left alone.
    """
    body: dict[str, Any] = {
        "Image": spec.image,
        # The engine adds the image's labels, and cannot be told not to; but what is empty steers
        # nobody.
        "Labels": {**dict.fromkeys(image_labels, ""), **spec.labels},
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "HostConfig": _host_config(spec, bounded_log=bounded_log),
    }
    if spec.network:
        body["NetworkingConfig"] = {
            "EndpointsConfig": {spec.network: endpoint(spec.aliases.get(spec.network, ()), address)}
        }
    if ports := _port_bindings(spec):
        body["ExposedPorts"] = {port: {} for port in ports}
    if spec.entrypoint is not None:
        # One empty text is the engine's word for none; an empty list would leave the image's.
        body["Entrypoint"] = list(spec.entrypoint) or [""]
    if spec.command:
        body["Cmd"] = list(spec.command)
    if spec.user:
        body["User"] = spec.user
    if spec.stop_signal:
        body["StopSignal"] = spec.stop_signal
    if spec.stop_timeout_s is not None:
        body["StopTimeout"] = spec.stop_timeout_s
    return body


def endpoint(aliases: Sequence[str], address: str = "") -> dict[str, Any]:
    """Return what a container is on a network.

    Found by `aliases`, at `address` if that is not empty.
    """
    named: dict[str, Any] = {"Aliases": list(aliases)} if aliases else {}
    return named | ({"IPAMConfig": {"IPv4Address": address}} if address else {})


def kept_addresses(answer: Json, network: str) -> list[str]:
    """Return the addresses that a container has there, or is to have when it runs."""
    there = ((answer.get("NetworkSettings") or {}).get("Networks") or {}).get(network) or {}
    return [
        address for address in (fixed_address(answer, network), there.get("IPAddress")) if address
    ]


def fixed_address(answer: Json, network: str) -> str:
    """Return the address that a container keeps there, empty for none."""
    there = ((answer.get("NetworkSettings") or {}).get("Networks") or {}).get(network) or {}
    return str((there.get("IPAMConfig") or {}).get("IPv4Address") or "")


def network_body(name: str, labels: Mapping[str, str], share: IPv4Network) -> dict[str, Any]:
    """Return the body of NetworkCreate for a bridge with the addresses of `share`."""
    config = {"Subnet": str(share), "IPRange": str(lower_half(share))}
    return {
        "Name": name,
        # Before API 1.44 an engine without it makes a second network of the same name.
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Labels": dict(labels),
        "IPAM": {"Config": [config]},
    }


def subnets(answer: Json) -> list[IPv4Network]:
    """Return the ranges of IPv4 addresses of a network."""
    texts = [
        config.get("Subnet") or "" for config in (answer.get("IPAM") or {}).get("Config") or []
    ]
    return [IPv4Network(text, strict=False) for text in texts if text and ":" not in text]


def container_status(answer: Json) -> WorkloadStatus:
    """Read the answer of ContainerInspect.

    `running` is False while the engine waits to restart it.
    """
    container_id, name = answer["Id"], answer["Name"]
    state = answer.get("State") or {}
    health = (state.get("Health") or {}).get("Status")
    restarting = bool(state.get("Restarting"))
    # Volumes that a mount asked for; the engine makes the others for the image's VOLUME.
    asked = {mount.get("Target") for mount in (answer.get("HostConfig") or {}).get("Mounts") or []}
    unasked_volumes = {
        mount["Destination"]: mount["Name"]
        for mount in answer.get("Mounts") or []
        if mount.get("Type") == "volume" and mount.get("Name") and mount["Destination"] not in asked
    }
    ports = _host_ports(answer)
    task = TaskStatus(
        id=container_id,
        # The engine calls a container that waits to be restarted running as well.
        running=bool(state.get("Running")) and not restarting,
        restarting=restarting,
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        # The engine says `none` where there is no HEALTHCHECK.
        health=health if health in {"starting", "healthy", "unhealthy"} else None,
        endpoint=loopback_endpoint(next(iter(ports), 0)),
    )
    return WorkloadStatus(
        id=container_id,
        name=name.removeprefix("/"),
        tasks=(task,),
        restarts=int(answer.get("RestartCount") or 0),
        labels=(answer.get("Config") or {}).get("Labels") or {},
        host_ports=frozenset(ports),
        started_at=parse_time(state.get("StartedAt") or ""),
        paused=bool(state.get("Paused")),
        health_said=last_said(state),
        unasked_volumes=unasked_volumes,
    )


def endings_filter(labels: Mapping[str, str]) -> str:
    """Return the filter of SystemEvents for exits and other news of containers with `labels`."""
    wanted = [f"{name}={value}" for name, value in labels.items()]
    return json.dumps({"type": ["container"], "event": _ENDINGS, "label": wanted})


def last_death(answer: Json) -> dict[str, str] | None:
    """Return parameters of SystemEvents for the last exit of a restarted container, or None.

    By the engine's own clock: events up to then are in the past, so that the answer comes to an
    end.
    """
    state = answer.get("State") or {}
    ended, began = (
        parse_time(state.get("FinishedAt") or ""),
        parse_time(state.get("StartedAt") or ""),
    )
    if ended is None or began is None:
        return None
    filters = json.dumps({"type": ["container"], "event": ["die"], "container": [answer["Id"]]})
    # In whole seconds, with one to spare on each side. It may have ended again since it was seen
    # running: then it began before.
    return {
        "filters": filters,
        "since": str(int(ended.timestamp()) - 1),
        "until": str(int(max(ended, began).timestamp()) + 1),
    }


def exit_code(event: Json) -> int | None:
    """Return the code with which the program of a `die` event ended."""
    code = str(event["Actor"]["Attributes"].get("exitCode", ""))
    return int(code) if code.isdecimal() else None


def ended_container(event: Json) -> str:
    """Return the name of the container that a message of SystemEvents is about."""
    return str(event["Actor"]["Attributes"]["name"])


def has_terminal(answer: Json) -> bool:
    """Return whether a container has a terminal, so that its log is one bare stream."""
    return bool((answer.get("Config") or {}).get("Tty"))


def stop_timeout_s(answer: Json) -> int:
    """Return how many seconds the engine lets this container take to stop before it kills it."""
    seconds = (answer.get("Config") or {}).get("StopTimeout")
    return DEFAULT_STOP_TIMEOUT_S if seconds is None else int(seconds)


def _host_config(spec: WorkloadSpec, *, bounded_log: bool) -> dict[str, Any]:
    host: dict[str, Any] = {
        # Not `always`: that starts a stopped container again when the engine is restarted.
        "RestartPolicy": {"Name": "unless-stopped" if spec.restarts else "no"},
        # So setuid programs in an image give no rights that the app does not have.
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": spec.pids or GENEROUS_PIDS,
    }
    if dropped := [name for name in DROPPED_CAPABILITIES if name not in spec.cap_add]:
        host["CapDrop"] = dropped
    if spec.network:
        host["NetworkMode"] = spec.network
    if bounded_log:
        host["LogConfig"] = _BOUNDED_LOG
    if ports := _port_bindings(spec):
        host["PortBindings"] = ports
    labels = {"VolumeOptions": {"Labels": dict(spec.volume_labels)}} if spec.volume_labels else {}
    mounts: list[dict[str, Any]] = [
        {"Type": "volume", "Source": name, "Target": path, **labels}
        for name, path in spec.volumes.items()
    ]
    # As mounts, since for the older `Binds` the engine makes missing paths on the machine, as root.
    mounts += [
        {"Type": "bind", "Source": one.source, "Target": one.target, "ReadOnly": one.read_only}
        for one in spec.binds
    ]
    if mounts:
        host["Mounts"] = mounts
    if spec.memory:
        # MemorySwap is memory and swap together. Left out, it is twice the memory: an app over its
        # limit would swap, not end.
        host["Memory"] = host["MemorySwap"] = spec.memory
    if spec.cpus:
        host["NanoCpus"] = round(spec.cpus * 1_000_000_000)
    given: dict[str, Any] = {
        "Tmpfs": dict(spec.tmpfs),
        "Devices": [
            {
                "PathOnHost": one.source,
                "PathInContainer": one.target,
                "CgroupPermissions": one.rights,
            }
            for one in spec.devices
        ],
        "ExtraHosts": [f"{host}:{address}" for host, address in spec.extra_hosts.items()],
        "ShmSize": spec.shm_size,
        "ReadonlyRootfs": spec.read_only,
        "CapAdd": list(spec.cap_add),
    }
    host |= {name: value for name, value in given.items() if value}
    return host if spec.init is None else host | {"Init": spec.init}


def _port_bindings(spec: WorkloadSpec) -> dict[str, list[dict[str, str]]]:
    own = [Published(spec.endpoint.host, spec.endpoint.port, spec.port)] if spec.endpoint else []
    bindings: dict[str, list[dict[str, str]]] = {}
    for one in (*own, *spec.publish):
        host_port = {"HostIp": one.host_ip, "HostPort": str(one.host_port)}
        bindings.setdefault(f"{one.port}/{one.protocol}", []).append(host_port)
    return bindings


def _host_ports(answer: Json) -> list[int]:
    """Return the host ports it was asked to be published on, then those the engine chose."""
    asked = (answer.get("HostConfig") or {}).get("PortBindings") or {}
    given = (answer.get("NetworkSettings") or {}).get("Ports") or {}
    bindings = [
        binding for ports in (asked, given) for bound in ports.values() for binding in bound or []
    ]
    return [
        int(binding["HostPort"])
        for binding in bindings
        if binding.get("HostPort") not in {None, "", "0"}
    ]


def parse_time(text: str) -> datetime | None:
    """Read a time of RFC 3339; None when there is none, and for year 1, Go's word for it."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.year > 1 and time.tzinfo else None
