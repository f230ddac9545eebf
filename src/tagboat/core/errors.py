"""Every error Tagboat raises on purpose, and what it means to whoever catches it.

    TagboatError
    ├── InvalidValueError           a value that cannot be used; the text says which and why
    │   ├── InvalidImageRefError
    │   ├── InvalidTagPatternError
    │   └── InvalidScheduleError
    ├── SettingsError               the environment cannot be used; stops the start
    ├── NotFoundError               the thing named does not exist (HTTP 404)
    ├── ConflictError               it clashes with something that exists (HTTP 409)
    ├── RegistryError
    │   ├── RegistryUnreachableError    no usable answer: refused, DNS, time-out, cut short, 5xx  (retryable)
    │   │   └── RegistryFailedError         it did answer, with a 5xx                             (retryable)
    │   ├── RegistryRateLimitedError    429; `retry_at` says when to come back                   (retryable)
    │   ├── RegistryDeniedError         401 or 403 after the login that was possible
    │   ├── RegistryNotFoundError       the registry has no such repository, tag or digest
    │   │   └── RepositoryUnknownError      it says that of the whole repository (NAME_UNKNOWN)
    │   └── RegistryProtocolError       an answer outside the OCI distribution specification
    │       └── NotAnImageError             a chart, an SBOM, a build's cache: nothing that can be run
    ├── EngineError
    │   ├── EngineUnavailableError      no connection, or it went away in mid-call              (retryable)
    │   ├── EngineNotFoundError         no such container or image on the engine
    │   ├── NameTakenError              a container of that name exists
    │   ├── EndpointTakenError          its endpoint, or a port it publishes, is in use
    │   └── DiskFullError               the engine has no space left                            (retryable)
    ├── IngressError
    │   └── IngressUnavailableError     the ingress cannot be reached or does not obey            (retryable)
    ├── StoreUnavailableError       the database is out of reach, locked or full; nothing was written  (retryable)
    └── DeployFailedError           a deploy cannot go on; the text is the reason a person reads

`retryable` says whether the same call may succeed later without anybody changing anything.
"""

from datetime import datetime


class TagboatError(Exception):
    """The root of the tree. `str()` of any of them is fit to be shown to a person: it holds no secret."""

    retryable = False


class InvalidValueError(TagboatError, ValueError):
    """A value that cannot be used."""


class InvalidImageRefError(InvalidValueError):
    """Not an image reference (grammar of the distribution project's `reference` package)."""


class InvalidTagPatternError(InvalidValueError):
    """Not a tag pattern of any known kind."""


class InvalidScheduleError(InvalidValueError):
    """Not a cron expression, `@hourly` and its kin, or `@every DURATION`."""


class SettingsError(TagboatError):
    """An environment variable that is unknown or unusable; the text names it."""


class NotFoundError(TagboatError):
    """The thing named does not exist."""


class ConflictError(TagboatError):
    """It clashes with something that exists already."""


class RegistryError(TagboatError):
    """A registry could not give what was asked of it."""


class RegistryUnreachableError(RegistryError):
    """Connection refused, unknown host, time-out, an answer cut short, or a 5xx after retries."""

    retryable = True


class RegistryFailedError(RegistryUnreachableError):
    """A 5xx, after retries: of what was asked for, perhaps, and not of the registry as a whole."""


class RegistryRateLimitedError(RegistryError):
    """The registry answered 429. `retry_at` is the time (UTC) its `Retry-After` names, or None."""

    retryable = True

    def __init__(self, message: str, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class RegistryDeniedError(RegistryError):
    """401 or 403, after whatever login the credentials allow."""


class RegistryNotFoundError(RegistryError):
    """No such repository, tag or digest in the registry."""


class RepositoryUnknownError(RegistryNotFoundError):
    """The registry knows no such repository: nothing was pushed there yet."""


class RegistryProtocolError(RegistryError):
    """An answer outside the OCI distribution specification: not JSON, too large, a broken challenge."""


class NotAnImageError(RegistryProtocolError):
    """What the registry has there is not a container image; the text says what it is instead."""


class EngineError(TagboatError):
    """The container engine refused or failed."""


class EngineUnavailableError(EngineError):
    """The engine cannot be reached, or went away in mid-call."""

    retryable = True


class EngineNotFoundError(EngineError):
    """No such container or image on the engine."""


class NetworkNotFoundError(EngineNotFoundError):
    """No such network on the engine."""


class NameTakenError(EngineError):
    """A container of that name exists."""


class EndpointTakenError(EngineError):
    """The endpoint of a workload, or a port that it publishes, is in use by another program."""


class DiskFullError(EngineError):
    """The engine reports that no space is left on its disk."""

    retryable = True


class IngressError(TagboatError):
    """What went wrong with the program that leads traffic."""


class IngressUnavailableError(IngressError):
    """The ingress cannot be reached, cannot be started, or did not do what it was told."""

    retryable = True


class StoreUnavailableError(TagboatError):
    """The database is out of reach, locked by another program, or its disk is full. Nothing was written."""

    retryable = True


class DeployFailedError(TagboatError):
    """A deploy cannot go on. `str()` is the reason a person reads on the deploy."""
