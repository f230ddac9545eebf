"""The errors that Tagboat raises on purpose.

    TagboatError
    ├── InvalidValueError           an invalid value; the text says which and why
    │   ├── InvalidImageRefError
    │   ├── InvalidTagPatternError
    │   ├── InvalidScheduleError
    │   └── FieldError              wrong only next to other values; `field` is its name
    ├── SettingsError               the environment is invalid; stops the start
    ├── NotFoundError               the thing named does not exist (HTTP 404)
    ├── ConflictError               a conflict with something that exists (HTTP 409)
    │   ├── TakenError                  a thing has the image or host; `holder` is its id
    │   └── LastAdminError              without this account there would be no admin
    ├── ForbiddenError              the role of the caller does not allow it (HTTP 403)
    ├── SignInError                 the name or the password is wrong (HTTP 401)
    ├── TooManyAttemptsError        sign-ins come too fast; `wait_s` are seconds to wait (HTTP 429)
    ├── CallerChangedError          a call's secret no longer opens what it opened (HTTP 404)
    ├── RegistryError
    │   ├── RegistryUnreachableError    no answer: refused, DNS, time-out, incomplete  (retryable)
    │   │   └── RegistryFailedError         an answer with a 5xx  (retryable)
    │   ├── RegistryRateLimitedError    429; `retry_at` says when to try again  (retryable)
    │   │   └── BudgetSpentError            polls have used up their share  (retryable)
    │   ├── RegistryDeniedError         401 or 403 after the possible login
    │   ├── RegistryNotFoundError       the registry has no such repository, tag or digest
    │   │   └── RepositoryUnknownError      the whole repository is unknown (NAME_UNKNOWN)
    │   └── RegistryProtocolError       an answer outside the OCI distribution specification
    │       └── NotAnImageError             a chart, an SBOM, a build cache: cannot be run
    ├── EngineError
    │   ├── EngineUnavailableError      no connection, or it was lost during a call  (retryable)
    │   ├── EngineNotFoundError         no such container or image on the engine
    │   ├── NameTakenError              a container of that name exists
    │   ├── EndpointTakenError          its endpoint, or a port it publishes, is in use
    │   └── DiskFullError               the engine has no space left  (retryable)
    ├── IdentityError               a sign-in by OpenID Connect did not succeed
    │   ├── IdentityProviderError       the provider cannot be reached or fails  (retryable)
    │   └── IdentityRejectedError       an answer of the provider that is not valid (HTTP 403)
    ├── IngressError
    │   └── IngressUnavailableError     the ingress cannot be reached or fails  (retryable)
    ├── StoreUnavailableError       the database is not available, locked or full  (retryable)
    └── DeployFailedError           a deploy cannot continue; the text is its reason

`retryable` means that the same call may succeed later although nobody changes anything.
"""

from datetime import datetime


class TagboatError(Exception):
    """The root of the tree. `str()` of each error may be shown to a person: it holds no secret."""

    retryable = False


# Also a ValueError: pydantic reports those of its validators as errors of a field.
class InvalidValueError(TagboatError, ValueError):
    """An invalid value."""


class InvalidImageRefError(InvalidValueError):
    """Not an image reference (grammar of the distribution project's `reference` package)."""


class InvalidTagPatternError(InvalidValueError):
    """Not a tag pattern of any known kind."""


class InvalidScheduleError(InvalidValueError):
    """Not a cron expression, a name such as `@hourly`, or `@every DURATION`."""


