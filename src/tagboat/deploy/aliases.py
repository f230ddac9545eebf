"""The names by which other containers find a stage's live instance on the networks that both are on. Reads, and decides."""

from collections.abc import Collection, Mapping

from tagboat.core.catalog import Project, Stage
from tagboat.core.naming import network_name, project_network, slug
from tagboat.core.ports import Reader
from tagboat.core.stage_refs import iter_stages

Aliases = Mapping[str, tuple[str, ...]]
"""Names by network."""


def own_aliases(reader: Reader, project: Project, stage: Stage) -> Mapping[str, tuple[str, ...]]:
    """`PROJECT-STAGE` on the project's network, and `PROJECT` where it has no other stage."""
    short = (slug(project.name),) if len(reader.stages(project.id)) == 1 else ()
    return {project_network(project.id): (network_name(project.name, stage.name), *short)}


def aliases_on(
    reader: Reader, project: Project, stage: Stage, networks: Collection[str]
) -> Aliases:
    """`PROJECT-STAGE` on each of the stage's `networks`, and `PROJECT` where no other stage has a claim to that name there."""
    if not networks:
        return {}
    own, short = network_name(project.name, stage.name), slug(project.name)
    shared = _claimed(reader, stage, project, short)
    return {network: (own,) if network in shared else (own, short) for network in networks}


def _claimed(reader: Reader, stage: Stage, project: Project, short: str) -> set[str]:
    """The networks on which another stage is of the same project, or has `short` for the name of its own."""
    found: set[str] = set()
    for its_project, other in iter_stages(reader):
        alike = its_project.id == project.id or short in {
            slug(its_project.name),
            network_name(its_project.name, other.name),
        }
        if other.id != stage.id and alike:
            found.update(other.run.over(its_project.run).networks)
    return found
