"""The run options of an app, as parts of a workload."""

from collections.abc import Callable

from tagboat.core.errors import DeployFailedError
from tagboat.core.host_access import parse_bind, parse_device, parse_published, published_port_in
from tagboat.core.run import KEEP_ENTRYPOINT, RunConfig, RunOptions
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec


def with_surroundings(spec: WorkloadSpec, options: RunOptions) -> WorkloadSpec:
    """Return `spec` with mounts, devices, hosts and rights: for instance and release command."""
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
    """Return `spec` with the app's command line, and the ports that only one container can have."""
    publish = tuple(map(parse_published, options.publish))
    entrypoint: tuple[str, ...] | None = None
    if isinstance(options.entrypoint, tuple) and options.entrypoint:
        entrypoint = options.entrypoint
    elif options.command and options.entrypoint != KEEP_ENTRYPOINT:
        # The command is the whole command line: the image's own entrypoint is removed.
        entrypoint = ()
    return replace(spec, entrypoint=entrypoint, command=options.command, publish=publish)


def as_release(spec: WorkloadSpec, options: RunOptions) -> WorkloadSpec:
    """Return `spec` with the release command: a whole command line, unless ENTRYPOINT is kept."""
    entrypoint = None if options.entrypoint == KEEP_ENTRYPOINT else ()
    # Without restarts: the engine must not run it again after a failure.
    return replace(spec, entrypoint=entrypoint, command=options.release_command, restarts=False)


def with_host_paths(spec: WorkloadSpec, allowed: Callable[[str], str]) -> WorkloadSpec:
    """Return `spec` with each path of the machine as `allowed` resolves it now.

    Raises InvalidValueError where a path is not allowed.
    """
    return replace(
        spec,
        binds=tuple(replace(bind, source=allowed(bind.source)) for bind in spec.binds),
        devices=tuple(replace(device, source=allowed(device.source)) for device in spec.devices),
    )


def unless_published(complaint: str, config: RunConfig) -> None:
    """Raise DeployFailedError where `complaint` is about a port that `publish` asks for."""
    port = published_port_in(complaint, config.options.publish)
    if port is not None:
        raise DeployFailedError(
            f"the port {port} of the machine, which publish asks for, is taken; end what has it, or"
            f" publish another. The engine said: {complaint}"
        )
