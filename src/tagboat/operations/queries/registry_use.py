"""Registries with the projects that use them, and what their last poll said."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct

from tagboat.core.catalog import Registry
from tagboat.core.polling import RegistryBackoff
from tagboat.core.ports import Reader
from tagboat.operations.services import OperationServices


class RegistryUse(Struct, frozen=True):
    """A registry, and the names of the projects whose images it has, in order.

    `named_by` are those of them that name it, for which it cannot be deleted. `trouble` is set
    while its polls fail.
    """

    registry: Registry
    projects: tuple[str, ...]
    named_by: tuple[str, ...]
    trouble: RegistryBackoff | None


class RegistryUseQueries(Struct, frozen=True):
    """Reads of registries for pages. Nothing is asked of a registry."""

    services: OperationServices

    async def list(self, after: str, limit: int) -> list[RegistryUse]:
        """Return registries in order of name, up to `limit` after the name `after`."""
        return await self.services.store.read(
            lambda reader: _uses(reader, reader.registries(after, limit))
        )

    async def get(self, registry_id: str) -> RegistryUse:
        """Return one registry. Raises NotFoundError."""

        def work(reader: Reader) -> RegistryUse:
            (found,) = _uses(reader, [reader.registry(registry_id)])
            return found

        return await self.services.store.read(work)


def _uses(reader: Reader, registries: Sequence[Registry]) -> list[RegistryUse]:
    troubled: Mapping[str, RegistryBackoff] = {one.host: one for one in reader.failing_registries()}
    named: dict[str, list[str]] = defaultdict(list)
    found_by_host: dict[str, list[str]] = defaultdict(list)
    for project in reader.project_images() if registries else ():
        # Found by host at each use, so that nothing on record says which one it is.
        if project.registry_id is None:
            found_by_host[project.image.host].append(project.name)
        else:
            named[project.registry_id].append(project.name)
    return [
        RegistryUse(
            one,
            tuple(sorted(named[one.id] + found_by_host[one.host])),
            tuple(named[one.id]),
            troubled.get(one.host),
        )
        for one in registries
    ]
