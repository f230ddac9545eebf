"""The facts of a container in memory, as somebody who takes it over asks for them. Pure."""

from tagboat.core.container_facts import ContainerFacts, VolumeMount
from tagboat.core.host_access import Published
from tagboat.runtime.memory_state import MemoryContainer


def facts_of(held: MemoryContainer) -> ContainerFacts:
    """Return the facts of a container; the values that its spec does not give are the image's."""
    spec, status, info = held.spec, held.status, held.image.info
    at = next(iter(status.endpoints), None) if status.running else None
    own = (Published(at.host, at.port, spec.port),) if at else ()
    image_env = dict(entry.partition("=")[::2] for entry in info.env)
    volumes = {**spec.volumes, **{name: path for path, name in status.unasked_volumes.items()}}
    # As the engine has it: another entrypoint takes the image's command away.
    kept = info.command if spec.entrypoint is None else ()
    return ContainerFacts(
        id=status.id,
        name=status.name,
        image=spec.image,
        running=status.running or status.restarting,
        image_names=held.image.names,
        image_digests=(spec.image,),
        info=info,
        labels=status.labels,
        env={**image_env, **spec.env},
        entrypoint=info.entrypoint if spec.entrypoint is None else spec.entrypoint,
        command=spec.command or kept,
        user=spec.user or info.user,
        healthcheck=info.healthcheck,
        stop_signal=spec.stop_signal,
        stop_timeout_s=spec.stop_timeout_s,
        published=(*own, *spec.publish),
        volumes=tuple(VolumeMount(name, path) for name, path in volumes.items()),
        binds=spec.binds,
        tmpfs=spec.tmpfs,
        devices=spec.devices,
        networks=tuple(sorted({spec.network, *spec.networks} - {""})),
        memory=spec.memory,
        cpus=spec.cpus,
        pids=spec.pids,
        shm_size=spec.shm_size,
        init=spec.init,
        read_only=spec.read_only,
        cap_add=spec.cap_add,
        extra_hosts=spec.extra_hosts,
    )
