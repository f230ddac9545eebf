"""The sign-in link: made on the server's machine, its holder is signed in as an account, once."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct

from tagboat.core.accounts import (
    CREDENTIAL_BYTES,
    SIGN_IN_LINK,
    SIGN_IN_LINK_LIFETIME,
    Account,
    hash_credential,
)
from tagboat.core.audit import AuditAction
from tagboat.core.errors import ForbiddenError, NotFoundError
from tagboat.core.ports import Reader, Tx
from tagboat.core.principal import PrincipalKind
from tagboat.core.values import replace
from tagboat.operations.account_audit import account_subject
from tagboat.operations.services import OperationServices
from tagboat.operations.sessions import SignedIn, begin_session


@dataclass(frozen=True, slots=True)
class SignInLink:
    """The link `url`, which is not kept, and until when it holds."""

    url: str = field(repr=False)
    expires_at: datetime


class SignInLinks(Struct, frozen=True):
    """Links that sign in without a password. There is one at a time: a new one ends the old one."""

    services: OperationServices

    async def make(self, account_id: str) -> SignInLink:
        """Make a link for an account.

        Raises NotFoundError for an account that does not exist, and ForbiddenError for those who
        are not on the server's machine: an admin must not act under the name of somebody else.
        """
        services = self.services

        def work(tx: Tx) -> SignInLink:
            # First: for an account that does not exist, 404 is the answer to everybody.
            account = tx.account(account_id)
            if services.actor.kind is not PrincipalKind.LOCAL:
                raise ForbiddenError(
                    "a sign-in link is made on the server's machine only:"
                    " 'tagboat users sign-in-link NAME'"
                )
            token = secrets.token_urlsafe(CREDENTIAL_BYTES)
            expires_at = services.clock() + SIGN_IN_LINK_LIFETIME
            kept = {
                "hash": hash_credential(token),
                "expires_at": expires_at.isoformat(),
                "account": account.id,
            }
            tx.put_setting(SIGN_IN_LINK, kept)
            services.record(tx, AuditAction.ACCOUNT_SIGN_IN_LINK, account_subject(account))
            return SignInLink(f"{services.public_url}/sign-in/{token}", expires_at)

        return await services.store.write(work)

    async def find(self, link_token: str) -> Account:
        """Return the account of a link. Raises NotFoundError unless the link holds."""
        now = self.services.clock()
        return await self.services.store.read(lambda reader: _find(reader, link_token, now))

    async def use(
        self, link_token: str, *, address: str, user_agent: str, previous: str = ""
    ) -> SignedIn:
        """Begin a session for the account of a link, which ends with that.

        The session of the cookie `previous` ends.

        Raises NotFoundError unless the link holds.
        """

        def work(tx: Tx) -> SignedIn:
            now = self.services.clock()
            # Looked up again in the transaction: of two browsers, one is first.
            account = replace(_find(tx, link_token, now), signed_in_at=now)
            tx.put_setting(SIGN_IN_LINK, None)
            tx.put_account(account)
            return begin_session(tx, account, now, address, user_agent, previous)

        return await self.services.store.write(work)


def _find(reader: Reader, token: str, now: datetime) -> Account:
    kept = reader.setting(SIGN_IN_LINK)
    if (
        isinstance(kept, Mapping)
        and hmac.compare_digest(str(kept["hash"]), hash_credential(token))
        and now < datetime.fromisoformat(str(kept["expires_at"]))
    ):
        return reader.account(str(kept["account"]))
    raise NotFoundError(
        "this sign-in link does not hold any more; on the server's machine,"
        " 'tagboat users sign-in-link NAME' makes a new one"
    )
