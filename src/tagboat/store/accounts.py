"""Accounts with their sessions, and API tokens."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, exists, func, or_, select, update

from tagboat.core.accounts import Account, ApiToken, Session
from tagboat.core.principal import Role
from tagboat.core.values import field_names
from tagboat.store.account_tables import accounts_table, api_tokens_table, sessions_table
from tagboat.store.page_queries import SESSION_WITH_ACCOUNT
from tagboat.store.part import ReadPart
from tagboat.store.rows import to_row
from tagboat.store.session import WriteSession, missing

_SESSION_COLUMNS = field_names(Session)


class AccountReads(ReadPart):
    """Implements `AccountReader`."""

    def account(self, account_id: str) -> Account:
        """Return the account of that id."""
        query = select(accounts_table).where(accounts_table.c.id == account_id)
        return self._account(query) or missing("account", account_id)

    def account_by_key(self, name_key: str) -> Account | None:
        """Return the account of that name, as it is compared."""
        return self._account(select(accounts_table).where(accounts_table.c.name_key == name_key))

    def accounts(self, after: str = "", limit: int | None = None) -> list[Account]:
        """Return the accounts in order of name, those after the key `after`."""
        table = accounts_table
        query = select(table).where(table.c.name_key > after).order_by(table.c.name_key)
        return [_account(row) for row in self._session.rows(query.limit(limit))]

    def has_accounts(self) -> bool:
        """Return whether there is any account."""
        return bool(self._session.scalar(select(exists(select(accounts_table.c.id)))))

    def count_admins(self) -> int:
        """Return how many accounts are admins."""
        query = select(func.count()).where(accounts_table.c.role == Role.ADMIN)
        return int(self._session.scalar(query))

    def session(self, session_id: str) -> Session:
        """Return the session of that id."""
        return self._session.one(Session, sessions_table, session_id, "session")

    def session_by_hash(self, secret_hash: str) -> tuple[Session, Account] | None:
        """Return the session whose cookie has that hash, with its account; None for no such."""
        for row in self._session.rows(SESSION_WITH_ACCOUNT, {"secret_hash": secret_hash}):
            session = Session(**{name: row[name] for name in _SESSION_COLUMNS})
            return session, _account(
                {column.key: row[f"of_{column.key}"] for column in _of_account}
            )
        return None

    def sessions(self, account_id: str) -> list[Session]:
        """Return the sessions of an account, the newest first."""
        table = sessions_table
        query = select(table).where(table.c.account_id == account_id).order_by(table.c.id.desc())
        return self._session.all(Session, query)

    def api_token(self, token_id: str) -> ApiToken:
        """Return the token of that id."""
        query = select(api_tokens_table).where(api_tokens_table.c.id == token_id)
        return self._api_token(query) or missing("token", token_id)

    def api_token_by_key(self, name_key: str) -> ApiToken | None:
        """Return the token of that name, as it is compared."""
        table = api_tokens_table
        return self._api_token(select(table).where(table.c.name_key == name_key))

    def api_token_by_hash(self, secret_hash: str) -> ApiToken | None:
        """Return the token that has that hash, None for no such."""
        table = api_tokens_table
        return self._api_token(select(table).where(table.c.secret_hash == secret_hash))

    def api_tokens(self, after: str = "", limit: int | None = None) -> list[ApiToken]:
        """Return the tokens in order of name, those after the key `after`."""
        table = api_tokens_table
        query = select(table).where(table.c.name_key > after).order_by(table.c.name_key)
        return [_token(row) for row in self._session.rows(query.limit(limit))]

    def _account(self, query: Select[Any]) -> Account | None:
        return next((_account(row) for row in self._session.rows(query.limit(1))), None)

    def _api_token(self, query: Select[Any]) -> ApiToken | None:
        return next((_token(row) for row in self._session.rows(query.limit(1))), None)


class AccountWrites(AccountReads):
    """Implements `AccountWriter`."""

    _session: WriteSession

    def add_account(self, account: Account) -> None:
        """Add an account. A name that is taken is a ConflictError."""
        self._session.insert(accounts_table, _with_key(account))

    def put_account(self, account: Account) -> None:
        """Replace an account. A name that is taken is a ConflictError."""
        self._session.replace(accounts_table, account.id, _with_key(account))

    def delete_account(self, account_id: str) -> None:
        """Delete an account with its sessions."""
        # Its sessions go by their foreign key, in the same statement.
        self._session.delete(accounts_table, account_id)

    def add_session(self, session: Session) -> None:
        """Add a session."""
        self._session.insert(sessions_table, to_row(session))

    def note_session_use(self, session_id: str, now: datetime) -> None:
        """Put on record that a session was used; one that has ended stays so."""
        table = sessions_table
        # Not a replacement: the session was read earlier, and may have ended since.
        self._session.execute(update(table).where(table.c.id == session_id).values(used_at=now))

    def delete_session(self, session_id: str) -> None:
        """End a session."""
        self._session.delete(sessions_table, session_id)

    def delete_sessions(self, account_id: str, but: str | None = None) -> None:
        """End the sessions of an account, except the one of the id `but`."""
        table = sessions_table
        ended = delete(table).where(table.c.account_id == account_id)
        self._session.execute(ended if but is None else ended.where(table.c.id != but))

    def prune_sessions(self, created: datetime, used: datetime, at_most: int) -> int:
        """Delete up to `at_most` sessions made, or last used, before these times.

        Return how many went.
        """
        table = sessions_table
        # A part at a time: others wait for the writer meanwhile.
        old = select(table.c.id).where(or_(table.c.created_at < created, table.c.used_at < used))
        ended = delete(table).where(table.c.id.in_(old.limit(at_most)))
        return self._session.execute(ended).rowcount

    def add_api_token(self, token: ApiToken) -> None:
        """Add a token. A name that is taken is a ConflictError."""
        self._session.insert(api_tokens_table, _with_key(token))

    def note_token_use(self, token_id: str, now: datetime) -> None:
        """Put on record that a token was used; one that was deleted stays so."""
        table = api_tokens_table
        self._session.execute(update(table).where(table.c.id == token_id).values(used_at=now))

    def delete_api_token(self, token_id: str) -> None:
        """Delete a token."""
        self._session.delete(api_tokens_table, token_id)


_of_account = tuple(accounts_table.c)


def _with_key(value: Account | ApiToken) -> dict[str, Any]:
    # In a column: no database compares names as `account_key` does.
    return to_row(value) | {"name_key": value.name_key}


def _account(row: dict[str, Any]) -> Account:
    del row["name_key"]
    return Account(**row)


def _token(row: dict[str, Any]) -> ApiToken:
    del row["name_key"]
    return ApiToken(**row)
