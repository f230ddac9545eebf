"""Sign-in at the OpenID provider, and signing out on both sides."""

import contextlib
from datetime import datetime

import structlog
from msgspec import Struct

from tagboat.core.accounts import (
    MAX_ACCOUNT_NAME,
    Account,
    account_key,
    parse_account_name,
)
from tagboat.core.audit import AuditAction
from tagboat.core.errors import (
    ConflictError,
    ForbiddenError,
    IdentityError,
    InvalidValueError,
    NotFoundError,
)
from tagboat.core.identities import Identity, SessionOrigin
from tagboat.core.ids import new_id
from tagboat.core.oidc import ProviderAnswer, ProviderSession, SignInAttempt
from tagboat.core.oidc_decision import AdmittedPerson, RejectedPerson, decide_sign_in
from tagboat.core.ports import Tx
from tagboat.core.principal import Role
from tagboat.core.values import replace
from tagboat.operations.account_audit import account_subject, record_account
from tagboat.operations.services import OidcService, OperationServices
from tagboat.operations.sessions import SessionOperations, SignedIn, begin_session, end_sessions

log = structlog.get_logger("tagboat.sign_in")


class SingleSignOn(Struct, frozen=True):
    """The sign-in at a provider.

    `start`, `finish` and `end_as_told` raise NotFoundError if there is no provider,
    IdentityProviderError if it fails, and IdentityRejectedError for an answer that is not valid.
    """

    services: OperationServices

    @property
    def provider_name(self) -> str | None:
        """The provider's name for people, None without one."""
        oidc = self.services.oidc
        return oidc.settings.name if oidc else None

    @property
    def has_passwords(self) -> bool:
        """True if people may also sign in with a name and password."""
        return self.services.local_sign_in

    async def start(self, attempt: SignInAttempt) -> str:
        """Return the URL at the provider to which the browser is sent."""
        return await self._oidc.provider.authorization_url(attempt)

    async def finish(
        self,
        answer: ProviderAnswer,
        attempt: SignInAttempt,
        *,
        address: str,
        user_agent: str,
        previous: str = "",
    ) -> SignedIn:
        """Begin a session for the person who comes back, and end that of the cookie `previous`.

        The account is made at the first sign-in; its role follows the claims at each one. Raises
        ForbiddenError for a person without a role; all sessions of the account have ended then. And
        TooManyAttemptsError: codes that are made up must not make this server call the provider
        without end.
        """
        oidc = self._oidc
        with self.services.attempts.attempt(None, address):
            person = await oidc.provider.redeem(answer, attempt)
        self.services.attempts.succeed(None, address)

        decided = decide_sign_in(person.claims, oidc.settings)
        if isinstance(decided, RejectedPerson):
            log.warning("no sign-in", action="oidc", reason=decided.reason, subject=person.subject)
            note = f"all sessions: no role by {oidc.settings.name} ({decided.reason})"
            await self.services.store.write(lambda tx: self._end_all(tx, person, note))
            raise ForbiddenError(decided.sentence)

        def work(tx: Tx) -> SignedIn:
            now = self.services.clock()
            known = tx.identity(person.issuer, person.subject)
            old = tx.account(known.account_id) if known else None
            account = account_of_person(tx, person, decided, oidc.settings.name, now)
            begun = begin_session(tx, account, now, address, user_agent, previous)
            tx.add_session_origin(
                SessionOrigin(
                    session_id=str(begun.principal.session_id),
                    issuer=person.issuer,
                    subject=person.subject,
                    sid=person.sid,
                    id_token=person.id_token,
                )
            )
            record_account(tx, begun.principal, now, old, account)
            return begun

        try:
            signed_in = await self.services.store.write(work)
        except ConflictError:
            # The same person, or one of the same name, came at another server at this moment.
            signed_in = await self.services.store.write(work)
        name, role = signed_in.principal.name, signed_in.principal.role
        log.info("signed in", action="oidc", account=name, role=role, address=address)
        return signed_in

    async def sign_out(self, session_id: str) -> str | None:
        """End a session of one's own, and return the URL that ends the one at the provider.

        None means that there is nothing to end there, or that the provider does not answer.
        """
        services, oidc = self.services, self.services.oidc
        origin = await services.store.read(lambda reader: reader.session_origin(session_id))
        # Another window may have ended it already.
        with contextlib.suppress(NotFoundError):
            await SessionOperations(services).sign_out(session_id)
        if origin is None or oidc is None or not oidc.is_issuer(origin.issuer):
            return None
        try:
            return await oidc.provider.logout_url(origin.id_token)
        except IdentityError as error:
            # Signing out here must work while the provider does not.
            log.warning("not signed out at the provider", action="oidc", reason=str(error))
            return None

    async def end_as_told(self, logout_token: str) -> int:
        """End the sessions that the provider says have ended there; return how many."""
        notice = await self._oidc.provider.read_logout_token(logout_token)

        def work(tx: Tx) -> int:
            found = tx.sessions_from(notice.issuer, notice.subject, notice.sid)
            for session_id in found:
                account = tx.account(tx.session(session_id).account_id)
                tx.delete_session(session_id)
                note = "one session: signed out at the provider"
                subject = account_subject(account)
                self.services.record(tx, AuditAction.ACCOUNT_SIGN_OUT, subject, note=note)
            return len(found)

        ended = await self.services.store.write(work)
        log.info("signed out at the provider", action="oidc", sessions=ended)
        return ended

    async def end_local_sessions(self) -> int:
        """End the sessions that began with a password; return how many."""
        self.services.actor.check_role(Role.ADMIN)
        return await self.services.store.write(lambda tx: tx.delete_sessions_without_origin())

    def _end_all(self, tx: Tx, person: ProviderSession, note: str) -> None:
        """End all sessions of a person, also those that began with a password."""
        known = tx.identity(person.issuer, person.subject)
        if known is not None:
            end_sessions(tx, known.account_id)
            subject = account_subject(tx.account(known.account_id))
            self.services.record(tx, AuditAction.ACCOUNT_SIGN_OUT, subject, note=note)

    @property
    def _oidc(self) -> OidcService:
        if self.services.oidc is None:
            raise NotFoundError(
                "there is no OpenID provider to sign in at; TAGBOAT_OIDC_ISSUER names one"
            )
        return self.services.oidc


