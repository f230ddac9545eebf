"""How an app is run, as the engine is asked for it."""

from collections.abc import Callable
from dataclasses import replace

from tagboat.core.errors import DeployFailedError
from tagboat.core.host_access import parse_bind, parse_device, parse_published, published_port_in
from tagboat.core.run import KEEP_ENTRYPOINT, RunConfig, RunOptions
from tagboat.core.workload import WorkloadSpec


def with_surroundings(spec: WorkloadSpec, options: RunOptions) -> WorkloadSpec:
    """`spec` with what surrounds the app, be it the instance or the release command: mounts, devices, hosts, rights."""
    return replace(
        spec,
        tmpfs=options.tmpfs,
        binds=tuple(map(parse_bind, options.binds)),
        devices=tuple(map(parse_device, options.devices)),
        extra_hosts=options.extra_hosts,
        shm_size=options.shm_size,
        init=options.init,
        read_only=bool(options.read_only),
        cap_add=options.cap_add,
        image_labels=bool(options.image_labels),
    )


def as_instance(spec: WorkloadSpec, options: RunOptions) -> WorkloadSpec:
    """`spec` as that of the app itself: its command line, and the ports that no other container may have."""
    publish = tuple(map(parse_published, options.publish))
    return replace(spec, entrypoint=_entrypoint(options), command=options.command, publish=publish)


def as_release(spec: WorkloadSpec, options: RunOptions) -> WorkloadSpec:
    """`spec` as that of the release command, which is a whole command line unless the image's ENTRYPOINT is kept."""
    entrypoint = None if options.entrypoint == KEEP_ENTRYPOINT else ()
    return replace(spec, entrypoint=entrypoint, command=options.release_command, restarts=False)


def with_host_paths(spec: WorkloadSpec, allowed: Callable[[str], str]) -> WorkloadSpec:
    """`spec` with every path of the machine as `allowed` finds it now; raises InvalidValueError where it does not allow it."""
    return replace(
        spec,
        binds=tuple(replace(bind, source=allowed(bind.source)) for bind in spec.binds),
        devices=tuple(replace(device, source=allowed(device.source)) for device in spec.devices),
    )


def unless_published(complaint: str, config: RunConfig) -> None:
    """Raise DeployFailedError where a port is taken that has been asked for: another one would not do."""
    port = published_port_in(complaint, config.options.publish)
    if port is not None:
        raise DeployFailedError(
            f"the port {port} of the machine, which publish asks for, is taken; end what has it, or publish another."
            f" The engine said: {complaint}"
        )


def _entrypoint(options: RunOptions) -> tuple[str, ...] | None:
    if isinstance(options.entrypoint, tuple) and options.entrypoint:
        return options.entrypoint
    whole = options.command and options.entrypoint != KEEP_ENTRYPOINT
    return () if whole else None
