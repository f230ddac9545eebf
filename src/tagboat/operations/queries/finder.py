"""Finds projects with their stages, and tags of one project, by a few letters."""

from collections.abc import Sequence

from msgspec import Struct

from tagboat.core.catalog import Project, Stage
from tagboat.core.ports import Reader
from tagboat.operations.services import OperationServices

MOST_FOUND = 8
"""Projects or tags that are listed: more are no help while somebody types."""


class FoundProject(Struct, frozen=True):
    """A project with its stages, in the order in which they are tried.

    `may_act` is False where the actor is limited to other projects.
    """

    project: Project
    stages: Sequence[Stage]
    may_act: bool


class Finds(Struct, frozen=True):
    """Projects whose name contains a text, and the one of exactly that name, None for none.

    `tags` are known tags of that one, those first seen last first.
    """

    projects: tuple[FoundProject, ...]
    exact: FoundProject | None
    tags: tuple[str, ...]


class FinderQuery(Struct, frozen=True):
    """Finds by name, in a number of statements that does not grow with what there is."""

    services: OperationServices

    async def read(self, project: str, tag: str) -> Finds:
        """Return what contains these texts, in any case; an empty one finds the first few."""
        actor = self.services.actor

        def work(reader: Reader) -> Finds:
            named = reader.project_by_name(project)
            found = reader.projects_page(project, None, "", MOST_FOUND)
            if named is not None:
                # Its name may be part of many others that come first.
                found = [named, *(one for one in found if one.id != named.id)][:MOST_FOUND]
            # Of all that were found in one statement: somebody waits for each letter.
            stages = reader.stages_by_project({one.id for one in found})
            projects = tuple(
                FoundProject(
                    one, stages[one.id], actor.projects is None or one.id in actor.projects
                )
                for one in found
            )
            tags = reader.tags_page(named.id, tag, None, MOST_FOUND) if named else []
            return Finds(
                projects, projects[0] if named else None, tuple(known.tag for known in tags)
            )

        return await self.services.store.read(work)