def account_of_person(
    tx: Tx, person: ProviderSession, admitted: AdmittedPerson, provider: str, now: datetime
) -> Account:
    """Return the account of a person with the role that the claims give, made if there is none."""
    known = tx.identity(person.issuer, person.subject)
    if known is None:
        # Never the account of the same name or address: at many providers people choose those.
        account = Account(
            id=new_id(),
            name=free_account_name(tx, admitted.name, provider),
            role=admitted.role,
            created_at=now,
            signed_in_at=now,
        )
        tx.add_account(account)
    else:
        account = tx.account(known.account_id)
        # A viewer gives no orders: the limit of a deployer waits there for the role to come back.
        projects = None if admitted.role is Role.ADMIN else account.projects
        account = replace(account, role=admitted.role, projects=projects, signed_in_at=now)
        tx.put_account(account)
    tx.put_identity(
        Identity(
            issuer=person.issuer,
            subject=person.subject,
            account_id=account.id,
            email=admitted.email,
            created_at=known.created_at if known else now,
        )
    )
    return account


def free_account_name(tx: Tx, wanted: str, provider: str) -> str:
    """Return the name wanted, or if another account has it, one that also names the provider."""
    try:
        name = parse_account_name(wanted)
    except InvalidValueError:
        name = "unnamed"
    endings = ["", f" ({provider})", *(f" ({provider}, {number})" for number in range(2, 1_000))]
    for ending in endings:
        candidate = name[: MAX_ACCOUNT_NAME - len(ending)].rstrip() + ending
        if tx.account_by_key(account_key(candidate)) is None:
            return candidate
    raise ConflictError(f"there are too many accounts named {name}")
