"""The state of polls, and how registries fail."""

from collections.abc import Collection

from sqlalchemy import exists, or_, select

from tagboat.core.events import poll_change
from tagboat.core.polling import PollState, RegistryBackoff
from tagboat.core.push import Source
from tagboat.store import tables
from tagboat.store.page_queries import FAILING_REGISTRIES
from tagboat.store.part import ReadPart
from tagboat.store.rows import to_row
from tagboat.store.session import POLL_STATES, WriteSession
from tagboat.store.statements import where_among


class PollReads(ReadPart):
    """Implements `PollReader`."""

    def poll_state(self, project_id: str) -> PollState:
        """Return the state that the polls of a project left; a new one where none was made."""
        return self.poll_states([project_id])[project_id]

    def poll_states(self, project_ids: Collection[str]) -> dict[str, PollState]:
        """Return the same of several projects, by project id."""
        query = where_among(tables.polls_table.c.project_id, self._session.dialect)
        found = self._session.all(PollState, query, {"keys": list(project_ids)})
        return {project_id: PollState(project_id=project_id) for project_id in project_ids} | {
            state.project_id: state for state in found
        }

    def unpolled_projects(self, limit: int) -> list[str]:
        """Return the first `limit` projects that a webhook named and no poll has come to, by id.

        Projects that were passed over because their registry was failing bear its error, and are
        not among them.
        """
        projects, polls, tags = tables.projects_table.c, tables.polls_table.c, tables.tags_table.c
        polled = exists().where(
            polls.project_id == projects.id,
            or_(polls.last_at.is_not(None), polls.error.is_not(None)),
        )
        heard_of = exists().where(tags.project_id == projects.id, tags.source == Source.WEBHOOK)
        return self._session.scalars(
            select(projects.id).where(~polled, heard_of).order_by(projects.id).limit(limit)
        )

    def registry_backoff(self, host: str) -> RegistryBackoff:
        """Return how a registry host has been failing."""
        query = select(tables.registry_backoffs_table).where(
            tables.registry_backoffs_table.c.host == host
        )
        return self._session.first(RegistryBackoff, query) or RegistryBackoff(host=host)

    def failing_registries(self) -> list[RegistryBackoff]:
        """Return the hosts that failed when last asked and have a project's image, in order."""
        return self._session.all(RegistryBackoff, FAILING_REGISTRIES)


class PollWrites(PollReads):
    """Implements `PollWriter`."""

    _session: WriteSession

    def put_poll_state(self, state: PollState) -> None:
        """Remember the state that a poll left."""
        self._session.gather(POLL_STATES, state.project_id, state)
        self._session.record(poll_change(state))

    def put_registry_backoff(self, backoff: RegistryBackoff) -> None:
        """Remember how a registry host fails."""
        self._session.upsert(tables.registry_backoffs_table, to_row(backoff))
