"""What Docker's JSON means, and the JSON it is asked with (Docker Engine API). Pure: values in, values out."""

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tagboat.core.catalog import Registry
from tagboat.core.deploy import ContainerSpec, ContainerStatus
from tagboat.core.errors import InvalidImageRefError
from tagboat.core.image import Digest, ImageInfo, ImageName, is_docker_hub, parse_digest, parse_image_name, parse_image_ref

DEFAULT_STOP_TIMEOUT_S = 10

GENEROUS_PIDS = 4096
"""The most processes and threads of a container that names no limit: more than apps need, but an app that forks without end
stops there, and not where the machine has no more (Linux has 32,768 by default)."""

IDENTITY_TOKEN = "<token>"  # noqa: S105 - the name by which Docker marks a password that is one
_DOCKER_HUB_LOGIN = "https://index.docker.io/v1/"
_BOUNDED_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
"""A flooding app must not fill the disk: at most 30 MB a container."""

_ENDINGS = ("die", "stop", "destroy")
"""Of a container that is stopped while it waits to be restarted comes a `stop` only; of any other, a `die` as well."""

Json = Mapping[str, Any]


def create_body(spec: ContainerSpec, *, bounded_log: bool = True) -> dict[str, Any]:
    """The body of ContainerCreate for `spec`, without its files and networks, which have calls of their own.

    Without `bounded_log` the engine's own default for logs is left alone.
    """
    body: dict[str, Any] = {
        "Image": spec.image,
        "Labels": dict(spec.labels),
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "HostConfig": _host_config(spec, bounded_log=bounded_log),
    }
    if spec.port:
        body["ExposedPorts"] = {f"{spec.port}/tcp": {}}
    if spec.command:
        body["Cmd"] = list(spec.command)
    if spec.user:
        body["User"] = spec.user
    if spec.stop_signal:
        body["StopSignal"] = spec.stop_signal
    if spec.stop_timeout_s is not None:
        body["StopTimeout"] = spec.stop_timeout_s
    return body


def container_status(answer: Json) -> ContainerStatus:
    """Read the answer of ContainerInspect. `running` is False while the engine waits to restart it."""
    container_id, name = answer["Id"], answer["Name"]
    state = answer.get("State") or {}
    health = (state.get("Health") or {}).get("Status")
    restarting = bool(state.get("Restarting"))
    return ContainerStatus(
        id=container_id,
        name=name.removeprefix("/"),
        running=bool(state.get("Running")) and not restarting,
        restarting=restarting,
        restarts=int(answer.get("RestartCount") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        health=health if health in {"starting", "healthy", "unhealthy"} else None,
        labels=(answer.get("Config") or {}).get("Labels") or {},
        host_port=_host_port(answer),
        started_at=_time(state.get("StartedAt") or ""),
    )


def endings_filter(labels: Mapping[str, str]) -> str:
    """The filter of SystemEvents for the endings of containers that bear every one of `labels`."""
    wanted = [f"{name}={value}" for name, value in labels.items()]
    return json.dumps({"type": ["container"], "event": _ENDINGS, "label": wanted})


def ended_container(event: Json) -> str:
    """The name of the container that a message of SystemEvents is about."""
    return str(event["Actor"]["Attributes"]["name"])


def has_terminal(answer: Json) -> bool:
    """Whether the container of a ContainerInspect answer has a terminal, so that its log is one bare stream."""
    return bool((answer.get("Config") or {}).get("Tty"))


def stop_timeout_s(answer: Json) -> int:
    """How many seconds the engine lets this container take to stop before it kills it."""
    seconds = (answer.get("Config") or {}).get("StopTimeout")
    return DEFAULT_STOP_TIMEOUT_S if seconds is None else int(seconds)


def image_info(answer: Json, ref: str) -> ImageInfo:
    """Read the answer of ImageInspect for `ref`."""
    config = answer.get("Config") or {}
    test = (config.get("Healthcheck") or {}).get("Test") or []
    return ImageInfo(
        digest=own_digest(ref, answer.get("RepoDigests") or []),
        tcp_ports=tuple(sorted(_tcp_ports(config.get("ExposedPorts") or {}))),
        labels=config.get("Labels") or {},
        has_healthcheck=bool(test) and test[0] != "NONE",
        created=_time(answer.get("Created") or ""),
    )


def own_digest(ref: str, repo_digests: Iterable[str]) -> Digest | None:
    """The digest under which the repository of `ref` knows the image, None when it is there from elsewhere only.

    An image can bear several digests of one repository (an index and the image in it): one that `ref` names goes first.
    """
    name = _name(ref.partition("@")[0])
    entries = (entry.partition("@") for entry in repo_digests)
    known = [parse_digest(digest) for other, _, digest in entries if name is not None and _name(other) == name]
    asked = ref.partition("@")[2]
    return next((digest for digest in known if digest == asked), known[0] if known else None)


def registry_auth(image: ImageName, registry: Registry | None) -> str | None:
    """The value of X-Registry-Auth, None for an anonymous pull.

    Engines with containerd's image store drop a login whose `serveraddress` is not the image's host; for Docker Hub they
    only take the historic URL.
    """
    if registry is None or registry.password is None:
        return None
    login = {"serveraddress": _DOCKER_HUB_LOGIN if is_docker_hub(image.host) else image.host}
    if registry.username == IDENTITY_TOKEN:
        login["identitytoken"] = registry.password
    else:
        login |= {"username": registry.username, "password": registry.password}
    return base64.urlsafe_b64encode(json.dumps(login).encode()).decode("ascii")


def _host_config(spec: ContainerSpec, *, bounded_log: bool) -> dict[str, Any]:
    host: dict[str, Any] = {
        "RestartPolicy": {"Name": "unless-stopped" if spec.restarts else "no"},
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": spec.pids or GENEROUS_PIDS,
    }
    if bounded_log:
        host["LogConfig"] = _BOUNDED_LOG
    if spec.port:
        host["PortBindings"] = {f"{spec.port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(spec.host_port)}]}
    if spec.volumes:
        host["Mounts"] = [{"Type": "volume", "Source": name, "Target": path} for name, path in spec.volumes.items()]
    if spec.memory:
        # MemorySwap is memory and swap together. Left out, it is twice the memory: an app over its limit would swap, not end.
        host["Memory"] = host["MemorySwap"] = spec.memory
    if spec.cpus:
        host["NanoCpus"] = round(spec.cpus * 1_000_000_000)
    return host


def _host_port(answer: Json) -> int:
    """The host port it was asked to be published on, or the one the engine chose; 0 for none."""
    asked = (answer.get("HostConfig") or {}).get("PortBindings") or {}
    given = (answer.get("NetworkSettings") or {}).get("Ports") or {}
    bindings = [binding for ports in (asked, given) for bound in ports.values() for binding in bound or []]
    return next((int(binding["HostPort"]) for binding in bindings if binding.get("HostPort") not in {None, "", "0"}), 0)


def _tcp_ports(exposed: Iterable[str]) -> Iterable[int]:
    for entry in exposed:
        port, _, protocol = entry.partition("/")
        if protocol in {"", "tcp"} and port.isascii() and port.isdigit():
            yield int(port)


def _name(text: str) -> ImageName | None:
    """The repository of `NAME` or `NAME:TAG`; None for what is none, such as an image id or `<none>`."""
    try:
        return parse_image_ref(text).name if ":" in text.rpartition("/")[2] else parse_image_name(text)
    except InvalidImageRefError:
        return None


def _time(text: str) -> datetime | None:
    """Read a time of RFC 3339; None when there is none, and for year 1, Go's word for it."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.year > 1 and time.tzinfo else None
