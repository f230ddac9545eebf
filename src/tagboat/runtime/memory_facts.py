"""The facts of a container in memory, as it is created and as one who takes it over asks. Pure."""

import hashlib

from tagboat.core.container_facts import ContainerFacts, VolumeMount
from tagboat.core.host_access import Published
from tagboat.core.workload import TaskStatus, WorkloadSpec, WorkloadStatus
from tagboat.runtime.memory_state import MemoryContainer, MemoryImage


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


def created_status(container_id: str, spec: WorkloadSpec, image: MemoryImage) -> WorkloadStatus:
    """Return the status of a container that was just created."""
    mounted = {*spec.volumes.values(), *spec.tmpfs, *(bind.target for bind in spec.binds)}
    kept = "" if spec.image_labels else "org.opencontainers."
    of_image = {
        name: value if name.startswith(kept) else "" for name, value in image.info.labels.items()
    }
    own = spec.endpoint if spec.port else None
    ports = {one.host_port for one in spec.publish}
    return WorkloadStatus(
        id=container_id,
        name=spec.name,
        tasks=(TaskStatus(id=container_id, running=False, endpoint=own),),
        # The real one adds a container's own labels to its image's, of which those are emptied that
        # may steer others.
        labels={**of_image, **spec.labels},
        host_ports=frozenset(ports | ({own.port} if own else set())),
        unasked_volumes={
            path: hashlib.sha256(f"{container_id} {path}".encode()).hexdigest()
            for path in image.info.volumes
            if path not in mounted
        },
    )
