"""The set-up link: its holder makes the first account, once."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tagboat.core.accounts import CREDENTIAL_BYTES, SETUP_LINK, SETUP_LINK_LIFETIME, hash_credential
from tagboat.core.errors import ConflictError, NotFoundError
from tagboat.core.ports import Reader, Tx


@dataclass(frozen=True, slots=True)
class SetupLink:
    """The link `url`, which is not kept, and until when it holds."""

    url: str = field(repr=False)
    expires_at: datetime


def new_setup_link(tx: Tx, public_url: str, now: datetime) -> SetupLink:
    """Make a link, in place of the one before. Raises ConflictError once there is an account."""
    if tx.has_accounts():
        raise ConflictError(
            "there is an account already, so the set-up link is closed;"
            " add others with 'tagboat users create NAME', and a lost password is replaced with"
            " 'tagboat users reset-password NAME'"
        )
    token, expires_at = secrets.token_urlsafe(CREDENTIAL_BYTES), now + SETUP_LINK_LIFETIME
    tx.put_setting(
        SETUP_LINK, {"hash": hash_credential(token), "expires_at": expires_at.isoformat()}
    )
    return SetupLink(f"{public_url}/setup/{token}", expires_at)


def check_setup_token(reader: Reader, token: str, now: datetime) -> None:
    """Raise NotFoundError unless `token` is that of the link, and the link holds."""
    kept = reader.setting(SETUP_LINK)
    if (
        not isinstance(kept, Mapping)
        or not hmac.compare_digest(str(kept["hash"]), hash_credential(token))
        or now >= datetime.fromisoformat(str(kept["expires_at"]))
        or reader.has_accounts()
    ):
        raise NotFoundError(
            "this set-up link does not hold any more; on the server's machine,"
            " 'tagboat users setup-link' makes a new one as long as there is no account"
        )
