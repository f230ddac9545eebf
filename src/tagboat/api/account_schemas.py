"""The bodies of accounts and API tokens. Passwords are accepted and never shown."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tagboat.api import values
from tagboat.api.bodies import RequestModel, ResponseModel, unset
from tagboat.api.schemas import RefOut
from tagboat.core.accounts import (
    MAX_ACCOUNT_NAME,
    MAX_PASSWORD_BYTES,
    MIN_PASSWORD,
    parse_account_name,
)
from tagboat.core.errors import InvalidValueError
from tagboat.core.principal import PrincipalKind, Role

MAX_EXPIRY_DAYS = 3650


def parse_instant(given: str) -> datetime:
    """Return the time in `given` (RFC 3339), in UTC; raise InvalidValueError."""
    try:
        found = datetime.fromisoformat(given)
        if found.tzinfo is not None:
            # In its own zone it may be a time that UTC has no year for: no answer could show it.
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidValueError("must be a time with its zone, such as 2027-01-31T00:00:00Z")


AccountRole = Literal["viewer", "deployer", "admin"]
TokenRole = Literal["metrics", "viewer", "deployer", "admin"]
AccountName = Annotated[
    str,
    values.Parsed(
        parse_account_name,
        {"format": "account-name", "minLength": 1, "maxLength": MAX_ACCOUNT_NAME},
    ),
]
# Too long, too short: the operation says so, for pages as well.
PasswordInput = Annotated[
    str,
    values.Parsed(
        lambda given: given,
        {"format": "account-password", "minLength": MIN_PASSWORD, "maxLength": MAX_PASSWORD_BYTES},
    ),
    Field(repr=False),
]
ProjectList = Annotated[
    list[Annotated[str, values.text(values.NO_NUL, 100, "the id or name of a project", 1)]],
    Field(min_length=1, max_length=1000),
]
Expiry = Annotated[datetime, values.Parsed(parse_instant, {"format": "date-time"})]
ExpiryDays = Annotated[int, BeforeValidator(values.whole), Field(ge=1, le=MAX_EXPIRY_DAYS)]


class UserCreate(RequestModel):
    """A new account. Only a deployer can be limited to projects."""

    name: AccountName
    role: AccountRole
    projects: ProjectList | None = None
    password: PasswordInput


class UserUpdate(RequestModel):
    """Changes to an account. A new password ends its sessions."""

    name: AccountName = unset()
    role: AccountRole = unset()
    # Null is a value: all projects.
    projects: ProjectList | None = None
    password: PasswordInput = unset()


class UserOut(ResponseModel):
    """An account."""

    id: str
    name: str
    role: Role
    projects: Sequence[RefOut] | None
    has_password: bool
    created_at: datetime
    signed_in_at: datetime | None


class PasswordUpdate(RequestModel):
    """A new password for one's own account."""

    current: Annotated[str, values.Parsed(lambda given: given, {}), Field(repr=False)]
    new: PasswordInput


class SetupLinkOut(ResponseModel):
    """The link that makes the first account. Anyone who has it becomes the admin."""

    url: str
    expires_at: datetime


class MeOut(ResponseModel):
    """The caller. `id` is that of an account or token, null for the others."""

    kind: PrincipalKind
    id: str | None
    name: str
    role: Role
    projects: Sequence[RefOut] | None


class TokenCreate(RequestModel):
    """A new token. Without `expires_at` and `expires_in_days` it holds until it is deleted."""

    name: AccountName
    role: TokenRole
    projects: ProjectList | None = None
    expires_at: Expiry | None = None
    expires_in_days: ExpiryDays | None = None


class TokenOut(ResponseModel):
    """A token for programs, without its secret."""

    id: str
    name: str
    role: Role
    projects: Sequence[RefOut] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    used_at: datetime | None


class CreatedTokenOut(TokenOut):
    """A token that was just made. Its secret is shown only here."""

    token: str
