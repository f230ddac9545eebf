"""Reads of the overview of projects and stages: one statement each."""

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, func, select

from tagboat.core.catalog import Project
from tagboat.core.deploy import Deploy
from tagboat.store import tables
from tagboat.store.catalog import CatalogReads
from tagboat.store.deploys import DeployReads
from tagboat.store.page_queries import MOST_ROWS
from tagboat.store.statements import where_among

_projects, _places = tables.projects_table, tables.stages_table

# Made once: making them takes longer than running them.
_PROJECTS_BY_NAME = (
    select(_projects)
    .where(_projects.c.name > bindparam("after"))
    .order_by(_projects.c.name)
    .limit(MOST_ROWS)
)
_count = func.count()
_STAGE_NAMES = (
    select(_places.c.name, _count.label("projects"))
    .group_by(_places.c.name)
    .order_by(_count.desc(), _places.c.name)
    .limit(MOST_ROWS)
)
_OPEN_IDS = select(tables.deploys_table.c.id).where(tables.OPEN)


class MatrixReads(CatalogReads, DeployReads):
    """Implements `MatrixReader`."""

    def projects_page(
        self, text: str, among: Collection[str] | None, after: str, limit: int
    ) -> list[Project]:
        """Return projects whose name contains `text`, by name, beyond `after`."""
        query = _PROJECTS_BY_NAME
        # What people type is a text, not a pattern: `%` is a percent sign.
        if text:
            query = query.where(_projects.c.name.icontains(text, autoescape=True))
        if among is not None:
            query = query.where(_projects.c.id.in_(among))
        return self._projects_of(query, {"after": after, "most": limit})

    def deploying_projects(self) -> set[str]:
        """Return the ids of projects that have a queued or running deploy."""
        # By the partial index of open deploys, however many there ever were.
        table = tables.deploys_table
        return set(self._session.scalars(select(table.c.project_id).where(tables.OPEN).distinct()))

    def newest_open_deploys(self, limit: int) -> list[Deploy]:
        """Return the queued and running deploys that were ordered last, newest first."""
        # Sorted here: asked for the newest, SQLite walks through all deploys that there ever were
        # in place of its partial index of the open ones.
        newest = sorted(self._session.scalars(_OPEN_IDS))[-limit:]
        if not newest:
            return []
        query = where_among(tables.deploys_table.c.id, self._session.dialect)
        found = self._deploys_of(query, {"keys": newest})
        return sorted(found, key=lambda one: one.id, reverse=True)

    def held_projects(self) -> set[str]:
        """Return the ids of projects that have a stage on hold."""
        query = select(_places.c.project_id).where(_places.c.held).distinct()
        return set(self._session.scalars(query))

    def stage_names(self, limit: int) -> Sequence[tuple[str, int]]:
        """Return the names that most projects have a stage of, with how many have it."""
        rows = self._session.rows(_STAGE_NAMES, {"most": limit})
        return [(row["name"], row["projects"]) for row in rows]
