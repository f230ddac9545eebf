"""Every stage with its project, for what looks at all of them."""

from collections.abc import Iterator

from tagboat.core.catalog import Project, Stage
from tagboat.core.ports import Reader

_PAGE = 200


def iter_stages(reader: Reader) -> Iterator[tuple[Project, Stage]]:
    """In order of the projects' names, and of each its stages in their order.

    By pages: neither a question for each project, nor thousands of projects in memory at once.
    """
    after = ""
    while page := reader.projects(after, _PAGE):
        stages = reader.stages_by_project([project.id for project in page])
        for project in page:
            for stage in stages[project.id]:
                yield project, stage
        after = page[-1].name
