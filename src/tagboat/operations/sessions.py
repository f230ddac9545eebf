"""Sessions: signing in and out, and the account behind a browser's cookie."""

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct

from tagboat.core.accounts import (
    CREDENTIAL_BYTES,
    MAX_PASSWORD_BYTES,
    MAX_USER_AGENT,
    SIGN_IN_LINK,
    Account,
    Session,
    account_key,
    hash_credential,
    may_be_account_name,
    principal_of_account,
    use_is_news,
)
from tagboat.core.audit import AuditAction
from tagboat.core.errors import SignInError, StoreUnavailableError
from tagboat.core.ids import new_id
from tagboat.core.ports import Reader, Tx
from tagboat.core.principal import Principal, Role
from tagboat.core.values import replace
from tagboat.operations.account_audit import account_subject, record_sign_in
from tagboat.operations.services import OperationServices


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that has just begun. `cookie` is its secret, which is not kept."""

    principal: Principal
    cookie: str = field(repr=False)


class SessionOperations(Struct, frozen=True):
    """Sessions of accounts. A person may end their own; an admin may end anybody's."""

    services: OperationServices

    async def sign_in(
        self, name: str, password: str, *, address: str, user_agent: str, previous: str = ""
    ) -> SignedIn:
        """Begin a session, and end the one of the cookie `previous`.

        Raises SignInError for a wrong name or password, and if passwords are switched off, and
        TooManyAttemptsError.
        """
        services = self.services
        if not services.local_sign_in:
            raise SignInError("Sign-in with a password is switched off. Sign in at the provider.")
        key = _sign_in_key(name)
        with services.attempts.attempt(key, address):
            account = await services.store.read(lambda reader: reader.account_by_key(key))
            hashed = account.password if account else None
            # A longer one is never hashed, but costs the same time: nothing tells it apart from a
            # wrong one.
            fits = len(password.encode("utf-8", "surrogatepass")) <= MAX_PASSWORD_BYTES
            right = await services.passwords.verify(password if fits else "", hashed)
        if not right or account is None or hashed is None:
            raise SignInError("The name or the password is wrong.")
        services.attempts.succeed(key, address)
        renewed = await services.passwords.renewed(password, hashed)

        def work(tx: Tx) -> SignedIn:
            current = tx.account_by_key(key)
            # Reset or deleted while the password was verified.
            if current is None or current.password != hashed:
                raise SignInError("The name or the password is wrong.")
            now = services.clock()
            current = replace(current, password=renewed, signed_in_at=now)
            tx.put_account(current)
            return begin_session(tx, current, now, address, user_agent, previous)

        return await services.store.write(work)

    async def find(self, cookie: str, address: str, *, note_use: bool = True) -> Principal | None:
        """Return the account whose session has this cookie, None if it has ended.

        With `note_use` its use is put on record: it does not end by idleness then. Raises
        StoreUnavailableError.
        """
        services, secret_hash = self.services, hash_credential(cookie)
        found = await services.store.read(lambda reader: reader.session_by_hash(secret_hash))
        now = services.clock()
        if found is None or not found[0].holds(now):
            return None
        session, account = found
        if note_use and use_is_news(session.used_at, now):
            # A database that only reads must not sign everybody out.
            with contextlib.suppress(StoreUnavailableError):
                await services.store.write(lambda tx: tx.note_session_use(session.id, now))
        return principal_of_account(account, session.id, address)

    async def list(self, account_id: str) -> Sequence[Session]:
        """Return the sessions of an account that have not ended, the newest first."""
        self._check_owner(account_id)
        now = self.services.clock()

        def work(reader: Reader) -> Sequence[Session]:
            reader.account(account_id)
            return [one for one in reader.sessions(account_id) if one.holds(now)]

        return await self.services.store.read(work)

    async def sign_out(self, session_id: str) -> None:
        """End a session. Raises NotFoundError for one that does not exist."""

        def work(tx: Tx) -> None:
            account = tx.account(tx.session(session_id).account_id)
            self._check_owner(account.id)
            tx.delete_session(session_id)
            self._record_sign_out(tx, account, "one session")

        await self.services.store.write(work)

    async def sign_out_everywhere(self, account_id: str) -> None:
        """End all sessions of an account. Raises NotFoundError."""
        self._check_owner(account_id)

        def work(tx: Tx) -> None:
            account = tx.account(account_id)
            end_sessions(tx, account_id)
            self._record_sign_out(tx, account, "all sessions")

        await self.services.store.write(work)

    def _record_sign_out(self, tx: Tx, account: Account, note: str) -> None:
        subject = account_subject(account)
        self.services.record(tx, AuditAction.ACCOUNT_SIGN_OUT, subject, note=note)

    def _check_owner(self, account_id: str) -> None:
        if self.services.actor.session_id is None or self.services.actor.id != account_id:
            self.services.actor.check_role(Role.ADMIN)


def begin_session(
    tx: Tx, account: Account, now: datetime, address: str, user_agent: str, previous: str = ""
) -> SignedIn:
    """Add a session of an account, and return it with its secret.

    The session of the cookie `previous` ends.
    """
    # Never taken over: a cookie that somebody planted must not become that of the account.
    if before := previous and tx.session_by_hash(hash_credential(previous)):
        tx.delete_session(before[0].id)
    secret = secrets.token_urlsafe(CREDENTIAL_BYTES)
    # A client may send anything; pages and terminals show it.
    shown = "".join(one for one in user_agent[:MAX_USER_AGENT] if one.isprintable())
    session = Session(
        id=new_id(),
        account_id=account.id,
        secret_hash=hash_credential(secret),
        created_at=now,
        used_at=now,
        address=address,
        user_agent=shown,
    )
    tx.add_session(session)
    principal = principal_of_account(account, session.id, address)
    record_sign_in(tx, principal, now, account)
    return SignedIn(principal, secret)


def end_sessions(tx: Tx, account_id: str, but: str | None = None) -> None:
    """End all sessions of an account but one, and its sign-in link, which would be a way back."""
    tx.delete_sessions(account_id, but)
    kept = tx.setting(SIGN_IN_LINK)
    if isinstance(kept, Mapping) and kept["account"] == account_id:
        tx.put_setting(SIGN_IN_LINK, None)


def _sign_in_key(name: str) -> str:
    """Return the key of the account meant; empty for a name that none can have."""
    # What cannot be a name must not reach the database, nor fill the memory of attempts.
    return account_key(name) if may_be_account_name(name) else ""
