"""The JSON of the Docker Engine API about containers that somebody else has made. Pure."""

from collections.abc import Iterator, Mapping

from tagboat.core.container_facts import ContainerFacts, VolumeMount
from tagboat.core.host_access import Bind, Device, Published
from tagboat.runtime.docker.image_wire import image_info, repo_tags
from tagboat.runtime.docker.wire import Json

# The engine reports its defaults as if somebody had asked for them.
_DEFAULT_SHM = 64 << 20
_BUILT_IN = frozenset({"bridge", "host", "none", "default"})
_NAMESPACES = {"PidMode": "pid", "IpcMode": "ipc", "UTSMode": "uts", "UsernsMode": "userns"}
_OWN_NAMESPACE = frozenset({"", "private", "shareable", "none"})
_REMARKS = {
    "CapDrop": "cap_drop: Tagboat drops some capabilities by itself, and no others",
    "Ulimits": "ulimits: Tagboat has no option for them; set them for the engine (default-ulimits)",
    "Dns": "dns: Tagboat has no option for it; set it for the engine",
    "GroupAdd": "group_add: Tagboat has no option for it; build it into the image",
    "SecurityOpt": "security_opt: Tagboat sets no-new-privileges, and nothing else",
}
_DANGERS = {
    "Privileged": "it is privileged, which Tagboat makes no container",
    "DeviceRequests": "it uses GPUs, for which Tagboat has no option",
    "Sysctls": "it sets sysctls, for which Tagboat has no option",
    "VolumesFrom": "it uses the volumes of another container",
}


def container_facts(answer: Json, image: Json, *, own: bool = False) -> ContainerFacts:
    """Read the answers of ContainerInspect, and of ImageInspect for its image."""
    config, host = answer.get("Config") or {}, answer.get("HostConfig") or {}
    mounts = answer.get("Mounts") or []
    mode = str(host.get("NetworkMode") or "")
    networks = (answer.get("NetworkSettings") or {}).get("Networks") or {}
    aliases = {alias for one in networks.values() for alias in (one or {}).get("Aliases") or ()}
    return ContainerFacts(
        id=answer["Id"],
        name=str(answer["Name"]).removeprefix("/"),
        image=config.get("Image") or "",
        running=bool((answer.get("State") or {}).get("Running")),
        image_names=tuple(repo_tags(image)),
        image_digests=tuple(image.get("RepoDigests") or ()),
        info=image_info(image, ""),
        labels=config.get("Labels") or {},
        env=variables_of(config),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        user=config.get("User") or "",
        healthcheck=tuple((config.get("Healthcheck") or {}).get("Test") or ()),
        stop_signal=own_stop_signal(config, image.get("Config") or {}),
        stop_timeout_s=config.get("StopTimeout"),
        published=tuple(published_ports(answer)),
        volumes=tuple(
            VolumeMount(one["Name"], one["Destination"], not one.get("RW", True))
            for one in mounts
            if one.get("Type") == "volume" and one.get("Name")
        ),
        binds=tuple(
            Bind(one["Source"], one["Destination"], not one.get("RW", True))
            for one in mounts
            if one.get("Type") == "bind"
        ),
        tmpfs=tmpfs_mounts(host),
        devices=tuple(
            Device(one["PathOnHost"], one["PathInContainer"], one.get("CgroupPermissions") or "rwm")
            for one in host.get("Devices") or ()
        ),
        networks=tuple(sorted(networks.keys() - _BUILT_IN)),
        # The engine adds the short id.
        aliases=tuple(sorted(alias for alias in aliases if not answer["Id"].startswith(alias))),
        shares_host=mode == "host" or mode.startswith("container:"),
        memory=int(host.get("Memory") or 0),
        cpus=cpu_limit(host),
        pids=max(int(host.get("PidsLimit") or 0), 0),
        shm_size=0 if host.get("ShmSize") == _DEFAULT_SHM else int(host.get("ShmSize") or 0),
        init=host.get("Init"),
        read_only=bool(host.get("ReadonlyRootfs")),
        cap_add=tuple(name.removeprefix("CAP_") for name in host.get("CapAdd") or ()),
        extra_hosts=added_hosts(host),
        auto_remove=bool(host.get("AutoRemove")),
        dangers=tuple(host_dangers(host)),
        remarks=tuple(host_remarks(config, host, image.get("Config") or {})),
        own=own,
    )


