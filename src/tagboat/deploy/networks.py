"""The network of each project, which Tagboat makes and removes. Other projects are not on it."""

from functools import partial

import structlog

from tagboat.core.catalog import Project
from tagboat.core.naming import project_network, project_of_network
from tagboat.core.ports import Store
from tagboat.core.runtime import Runtime
from tagboat.deploy.ownership import own_labels
from tagboat.loops import PeriodicTask

TIDY_EVERY_S = 600.0

log = structlog.get_logger("tagboat.networks")


async def ensure_project_network(
    runtime: Runtime, installation: str, project: Project
) -> frozenset[str]:
    """Make the project's network unless it exists; return the ids of the workloads on it."""
    return await runtime.ensure_network(
        project_network(project.id), own_labels(installation), {"tagboat.project": project.name}
    )


async def remove_project_network(runtime: Runtime, installation: str, project_id: str) -> None:
    """Remove the network of a deleted project; one in use is left to `tidy_networks`."""
    await runtime.remove_network(project_network(project_id), own_labels(installation))


async def keep_networks_tidy(store: Store, runtime: Runtime, installation: str) -> None:
    """Tidy at once, and every ten minutes; until cancelled."""

    async def tidy() -> float:
        await tidy_networks(store, runtime, installation)
        return TIDY_EVERY_S

    warn = partial(log.warning, "networks not tidied", action="tidy")
    await PeriodicTask(tidy, retry_s=TIDY_EVERY_S, warn=warn).run()


async def tidy_networks(store: Store, runtime: Runtime, installation: str) -> None:
    """Remove this installation's networks whose projects are gone.

    Raises EngineError and StoreUnavailableError.
    """
    await runtime.sweep(own_labels(installation))
    names = await runtime.list_networks(own_labels(installation))
    # Read after the listing: a project is on record before its network is made.
    projects = await store.read(
        lambda reader: reader.projects_by_id([project_of_network(name) for name in names])
    )
    for name in names:
        if project_of_network(name) not in projects and await runtime.remove_network(
            name, own_labels(installation)
        ):
            log.info("network removed", action="tidy", network=name)
