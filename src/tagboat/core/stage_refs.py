"""Iteration over all stages with their projects."""

from collections.abc import Iterator

from tagboat.core.catalog import Project, Stage
from tagboat.core.ports import Reader

_PROJECTS_PER_READ = 200


def iter_stages(reader: Reader) -> Iterator[tuple[Project, Stage]]:
    """Yield all stages with their projects, in order of project names, then of stages."""
    after = ""
    # By pages: neither a query for each project, nor thousands of projects in memory.
    while page := reader.projects(after, _PROJECTS_PER_READ):
        stages = reader.stages_by_project([project.id for project in page])
        for project in page:
            for stage in stages[project.id]:
                yield project, stage
        after = page[-1].name