def variables_of(config: Json) -> Mapping[str, str]:
    """Return the environment variables of a container, with those of its image."""
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return {name: value for name, _, value in pairs}


def published_ports(answer: Json) -> Iterator[Published]:
    """Yield the ports on the host as they are now, each once."""
    # As they are now, not as they were asked for: a port may have been left to the engine.
    seen = set()
    ports = (answer.get("NetworkSettings") or {}).get("Ports") or {}
    for port, bindings in ports.items():
        number, _, protocol = port.partition("/")
        for binding in bindings or ():
            # For IPv4 and IPv6 there is one each.
            ip = "0.0.0.0" if binding.get("HostIp") in {"", "::"} else binding.get("HostIp")  # noqa: S104 - as the engine has it
            one = Published(str(ip), int(binding["HostPort"]), int(number), protocol or "tcp")
            if one not in seen:
                seen.add(one)
                yield one


def own_stop_signal(config: Json, image: Json) -> str:
    """Return the signal that the container has and the image has not."""
    given = config.get("StopSignal") or ""
    return "" if given in {image.get("StopSignal"), "SIGTERM"} else str(given)


def tmpfs_mounts(host: Json) -> dict[str, str]:
    """Return the options of memory file systems, by path."""
    # Two forms of one thing: --tmpfs and --mount.
    found = dict(host.get("Tmpfs") or {})
    for one in host.get("Mounts") or ():
        if one.get("Type") == "tmpfs":
            size = (one.get("TmpfsOptions") or {}).get("SizeBytes")
            found[one["Target"]] = f"size={size}" if size else ""
    return found


def cpu_limit(host: Json) -> float:
    """Return the limit in processors, 0 for none."""
    # Two forms again: --cpus, and the older quota of a period.
    if nano := host.get("NanoCpus"):
        return float(nano) / 1_000_000_000
    quota = max(int(host.get("CpuQuota") or 0), 0)
    return quota / int(host.get("CpuPeriod") or 100_000)


def added_hosts(host: Json) -> dict[str, str]:
    """Return the addresses of hosts that were added, by name."""
    # At the first colon: an IPv6 address has more.
    pairs = (entry.partition(":") for entry in host.get("ExtraHosts") or ())
    return {name: address.strip("[]") for name, _, address in pairs}


def host_dangers(host: Json) -> Iterator[str]:
    """Yield words for what the app may need and no option can give it."""
    yield from (words for name, words in _DANGERS.items() if host.get(name))
    for name, namespace in _NAMESPACES.items():
        if (mode := str(host.get(name) or "")) not in _OWN_NAMESPACE:
            yield f"it shares the namespace {namespace} ({mode}), which Tagboat's containers do not"
    # The engine names its default here, too.
    runtime = host.get("Runtime") or "runc"
    if runtime not in {"runc", "io.containerd.runc.v2", "crun"}:
        yield f"it uses the runtime {runtime}, for which Tagboat has no option"


def host_remarks(config: Json, host: Json, image: Json) -> Iterator[str]:
    """Yield words for what is different in a container of Tagboat."""
    yield from (words for name, words in _REMARKS.items() if host.get(name))
    if (config.get("WorkingDir") or "/") != (image.get("WorkingDir") or "/"):
        yield f"working_dir {config['WorkingDir']}: Tagboat uses the image's"
    if config.get("Tty") or config.get("OpenStdin"):
        yield "it has a terminal or standard input, which Tagboat's containers do not have"
