"""The audit: entries written with the changes that they tell of, read by filters, and pruned."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, tuple_

from tagboat.core.audit import AuditAction, AuditEntry, AuditFilter, AuditPlace
from tagboat.core.principal import PrincipalKind
from tagboat.store.audit_table import BY_NAME, audit_table
from tagboat.store.part import ReadPart
from tagboat.store.session import AUDIT_ENTRIES, WriteSession

_PRINCIPAL_KINDS = frozenset(PrincipalKind)


class AuditReads(ReadPart):
    """Implements `AuditReader`."""

    def audit_entries(
        self,
        only: AuditFilter,
        beyond: AuditPlace | None,
        limit: int,
        *,
        oldest_first: bool = False,
    ) -> list[AuditEntry]:
        """Return up to `limit` entries beyond a place, newest first unless `oldest_first`."""
        table = audit_table
        # By both: entries of one transaction have one time.
        place = tuple_(table.c.at, table.c.id)
        query = _matching(only)
        if oldest_first:
            query = query.order_by(table.c.at, table.c.id)
            query = query if beyond is None else query.where(place > beyond)
        else:
            query = query.order_by(table.c.at.desc(), table.c.id.desc())
            query = query if beyond is None else query.where(place < beyond)
        return self._session.all(AuditEntry, query.limit(limit))

    def deleted_project(self, name: str) -> str | None:
        """Return the id of the project of that name that was deleted last, None without one."""
        table = audit_table
        query = select(table.c.project_id).where(
            table.c.action == AuditAction.PROJECT_DELETE.value, table.c.project_name == name
        )
        found: str | None = self._session.scalar(
            query.order_by(table.c.at.desc(), table.c.id.desc()).limit(1)
        )
        return found


class AuditWrites(AuditReads):
    """Implements `AuditWriter`."""

    _session: WriteSession

    def record_audit(self, entry: AuditEntry) -> None:
        """Record who changes what, with the change itself."""
        self._session.append(AUDIT_ENTRIES, entry)

    def prune_audit(self, before: datetime, at_most: int) -> int:
        """Delete up to `at_most` entries from before `before`; return how many went."""
        table = audit_table
        # The oldest first, by the index on times: the rest need not be looked at.
        old = select(table.c.id).where(table.c.at < before).order_by(table.c.at).limit(at_most)
        return self._session.execute(delete(table).where(table.c.id.in_(old))).rowcount


def _matching(only: AuditFilter) -> Select[Any]:
    table = audit_table
    query = select(table)
    if only.actor in _PRINCIPAL_KINDS:
        query = query.where(table.c.actor_kind == only.actor)
    elif only.actor is not None:
        # With the condition of the index, so that it is used.
        query = query.where(table.c.actor_name == only.actor, BY_NAME)
    if only.action is not None:
        query = query.where(table.c.action == str(only.action))
    if only.project is not None:
        query = query.where(table.c.project_id == only.project)
    if only.subject is not None:
        query = query.where(table.c.subject_id == only.subject)
    if only.since is not None:
        query = query.where(table.c.at >= only.since)
    if only.until is not None:
        query = query.where(table.c.at < only.until)
    return query
