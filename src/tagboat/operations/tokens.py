"""API tokens: making, listing and deleting them, and the token behind a call."""

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec import Struct

from tagboat.core.accounts import (
    CREDENTIAL_BYTES,
    ApiToken,
    check_rights,
    hash_credential,
    parse_account_name,
    principal_of_token,
    use_is_news,
)
from tagboat.core.audit import AuditAction, AuditSubject, changes_between
from tagboat.core.errors import (
    ConflictError,
    FieldError,
    InvalidValueError,
    StoreUnavailableError,
)
from tagboat.core.ids import new_id
from tagboat.core.ports import Tx
from tagboat.core.principal import Principal, Role
from tagboat.core.values import replace
from tagboat.operations.rights import TokenView, find_projects, token_views
from tagboat.operations.services import OperationServices

TOKEN_PREFIX = "tagboat_"  # noqa: S105 - by which tools that look for secrets know one


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made. `secret` is the token itself, which is not kept."""

    view: TokenView
    secret: str = field(repr=False)


class TokenOperations(Struct, frozen=True):
    """API tokens, which only an admin may make and delete."""

    services: OperationServices

    async def create(
        self,
        name: str,
        role: Role,
        projects: Sequence[str] | None = None,
        *,
        expires_at: datetime | None = None,
        expires_in_days: int | None = None,
    ) -> NewToken:
        """Make a token; `projects` are ids or names, None for all.

        It holds until `expires_at` or for so many days; for ever where both are None.
        Raises ConflictError for a name that is taken, and FieldError.
        """
        self.services.actor.check_role(Role.ADMIN)
        now = self.services.clock()
        check_rights(role, projects, tuple(Role))
        if expires_in_days is not None:
            if expires_at is not None:
                raise FieldError("expires_in_days", "leave out either this or expires_at")
            expires_at = now + timedelta(days=expires_in_days)
        if expires_at is not None and expires_at <= now:
            raise FieldError("expires_at", "must be in the future")
        # The rule for accounts: in the audit either name stands for the one that acts.
        try:
            parse_account_name(name)
        except InvalidValueError as error:
            raise FieldError("name", str(error)) from None
        secret = f"{TOKEN_PREFIX}{secrets.token_urlsafe(CREDENTIAL_BYTES)}"
        token = ApiToken(
            id=new_id(),
            name=name,
            role=role,
            secret_hash=hash_credential(secret),
            created_at=now,
            created_by=self.services.actor.name,
            expires_at=expires_at,
        )

        def work(tx: Tx) -> NewToken:
            # In here: a project that is deleted meanwhile must not be part of the limit.
            made = replace(token, projects=find_projects(tx, projects))
            if namesake := tx.api_token_by_key(made.name_key):
                raise ConflictError(
                    f"there is a token named {namesake.name} already; delete it with"
                    f" 'tagboat tokens delete NAME', or choose another name"
                )
            tx.add_api_token(made)
            self._record(tx, AuditAction.TOKEN_CREATE, None, made)
            (view,) = token_views(tx, [made])
            return NewToken(view, secret)

        return await self.services.store.write(work)

    async def list(self, after: str = "", limit: int | None = None) -> Sequence[TokenView]:
        """Return tokens in order of name, those after the name key `after`."""
        self.services.actor.check_role(Role.ADMIN)
        return await self.services.store.read(
            lambda reader: token_views(reader, reader.api_tokens(after, limit))
        )

    async def read(self, token_id: str) -> TokenView:
        """Return one token. Raises NotFoundError."""
        self.services.actor.check_role(Role.ADMIN)
        (view,) = await self.services.store.read(
            lambda reader: token_views(reader, [reader.api_token(token_id)])
        )
        return view

    async def delete(self, token_id: str) -> None:
        """Delete a token; it opens nothing from the next call on. Raises NotFoundError."""
        self.services.actor.check_role(Role.ADMIN)

        def work(tx: Tx) -> None:
            token = tx.api_token(token_id)
            tx.delete_api_token(token_id)
            self._record(tx, AuditAction.TOKEN_DELETE, token, None)

        await self.services.store.write(work)

    def _record(
        self, tx: Tx, action: AuditAction, old: ApiToken | None, new: ApiToken | None
    ) -> None:
        if token := new or old:
            subject = AuditSubject(id=token.id, name=token.name)
            self.services.record(tx, action, subject, changes_between(old, new))

    async def find(self, secret: str, address: str, *, note_use: bool = True) -> Principal | None:
        """Return the token as the one that asks; None if it is unknown or has expired.

        With `note_use` its use is put on record. Raises StoreUnavailableError.
        """
        services = self.services
        # Any other text is not a token, and the database need not see it.
        if not secret.startswith(TOKEN_PREFIX):
            return None
        secret_hash = hash_credential(secret)
        token = await services.store.read(lambda reader: reader.api_token_by_hash(secret_hash))
        now = services.clock()
        if token is None or not token.holds(now):
            return None
        if note_use and use_is_news(token.used_at, now):
            # A database that only reads must not refuse what it can still answer.
            with contextlib.suppress(StoreUnavailableError):
                await services.store.write(lambda tx: tx.note_token_use(token.id, now))
        return principal_of_token(token, address)