class FieldError(InvalidValueError):
    """A value that is wrong only next to other values or to what is stored.

    `field` is its name as callers of the API write it.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class SettingsError(TagboatError):
    """An environment variable that is unknown or invalid; the text names it."""


class NotFoundError(TagboatError):
    """The thing named does not exist."""


class ConflictError(TagboatError):
    """A conflict with something that exists already."""


class TakenError(ConflictError):
    """An image or host that something else has. `holder` is the id of that thing."""

    def __init__(self, message: str, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


class LastAdminError(ConflictError):
    """An account that must stay an admin: there is no other one."""


class ForbiddenError(TagboatError):
    """The caller is known, but the role of the caller does not allow it."""


class SignInError(TagboatError):
    """The name or the password is wrong. Nothing says which of the two."""


class TooManyAttemptsError(TagboatError):
    """Sign-ins from one address, or altogether, come too fast. `wait_s` are seconds to wait."""

    retryable = True

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class CallerChangedError(TagboatError):
    """The secret of a call no longer opens what it opened: nothing of the call was kept."""


class RegistryError(TagboatError):
    """A registry did not do what was requested."""


class RegistryUnreachableError(RegistryError):
    """Connection refused, unknown host, time-out, an incomplete answer, or a 5xx after retries."""

    retryable = True


# Below `RegistryUnreachableError`, because callers retry both in the same way.
class RegistryFailedError(RegistryUnreachableError):
    """A 5xx after retries: perhaps of this one object, not of the whole registry."""


# Below `RegistryUnreachableError`: without a password, nothing of the registry can be used.
class PasswordCommandError(RegistryUnreachableError):
    """The command that prints the password of a registry has failed; the text says why."""


class RegistryRateLimitedError(RegistryError):
    """The registry answered 429. `retry_at` is the time (UTC) of its `Retry-After`, or None."""

    retryable = True

    def __init__(self, message: str, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


# Below the error of the registry itself: polls wait for both in the same way.
class BudgetSpentError(RegistryRateLimitedError):
    """Polls on schedule have used up their share of a registry's limit; nothing was asked."""


class RegistryDeniedError(RegistryError):
    """401 or 403, after the login that the credentials allow."""


class RegistryNotFoundError(RegistryError):
    """No such repository, tag or digest in the registry."""


class RepositoryUnknownError(RegistryNotFoundError):
    """The registry has no such repository: nothing was pushed to it yet."""


class RegistryProtocolError(RegistryError):
    """An answer outside the OCI distribution specification: not JSON, too large, and similar."""


class NotAnImageError(RegistryProtocolError):
    """The object in the registry is not a container image; the text says what it is."""


ANSWERS_ABOUT_A_TAG = (
    RegistryDeniedError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RegistryFailedError,
)
"""Answers about one tag, from a registry that may give others."""


class EngineError(TagboatError):
    """The container engine refused or failed."""


class EngineUnavailableError(EngineError):
    """The engine cannot be reached, or disconnected during a call."""

    retryable = True


class EngineMissingError(EngineError):
    """A stage asks for an engine that this server does not have."""


class EngineNotFoundError(EngineError):
    """No such container or image on the engine."""


class EngineDeniedError(EngineError):
    """A registry refused the login with which the engine pulls, or has no such repository."""


class NetworkNotFoundError(EngineNotFoundError):
    """No such network on the engine."""


class NameTakenError(EngineError):
    """A container of that name exists."""


class EndpointTakenError(EngineError):
    """The endpoint of a workload, or a port that it publishes, is in use by another program."""


class DiskFullError(EngineError):
    """The engine reports that no space is left on its disk."""

    retryable = True


class IdentityError(TagboatError):
    """A sign-in by OpenID Connect did not succeed; the text says why, and what to do."""


class IdentityProviderError(IdentityError):
    """The OpenID provider cannot be reached, is too slow, fails, or is not one."""

    retryable = True


class IdentityRejectedError(IdentityError):
    """An answer of the OpenID provider, or of somebody in its name, that is not valid."""


class IngressError(TagboatError):
    """A failure of the program that routes traffic."""


class IngressUnavailableError(IngressError):
    """The ingress cannot be reached or started, or did not apply a change."""

    retryable = True


class StoreUnavailableError(TagboatError):
    """The database is not available, is locked, or its disk is full. Nothing was written."""

    retryable = True


class DeployFailedError(TagboatError):
    """A deploy cannot continue. `str()` is the reason shown on the deploy."""
