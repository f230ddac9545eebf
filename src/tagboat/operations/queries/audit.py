"""The audit, as admins read it: by filters, page by page, or as a whole."""

from collections.abc import AsyncGenerator
from datetime import datetime
from functools import partial

from msgspec import Struct

from tagboat.core.audit import AuditEntry, AuditFilter, AuditPlace
from tagboat.core.errors import FieldError, ForbiddenError, InvalidValueError
from tagboat.core.moments import parse_moment
from tagboat.core.ports import Reader
from tagboat.core.principal import Role
from tagboat.operations.services import OperationServices

EXPORTED_AT_ONCE = 200
"""Entries that an export reads at once: encoding them must not hold up other calls."""


class AuditQuestion(Struct, frozen=True, kw_only=True):
    """The entries that are wanted; None: any.

    `actor` is the name of an account or token, or a kind of principal. `project` is a name or an
    id, also of a project that was deleted. `since` is the first time that counts, `until` the first
    that does not, as `parse_moment` reads them.
    """

    actor: str | None = None
    action: str | None = None
    project: str | None = None
    since: str | None = None
    until: str | None = None


class AuditQueries(Struct, frozen=True):
    """Reads of the audit. All raise ForbiddenError for others than admins, and FieldError."""

    services: OperationServices

    async def entries(
        self, wanted: AuditQuestion, beyond: AuditPlace | None, limit: int
    ) -> list[AuditEntry]:
        """Return up to `limit` entries, newest first, older than the place `beyond`."""
        self._check_role()
        now = self.services.clock()
        return await self.services.store.read(
            lambda reader: reader.audit_entries(_filter_of(reader, wanted, now), beyond, limit)
        )

    async def export(self, wanted: AuditQuestion) -> AsyncGenerator[list[AuditEntry], None]:
        """Yield all entries, oldest first, some at a time; at least one list, which may be empty.

        What is recorded in between is left out. No connection is held between two lists.
        """
        self._check_role()
        store, now = self.services.store, self.services.clock()
        only = await store.read(lambda reader: _filter_of(reader, wanted, now))
        beyond: AuditPlace | None = None
        while True:
            found = await store.read(partial(_batch, only, beyond))
            yield found
            if len(found) < EXPORTED_AT_ONCE:
                return
            beyond = found[-1].at, found[-1].id

    def _check_role(self) -> None:
        # The entries name people, addresses and values that others may not see.
        if not self.services.actor.role.includes(Role.ADMIN):
            raise ForbiddenError("only the role admin may read the audit")


def _batch(only: AuditFilter, beyond: AuditPlace | None, reader: Reader) -> list[AuditEntry]:
    return reader.audit_entries(only, beyond, EXPORTED_AT_ONCE, oldest_first=True)


def _filter_of(reader: Reader, wanted: AuditQuestion, now: datetime) -> AuditFilter:
    project = wanted.project
    if project is not None:
        found = reader.project_by_name(project)
        # Any other text is taken for an id.
        project = found.id if found else reader.deleted_project(project) or project
    return AuditFilter(
        actor=wanted.actor,
        action=wanted.action,
        project=project,
        since=_time_of("since", wanted.since, now),
        until=_time_of("until", wanted.until, now),
    )


def _time_of(field: str, text: str | None, now: datetime) -> datetime | None:
    try:
        return None if text is None else parse_moment(text, now)
    except InvalidValueError as error:
        raise FieldError(field, str(error)) from None
