"""The traces of an installation on the engine: finding them, and removing them.

A container is ours by the installation's label and the record of the deploy that made it, a network
by its label, an image by the record of its pull, a volume by the id of its stage. An adopted volume
is a person's.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from tagboat.core.errors import EngineError, EngineMissingError
from tagboat.core.placement import volumes_on_nodes
from tagboat.core.ports import Reader
from tagboat.core.run import EngineKind
from tagboat.core.runtime import Runtime
from tagboat.core.storage import volume_name
from tagboat.core.workload import WorkloadStatus
from tagboat.data_dir import REPLICA_FILE
from tagboat.deploy.one_offs import is_made_for
from tagboat.deploy.ownership import made_here, own_labels
from tagboat.deploy.presence import Sighting, others_seen
from tagboat.store.snapshot import DatabasePlace, read_record


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationRecord:
    """The record of an installation, as far as it names things on the engine.

    `images` are names (`NAME@DIGEST`) that Tagboat has pulled. `adopted` are volumes that stages
    have taken over, `engines` those that they ask for. `others` are the other servers and edges on
    the database that were seen lately: they may run its apps, or route to them, now.
    """

    installation: str
    projects: int = 0
    stage_ids: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()
    engines: frozenset[EngineKind] = frozenset()
    images: tuple[str, ...] = ()
    others: tuple[Sighting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTraces:
    """The traces on the engine.

    `unknown` are containers with our label that no deploy has made, `adopted` volumes that a person
    has made and a stage has taken over: both stay. So do `on_nodes`, volumes of stages by node of a
    swarm, which nobody can list or remove from here.
    """

    containers: tuple[WorkloadStatus, ...] = ()
    unknown: tuple[WorkloadStatus, ...] = ()
    networks: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()
    on_nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovedTraces:
    """The outcome of a removal: failures in words, and images and volumes that others use."""

    failures: tuple[str, ...] = ()
    in_use: tuple[str, ...] = ()


def read_installation(place: DatabasePlace, key: bytes, installation: str) -> InstallationRecord:
    """Return what is on record of an installation."""
    replica = place.data_dir / REPLICA_FILE
    own = replica.read_text().strip() if replica.exists() else ""

    def read(reader: Reader) -> InstallationRecord:
        projects = reader.projects()
        stages = [
            stage
            for found in reader.stages_by_project([one.id for one in projects]).values()
            for stage in found
        ]
        return InstallationRecord(
            installation=installation,
            projects=len(projects),
            stage_ids=tuple(stage.id for stage in stages),
            adopted=tuple(name for stage in stages for name in stage.adopted_volumes.values()),
            engines=frozenset(stage.engine for stage in stages if stage.engine is not None),
            images=tuple(str(image) for image in reader.pulled_images()),
            others=others_seen(reader, own),
        )

    return read_record(place, key, read)


async def find_traces(
    runtime: Runtime, place: DatabasePlace, key: bytes, record: InstallationRecord
) -> EngineTraces:
    """Return the traces of the installation. Raises EngineError where the engine is away."""
    for engine in record.engines:
        # One that is there has to answer; one that is no more has no traces.
        with suppress(EngineMissingError):
            await runtime.on(engine)
    labelled = await runtime.list_workloads(own_labels(record.installation))
    # Labels alone prove nothing: see ownership.py.
    ours = read_record(
        place,
        key,
        lambda reader: {
            one.id
            for one in labelled
            if made_here(reader, one)
            or any(is_made_for(command, one) for command in reader.one_offs())
        },
    )

    def read_on_nodes(reader: Reader) -> dict[str, str]:
        projects = {one.id: one for one in reader.projects()}
        found: dict[str, str] = {}
        for stages in reader.stages_by_project(projects).values():
            for one in stages:
                owner = projects[one.project_id]
                found |= volumes_on_nodes(owner, one, is_cluster=runtime.is_cluster)
        return found

    on_nodes = read_record(place, key, read_on_nodes)
    # Of networks and volumes there is no record; nobody but Tagboat makes them with these labels.
    networks = await runtime.list_networks(own_labels(record.installation))
    images = [one for one in record.images if await runtime.inspect_image(one) is not None]
    usage = await runtime.disk_usage()
    # By their label, those of stages that were deleted before; the stages' own by their names.
    volumes = {
        one.name
        for one in usage.volumes
        if one.labels.get("tagboat.installation") == record.installation
        or one.name.startswith(tuple(volume_name(stage, "") for stage in record.stage_ids))
    }
    return EngineTraces(
        containers=tuple(one for one in labelled if one.id in ours),
        unknown=tuple(one for one in labelled if one.id not in ours),
        networks=tuple(networks),
        images=tuple(images),
        volumes=tuple(sorted(volumes)),
        adopted=tuple(
            sorted({one.name for one in usage.volumes if one.name in record.adopted} - volumes)
        ),
        on_nodes=tuple(
            f"{name} ({node})" if node else name
            for name, node in sorted(on_nodes.items())
            if name not in {one.name for one in usage.volumes}
        ),
    )


async def remove_traces(
    runtime: Runtime, installation: str, traces: EngineTraces, *, volumes: bool
) -> RemovedTraces:
    """Stop and remove containers, then networks and images, and volumes if asked for."""

    async def end(container: WorkloadStatus) -> None:
        await runtime.stop(container.id)
        await runtime.remove(container.id)

    async def free(network: str) -> None:
        if not await runtime.remove_network(network, own_labels(installation)):
            in_use.append(network)

    async def drop_image(image: str) -> None:
        if not await runtime.remove_image(image):
            in_use.append(image)

    async def drop_volume(volume: str) -> None:
        if not await runtime.remove_volume(volume):
            in_use.append(volume)

    in_use: list[str] = []
    # Together: each may take its ten seconds to stop.
    failures = _failures(await asyncio.gather(*map(end, traces.containers), return_exceptions=True))
    # After the containers, which use them.
    steps = [
        *((free, one) for one in traces.networks),
        *((drop_image, one) for one in traces.images),
        *((drop_volume, one) for one in traces.volumes if volumes),
    ]
    for drop, name in steps:
        failures += _failures(await asyncio.gather(drop(name), return_exceptions=True))
    return RemovedTraces(tuple(failures), tuple(in_use))


def _failures(outcomes: Iterable[BaseException | None]) -> list[str]:
    """Return the engine's refusals in words; raise what else was raised."""
    for one in outcomes:
        if one is not None and not isinstance(one, EngineError):
            raise one
    return [str(one) for one in outcomes if one is not None]
