"""Reads of the overview of projects and stages: one statement each."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, select

from tagboat.core.catalog import Project
from tagboat.core.deploy import Deploy
from tagboat.store import tables
from tagboat.store.catalog import CatalogReads
from tagboat.store.deploys import DeployReads

_projects, _places = tables.projects_table, tables.stages_table


class MatrixReads(CatalogReads, DeployReads):
    """Implements `MatrixReader`."""

    def projects_page(
        self, text: str, among: Collection[str] | None, after: str, limit: int
    ) -> list[Project]:
        """Return projects whose name contains `text`, by name, beyond `after`."""
        query = select(_projects).where(_projects.c.name > after)
        # What people type is a text, not a pattern: `%` is a percent sign.
        if text:
            query = query.where(_projects.c.name.icontains(text, autoescape=True))
        if among is not None:
            query = query.where(_projects.c.id.in_(among))
        return self._projects_of(query.order_by(_projects.c.name).limit(limit))

    def deploying_projects(self) -> set[str]:
        """Return the ids of projects that have a queued or running deploy."""
        # By the partial index of open deploys, however many there ever were.
        table = tables.deploys_table
        return set(self._session.scalars(select(table.c.project_id).where(tables.OPEN).distinct()))

    def newest_open_deploys(self, limit: int) -> list[Deploy]:
        """Return the queued and running deploys that were ordered last, newest first."""
        table = tables.deploys_table
        # Sorted here: asked for the newest, SQLite walks through all deploys that there ever were
        # in place of its partial index of the open ones.
        newest = sorted(self._session.scalars(select(table.c.id).where(tables.OPEN)))[-limit:]
        if not newest:
            return []
        found = self._deploys_of(select(table).where(table.c.id.in_(newest)))
        return sorted(found, key=lambda one: one.id, reverse=True)

    def held_projects(self) -> set[str]:
        """Return the ids of projects that have a stage on hold."""
        query = select(_places.c.project_id).where(_places.c.held).distinct()
        return set(self._session.scalars(query))

    def stage_names(self, limit: int) -> Sequence[tuple[str, int]]:
        """Return the names that most projects have a stage of, with how many have it."""
        count = func.count()
        query = (
            select(_places.c.name, count.label("projects"))
            .group_by(_places.c.name)
            .order_by(count.desc(), _places.c.name)
            .limit(limit)
        )
        return [(row["name"], row["projects"]) for row in self._session.rows(query)]
