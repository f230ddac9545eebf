"""Accounts: the first one by the set-up link, the others by admins."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tagboat.core.accounts import (
    ACCOUNT_ROLES,
    SETUP_LINK,
    Account,
    check_password,
    check_rights,
    parse_account_name,
)
from tagboat.core.audit import AuditAction, AuditSubject
from tagboat.core.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidValueError,
    LastAdminError,
)
from tagboat.core.ids import new_id
from tagboat.core.ports import Reader, Tx
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.shell_words import shell_words
from tagboat.core.values import replace
from tagboat.operations.account_audit import record_account
from tagboat.operations.rights import (
    AccountView,
    ProjectRef,
    account_views,
    find_projects,
    project_refs,
)
from tagboat.operations.services import OperationServices, accept
from tagboat.operations.sessions import SignedIn, begin_session, end_sessions
from tagboat.operations.setup_links import SetupLink, check_setup_token, new_setup_link


class Me(Struct, frozen=True):
    """The one that asks, and the projects that it is limited to; None for all.

    `has_password` is False for a token, and for an account that signs in at a provider only.
    """

    principal: Principal
    projects: tuple[ProjectRef, ...] | None
    has_password: bool = False


class AccountOperations(Struct, frozen=True):
    """Changes of accounts, which only an admin may make.

    All raise NotFoundError for an account that does not exist, and ForbiddenError.
    """

    services: OperationServices

    async def setup_needed(self) -> bool:
        """Return whether there is no account yet."""
        return not await self.services.store.read(lambda reader: reader.has_accounts())

    async def new_setup_link(self) -> SetupLink:
        """Make a link for the first account. Raises ConflictError once there is an account."""
        self.services.actor.check_role(Role.ADMIN)

        def work(tx: Tx) -> SetupLink:
            link = new_setup_link(tx, self.services.public_url, self.services.clock())
            self.services.record(tx, AuditAction.SETTINGS_SETUP_LINK, AuditSubject())
            return link

        return await self.services.store.write(work)

    async def check_setup_link(self, link_token: str) -> None:
        """Raise NotFoundError unless the set-up link of that token holds."""
        now = self.services.clock()
        await self.services.store.read(lambda reader: check_setup_token(reader, link_token, now))

    async def set_up(
        self, link_token: str, name: str, password: str, *, address: str, user_agent: str
    ) -> SignedIn:
        """Make the first account, an admin, and sign it in. The link ends with that.

        Raises NotFoundError where the link does not hold, and FieldError.
        """
        # Before the password is hashed: strangers must not keep a core busy.
        await self.check_setup_link(link_token)
        account = await self._new_account(name, Role.ADMIN, password)

        def work(tx: Tx) -> SignedIn:
            now = self.services.clock()
            # Again: of two browsers, one is first.
            check_setup_token(tx, link_token, now)
            tx.put_setting(SETUP_LINK, None)
            made = replace(account, signed_in_at=now)
            tx.add_account(made)
            begun = begin_session(tx, made, now, address, user_agent)
            record_account(tx, begun.principal, now, None, made)
            return begun

        return await self.services.store.write(work)

    async def me(self) -> Me:
        """Return the one that asks."""
        actor = self.services.actor
        if actor.kind is not PrincipalKind.ACCOUNT and actor.projects is None:
            # It must be answered while the database is away.
            return Me(actor, None)

        def work(reader: Reader) -> Me:
            limits, projects = actor.projects, None
            if limits is not None:
                found = reader.projects_by_id(limits)
                projects = project_refs(limits, {key: one.name for key, one in found.items()})
            is_account = actor.kind is PrincipalKind.ACCOUNT and actor.id is not None
            has_password = is_account and reader.account(actor.id or "").password is not None
            return Me(actor, projects, has_password)

        return await self.services.store.read(work)

    async def list(self, after: str = "", limit: int | None = None) -> Sequence[AccountView]:
        """Return accounts in order of name, those after the name key `after`."""
        self.services.actor.check_role(Role.ADMIN)
        return await self.services.store.read(
            lambda reader: account_views(reader, reader.accounts(after, limit))
        )

    async def get(self, account_id: str) -> AccountView:
        """Return one account."""
        self.services.actor.check_role(Role.ADMIN)
        return await self.services.store.read(
            lambda reader: _view(reader, reader.account(account_id))
        )

    async def create(
        self, name: str, role: Role, password: str, projects: Sequence[str] | None = None
    ) -> AccountView:
        """Make an account; `projects` are ids or names, None for all.

        Raises ConflictError for a name that is taken, and FieldError.
        """
        self.services.actor.check_role(Role.ADMIN)
        check_rights(role, projects, ACCOUNT_ROLES)
        # Before the transaction: a hash takes a good part of a second, in which no other could
        # write.
        account = await self._new_account(name, role, password)

        def work(tx: Tx) -> AccountView:
            made = replace(account, projects=find_projects(tx, projects))
            _check_account_name(tx, made)
            tx.add_account(made)
            self._record(tx, None, made)
            # The link is for whoever has no other way in.
            tx.put_setting(SETUP_LINK, None)
            return _view(tx, made)

        return await self.services.store.write(work)

    async def change(
        self,
        account_id: str,
        fields: Mapping[str, Any],
        check: Callable[[Account], None] = accept,
    ) -> AccountView:
        """Change `name`, `role`, `projects` (ids or names) or `password` unless `check` raises.

        It holds from the next request on; a new password ends the account's other sessions. Raises
        ConflictError, also for the last admin, and FieldError.
        """
        self.services.actor.check_role(Role.ADMIN)
        given = dict(fields)
        if "name" in given:
            given["name"] = _checked_name(given["name"])
        if (password := given.get("password")) is not None:
            check_password(password)
            given["password"] = await self.services.passwords.hash(password)

        def work(tx: Tx) -> AccountView:
            old = tx.account(account_id)
            check(old)
            account = replace(old, **_with_projects(tx, old, given))
            _check_account_name(tx, account)
            if old.role is Role.ADMIN and account.role is not Role.ADMIN:
                _check_other_admin(tx, f"{old.name} keeps the role admin")
            tx.put_account(account)
            self._record(tx, old, account)
            # Whoever knew the old one may be signed in. The one that asks stays so.
            if account.password != old.password:
                end_sessions(tx, account_id, self.services.actor.session_id)
            return _view(tx, account)

        return await self.services.store.write(work)

    async def delete(self, account_id: str, check: Callable[[Account], None] = accept) -> None:
        """Delete an account with its sessions unless `check` raises.

        Raises ConflictError for the last admin.
        """
        self.services.actor.check_role(Role.ADMIN)

        def work(tx: Tx) -> None:
            account = tx.account(account_id)
            check(account)
            # In here: of two admins that delete each other, the second one stays.
            if account.role is Role.ADMIN:
                _check_other_admin(tx, f"{account.name} stays")
            tx.delete_account(account_id)
            self._record(tx, account, None)

        await self.services.store.write(work)

    async def change_own_password(self, current: str, new: str) -> None:
        """Give the account that asks a new password, and end its other sessions.

        Raises ForbiddenError for a token, FieldError for a wrong `current` or an unusable `new`
        password, and TooManyAttemptsError.
        """
        services, actor = self.services, self.services.actor
        if actor.kind is not PrincipalKind.ACCOUNT or actor.id is None:
            raise ForbiddenError(f"{actor.name} is not an account, and has no password")
        account_id = actor.id
        account = await services.store.read(lambda reader: reader.account(account_id))
        if account.password is None:
            raise ForbiddenError(
                f"{account.name} has no password: it signs in at the provider; an admin can set one"
                f" with: tagboat users reset-password {shell_words(account.name)}"
            )
        # A stolen session must not be able to guess without end either.
        with services.attempts.attempt(account.name_key, actor.address):
            right = await services.passwords.verify(current, account.password)
        if not right:
            raise FieldError("current", "is not your password")
        services.attempts.succeed(account.name_key, actor.address)
        check_password(new, "new")
        hashed = await services.passwords.hash(new)

        def work(tx: Tx) -> None:
            old = tx.account(account_id)
            # An admin has set another one while this was verified and hashed: theirs holds.
            if old.password != account.password:
                raise FieldError("current", "is not your password")
            changed = replace(old, password=hashed)
            tx.put_account(changed)
            self._record(tx, old, changed)
            end_sessions(tx, account_id, actor.session_id)

        await services.store.write(work)

    def _record(self, tx: Tx, old: Account | None, new: Account | None) -> None:
        record_account(tx, self.services.actor, self.services.clock(), old, new)

    async def _new_account(self, name: str, role: Role, password: str) -> Account:
        name = _checked_name(name)
        check_password(password)
        hashed = await self.services.passwords.hash(password)
        now = self.services.clock()
        return Account(id=new_id(), name=name, role=role, password=hashed, created_at=now)


def _checked_name(name: str) -> str:
    try:
        return parse_account_name(name)
    except InvalidValueError as error:
        raise FieldError("name", str(error)) from None


def _check_account_name(reader: Reader, account: Account) -> None:
    namesake = reader.account_by_key(account.name_key)
    if namesake is not None and namesake.id != account.id:
        raise ConflictError(f"there is an account named {namesake.name} already")


def _check_other_admin(reader: Reader, result: str) -> None:
    if reader.count_admins() <= 1:
        raise LastAdminError(
            f"{result}: there is no other admin; make another account an admin first, with"
            " 'tagboat users edit NAME --role admin'"
        )


def _with_projects(reader: Reader, old: Account, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields given, with the ids of projects; another role ends the limit."""
    fields, role = dict(given), given.get("role", old.role)
    # Before they are looked up: the role decides if there may be any.
    check_rights(role, fields.get("projects"), ACCOUNT_ROLES)
    if "projects" in fields:
        fields["projects"] = find_projects(reader, fields["projects"])
    # Who is a viewer for now keeps the limit: a provider's role may give a use to it again.
    elif role is not old.role and role is not Role.DEPLOYER:
        fields["projects"] = None
    return fields


def _view(reader: Reader, account: Account) -> AccountView:
    (view,) = account_views(reader, [account])
    return view
