"""The names by which other containers find a stage's live instance on shared networks. Pure."""

from collections.abc import Collection, Iterator, Mapping

from tagboat.core.catalog import Project, Stage
from tagboat.core.naming import network_name, project_network, slug
from tagboat.core.ports import Reader

Aliases = Mapping[str, tuple[str, ...]]
"""Names by network."""


def own_aliases(reader: Reader, project: Project, stage: Stage) -> Mapping[str, tuple[str, ...]]:
    """Return `PROJECT-STAGE` on the project's network, and `PROJECT` if it is the only stage."""
    # With several stages, the short name would be answered by any of them.
    short = (slug(project.name),) if len(reader.stages(project.id)) == 1 else ()
    return {project_network(project.id): (network_name(project.name, stage.name), *short)}


def aliases_on(
    reader: Reader, project: Project, stage: Stage, networks: Collection[str]
) -> Aliases:
    """Return `PROJECT-STAGE` on each network, and `PROJECT` where no other stage can claim that."""
    if not networks:
        return {}
    own, short = network_name(project.name, stage.name), slug(project.name)
    # Another stage of the project claims the short name, and one whose own name is the same.
    shared: set[str] = set()
    for its_project, other in _claimants(reader, project, short):
        if other.id != stage.id:
            shared.update(other.run.over(its_project.run).networks)
    return {network: (own,) if network in shared else (own, short) for network in networks}


def _claimants(reader: Reader, project: Project, label: str) -> Iterator[tuple[Project, Stage]]:
    """Yield the stages of `project`, and those of others that the label may mean."""
    projects = {one.id: one for one in (project, *reader.projects_by_slug(label))}
    for project_id, stages in reader.stages_by_project(projects).items():
        for stage in stages:
            yield projects[project_id], stage
    # A stage's alias is the label of its own host.
    named = [claim.stage_id for claim in reader.host_claims([label]) if not claim.is_domain]
    for stage in reader.stages_by_id(named).values():
        if stage.project_id not in projects:
            yield reader.project(stage.project_id), stage
