"""Accounts, their sessions, API tokens, and the link that makes the first account."""

import hashlib
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tagboat.core.errors import FieldError, InvalidValueError
from tagboat.core.principal import Principal, PrincipalKind, Role

SESSION_IDLE = timedelta(hours=12)
"""Time without a request after which a session has ended."""
SESSION_LIFETIME = timedelta(days=30)
"""Time after which a session has ended, however much it is used."""
USE_NOTED_EVERY = timedelta(minutes=1)
"""The last use of a session or token is on record this exactly: not each request is a write."""
SETUP_LINK_LIFETIME = timedelta(hours=24)
SETUP_LINK = "setup_link"
"""The setting that has the hash of the set-up link's token, and until when it holds."""
MIN_PASSWORD = 10
"""Characters of a password, at least."""
MAX_PASSWORD_BYTES = 1024
"""Bytes of a password in UTF-8, at most."""
SIGN_IN_LINK_LIFETIME = timedelta(hours=1)
SIGN_IN_LINK = "sign_in_link"
"""The setting that has the hash of the sign-in link's token, its account, and until when."""
CREDENTIAL_BYTES = 32
"""Random bytes of a session's cookie, a token, or a link."""
MAX_ACCOUNT_NAME = 100
MAX_USER_AGENT = 200
ACCOUNT_ROLES = (Role.VIEWER, Role.DEPLOYER, Role.ADMIN)
"""Roles that an account can have; a token can also have the role `metrics`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person who signs in.

    `projects` are the ids of the projects that a deployer may act on, sorted, None for all.
    `password` is its argon2id hash, None where the account has none. `signed_in_at` is None before
    the first sign-in.
    """

    id: str
    name: str
    role: Role
    projects: tuple[str, ...] | None = None
    password: str | None = field(default=None, repr=False)
    created_at: datetime
    signed_in_at: datetime | None = None

    @property
    def name_key(self) -> str:
        """The name as it is compared with others."""
        return account_key(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that is signed in. `secret_hash` is the hash of its cookie's value.

    `address` is the IP address and `user_agent` the program of the sign-in.
    """

    id: str
    account_id: str
    secret_hash: str = field(repr=False)
    created_at: datetime
    used_at: datetime
    address: str
    user_agent: str

    def holds(self, now: datetime) -> bool:
        """Return whether the session has not ended by its age or for want of use."""
        return now < self.created_at + SESSION_LIFETIME and now < self.used_at + SESSION_IDLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token for a program. `secret_hash` is its hash; the token itself is not kept.

    `projects` are as in `Account`. `created_by` is the name of its maker; `expires_at` is None for
    a token that holds until it is deleted, `used_at` None before the first use.
    """

    id: str
    name: str
    role: Role
    projects: tuple[str, ...] | None = None
    secret_hash: str = field(repr=False)
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    used_at: datetime | None = None

    @property
    def name_key(self) -> str:
        """The name as it is compared with others."""
        return account_key(self.name)

    def holds(self, now: datetime) -> bool:
        """Return whether the token has not expired."""
        return self.expires_at is None or now < self.expires_at


# Letters and symbols for Unicode, which fonts leave blank: fillers, an empty pattern, no notehead.
_UNSEEN = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159")


def account_key(name: str) -> str:
    """Return `name` as it is compared: without case, and one form for letters that look alike."""
    # Twice: folding can bring characters that have another normal form (Unicode, section 3.13).
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded)


def may_be_account_name(text: str) -> bool:
    """Return whether an account may have `text` as its name, also by the rules of earlier."""
    return (
        0 < len(text) <= MAX_ACCOUNT_NAME
        and text.isprintable()
        and text == text.strip()
        and bool(account_key(text).strip())
    )


def has_only_visible(text: str) -> bool:
    """Return whether printable `text` shows something, and has no letter that shows nothing."""
    # A mark shows on the letter before it, and a variation selector never does.
    shows = any(one != " " and not unicodedata.category(one).startswith("M") for one in text)
    return shows and _UNSEEN.isdisjoint(text)


def parse_account_name(text: str) -> str:
    """Return `text` if it can be the name of an account, token, registry or webhook.

    Else raise InvalidValueError.
    """
    if not (may_be_account_name(text) and has_only_visible(text)):
        raise InvalidValueError(
            f"must be 1 to {MAX_ACCOUNT_NAME} printable characters that can be seen, without"
            " blanks at its ends"
        )
    return text


def check_password(password: str, field: str = "password") -> None:
    """Raise FieldError for `field` unless `password` can be one."""
    if len(password) < MIN_PASSWORD:
        raise FieldError(field, f"must have at least {MIN_PASSWORD} characters")
    # A browser cannot send half a surrogate pair, but JSON can spell it.
    if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        raise FieldError(field, f"must have at most {MAX_PASSWORD_BYTES} bytes")


def check_rights(role: Role, projects: Collection[str] | None, allowed: Collection[Role]) -> None:
    """Raise FieldError unless an account or token may have these rights."""
    if role not in allowed:
        raise FieldError("role", f"must be one of {', '.join(allowed)}")
    # Viewers see all projects, and admins change the server: a limit would promise too much.
    if projects is not None and role is not Role.DEPLOYER:
        raise FieldError(
            "projects", f"only a deployer can be limited to projects, not the role {role}"
        )


def use_is_news(used_at: datetime | None, now: datetime) -> bool:
    """Return whether a use at `now` is to be put on record."""
    return used_at is None or now - used_at >= USE_NOTED_EVERY


def principal_of_account(account: Account, session_id: str, address: str) -> Principal:
    """Return the account as the one that asks for something, in a session."""
    return Principal(
        kind=PrincipalKind.ACCOUNT,
        name=account.name,
        role=account.role,
        id=account.id,
        projects=None if account.projects is None else frozenset(account.projects),
        address=address,
        session_id=session_id,
    )


def principal_of_token(token: ApiToken, address: str) -> Principal:
    """Return the token as the one that asks for something."""
    return Principal(
        kind=PrincipalKind.TOKEN,
        name=token.name,
        role=token.role,
        id=token.id,
        projects=None if token.projects is None else frozenset(token.projects),
        address=address,
    )


def hash_credential(secret: str) -> str:
    """Return SHA-256 in hexadecimal: enough for 256 random bits, which nobody can guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
