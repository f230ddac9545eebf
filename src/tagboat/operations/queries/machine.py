"""Disk space, networks, and the answers that the ingress counted."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from tagboat.core.config import INSTALLATION_ID
from tagboat.core.errors import IngressUnavailableError
from tagboat.core.keeping import Disk, DiskUsage
from tagboat.core.naming import project_of_network
from tagboat.core.placement import volumes_on_nodes
from tagboat.core.ports import Reader
from tagboat.core.request_counts import CodeClasses
from tagboat.deploy.ownership import own_labels
from tagboat.operations.services import OperationServices

# As `volume_name` makes them: the id of the stage, then the name that the person gave.
_OF_A_STAGE = re.compile(r"tagboat-([0-9a-f]{24})-.+", re.ASCII)

_ANSWERS_LIMIT_S = 1.0
"""Seconds that a scrape waits for a hanging ingress: the other metrics are wanted all the same."""


class StageVolume(Struct, frozen=True):
    """A volume that Tagboat made; without a project its stage was deleted.

    `size` is bytes, None where the engine does not say. `node` is where it is, by the record, on a
    swarm, whose nodes do not report their volumes; None on the engine itself.
    """

    name: str
    size: int | None
    project: str | None
    stage: str | None
    node: str | None = None


class ProjectNetwork(Struct, frozen=True):
    """A network that Tagboat made for a project; None while that of a deleted one is removed."""

    name: str
    project: str | None


class SpaceTaken(Struct, frozen=True):
    """The images that Tagboat pulled, with their bytes at most, and its volumes."""

    images: int
    images_bytes: int
    volumes: tuple[StageVolume, ...]


class MachineQueries(Struct, frozen=True):
    """Reads of what the machine has, and what the ingress counts."""

    services: OperationServices

    async def disks(self) -> Sequence[Disk]:
        """Return the disks of data and engine."""
        return await self.services.disks()

    async def space_taken(self) -> SpaceTaken:
        """Return how much Tagboat's images and volumes take. The engine may need a minute."""
        usage = await self.services.engine.disk_usage()

        def work(reader: Reader) -> SpaceTaken:
            ours = {str(pulled) for pulled in reader.pulled_images()}
            sizes = [image.size for image in usage.images if not ours.isdisjoint(image.names)]
            # Layers that several images have in common are counted with each.
            taken = min(sum(sizes), usage.layers)
            volumes = list(stage_volumes_on_engine(reader, usage))
            # A swarm of this one machine has them on its engine.
            counted = {one.name for one in volumes}
            projects = {one.id: one for one in reader.projects()}
            for some in reader.stages_by_project(projects).values():
                for stage in some:
                    owner = projects[stage.project_id]
                    found = volumes_on_nodes(
                        owner, stage, is_cluster=self.services.engine.is_cluster
                    )
                    volumes += [
                        StageVolume(name, None, owner.name, stage.name, node)
                        for name, node in found.items()
                        if name not in counted
                    ]
            return SpaceTaken(len(sizes), taken, tuple(volumes))

        return await self.services.store.read(work)

    async def networks(self) -> list[ProjectNetwork]:
        """Return the networks that Tagboat made, in order of project. Raises EngineError."""
        store = self.services.store
        installation = await store.read(lambda reader: reader.setting(INSTALLATION_ID))
        names = await self.services.engine.list_networks(own_labels(str(installation)))
        projects = await store.read(
            lambda reader: reader.projects_by_id([project_of_network(name) for name in names])
        )
        found = [(name, projects.get(project_of_network(name))) for name in names]
        networks = [ProjectNetwork(name, one.name if one else None) for name, one in found]
        return sorted(networks, key=lambda one: (one.project or "", one.name))

    async def answers_of(self, stage_id: str) -> CodeClasses | None:
        """Return the answers of a stage by class of status, since the ingress was started.

        None where they are not counted, or the ingress does not answer.
        """
        answers = await self.answers()
        return None if answers is None else answers.get(stage_id, {})

    async def answers(self) -> Mapping[str, CodeClasses] | None:
        """Return the answers of all stages by their ids, None as in `answers_of`."""
        if not self.services.ingress.routes_traffic:
            return None
        try:
            async with asyncio.timeout(_ANSWERS_LIMIT_S):
                return await self.services.code_classes()
        except (IngressUnavailableError, TimeoutError):
            # No series is better than one that falls to 0.
            return None


def stage_volumes_on_engine(reader: Reader, usage: DiskUsage) -> Iterator[StageVolume]:
    """Yield the volumes of this installation, those of deleted stages among them."""
    installation = reader.setting(INSTALLATION_ID)
    owned = {
        volume.name: match[1]
        for volume in usage.volumes
        if (match := _OF_A_STAGE.fullmatch(volume.name))
    }
    stages = reader.stages_by_id(set(owned.values()))
    projects = reader.projects_by_id({stage.project_id for stage in stages.values()})
    for volume in usage.volumes:
        if volume.name not in owned:
            continue
        stage = stages.get(owned[volume.name])
        project = projects[stage.project_id] if stage else None
        # Earlier releases set no label: without a stage here, the volume may be in use by another
        # Tagboat on the same engine.
        label = volume.labels.get("tagboat.installation")
        if label == installation or (label is None and project is not None):
            yield StageVolume(
                volume.name,
                volume.size,
                project.name if project else None,
                stage.name if stage else None,
            )
