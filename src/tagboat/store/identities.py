"""People at an OpenID provider, and the sessions that come from there."""

from sqlalchemy import delete, select

from tagboat.core.identities import Identity, SessionOrigin
from tagboat.store.account_tables import sessions_table
from tagboat.store.identity_tables import identities_table, session_origins_table
from tagboat.store.part import ReadPart
from tagboat.store.rows import to_row
from tagboat.store.session import WriteSession


class IdentityReads(ReadPart):
    """Implements `IdentityReader`."""

    def identity(self, issuer: str, subject: str) -> Identity | None:
        """Return the person of that issuer and subject, None for an unknown one."""
        table = identities_table
        query = select(table).where(table.c.issuer == issuer, table.c.subject == subject)
        return self._session.first(Identity, query)

    def session_origin(self, session_id: str) -> SessionOrigin | None:
        """Return where a session comes from, None for a sign-in with a password."""
        table = session_origins_table
        for row in self._session.rows(select(table).where(table.c.session_id == session_id)):
            return self._rows.session_origin(row)
        return None

    def sessions_from(self, issuer: str, subject: str | None, sid: str | None) -> list[str]:
        """Return the ids of the sessions that come from a person, a provider's session, or both.

        None stands for any.
        """
        table = session_origins_table
        query = select(table.c.session_id).where(table.c.issuer == issuer)
        if subject is not None:
            query = query.where(table.c.subject == subject)
        if sid is not None:
            query = query.where(table.c.sid == sid)
        return [str(found) for found in self._session.scalars(query)]


class IdentityWrites(IdentityReads):
    """Implements `IdentityWriter`."""

    _session: WriteSession

    def put_identity(self, identity: Identity) -> None:
        """Add a person, or replace the one of that issuer and subject."""
        self._session.upsert(identities_table, to_row(identity))

    def add_session_origin(self, origin: SessionOrigin) -> None:
        """Put on record where a session comes from."""
        self._session.insert(session_origins_table, self._rows.of_session_origin(origin))

    def delete_sessions_without_origin(self) -> int:
        """End the sessions that began with a password; return how many."""
        # The column is never null, which NOT IN would not survive.
        known = select(session_origins_table.c.session_id)
        table = sessions_table
        return self._session.execute(delete(table).where(table.c.id.not_in(known))).rowcount
