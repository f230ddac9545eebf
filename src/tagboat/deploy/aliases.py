"""The names by which other containers find a stage's live instance on shared networks. Pure."""

from collections.abc import Collection, Mapping

from tagboat.core.catalog import Project, Stage
from tagboat.core.naming import network_name, project_network, slug
from tagboat.core.ports import Reader
from tagboat.core.stage_refs import iter_stages

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
        # Most stages share no network: the stages of all projects need not be read for them.
        return {}
    own, short = network_name(project.name, stage.name), slug(project.name)
    # Another stage of the project claims the short name, and one whose own name is the same.
    shared: set[str] = set()
    for its_project, other in iter_stages(reader):
        names = {slug(its_project.name), network_name(its_project.name, other.name)}
        if other.id != stage.id and (its_project.id == project.id or short in names):
            shared.update(other.run.over(its_project.run).networks)
    return {network: (own,) if network in shared else (own, short) for network in networks}
