"""The services that operations stand on, handed in by the composition root."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from tagboat.core.audit import AuditAction, AuditSubject, FieldChange, audit_entry
from tagboat.core.catalog import Registry
from tagboat.core.counters import Counters
from tagboat.core.host_access import no_host_path
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.ingress import Ingress
from tagboat.core.keeping import Disk
from tagboat.core.oidc import IdentityProvider, OidcSettings
from tagboat.core.ports import DeployTriggerer, Polls, Store, Tx
from tagboat.core.principal import SERVER, Principal
from tagboat.core.request_counts import CodeClasses
from tagboat.core.runtime import Runtime
from tagboat.intake.explain import Explanation
from tagboat.operations.passwords import Passwords
from tagboat.operations.sign_in_attempts import SignInAttempts


def accept(_present: object) -> None:
    """Accept whatever is present: the check of a change that was not made conditional."""


class Check(Protocol):
    """One result of the test of a registry; `detail` is a sentence for a person."""

    @property
    def name(self) -> str:
        """The name of what was tested."""

    @property
    def ok(self) -> bool:
        """False where a person has to do something."""

    @property
    def detail(self) -> str:
        """The finding, and what to do about it."""


class Found(Protocol):
    """The images of a registry. `whole` is False if there are more than are listed."""

    @property
    def images(self) -> Sequence[ImageName]:
        """The images in order of name."""

    @property
    def whole(self) -> bool:
        """True where no image is left out."""


class Login(Protocol):
    """A login for a registry, as a Docker `config.json` has it."""

    @property
    def username(self) -> str:
        """The user."""

    @property
    def password(self) -> str:
        """The password or token."""

    @property
    def command(self) -> str:
        """The command that prints both, empty where they are known."""


class OidcService(Struct, frozen=True):
    """The OpenID provider that people sign in at, with its settings."""

    settings: OidcSettings
    provider: IdentityProvider

    def is_issuer(self, issuer: str) -> bool:
        """Return whether the provider calls itself `issuer`; a slash at the end does not count."""
        return issuer.rstrip("/") == self.settings.issuer.rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationServices:
    """The store, the outside, and the settings of the server that operations need.

    `examine` tests a registry, with the list of an image's tags where an image is given;
    `list_images` lists the images of a registry, `list_tags` the tags of an image, `resolve` looks
    a digest up, `inspect` reads the configuration of an image: all four raise RegistryError.
    `login_for` reads the login for a host from the text of a Docker `config.json`, or raises
    InvalidValueError. `new_secret` makes and returns a new secret of the global webhook URL, and
    calls what it is given in the same transaction. `redeliver` carries out the delivery of an id
    again, asked for by a principal, and returns the receipt's JSON, or raises NotFoundError,
    ConflictError or InvalidValueError. `explain` returns what a push would do. `abandon` makes the
    worker let go of the deploys of stages. `ingress_trouble` returns what is wrong with the
    ingress, None for nothing; it is None where there is to be no ingress. `disks` looks at the
    disks of data and engine. `code_classes` returns the answers of stages by their ids, or raises
    IngressUnavailableError. `host_path` returns a path of the machine if containers may have it,
    else raises InvalidValueError; with `compares_paths`, those of a change are compared with those
    of all stages. `base_domain` is the end of the stages' own hosts, in lower case;
    `public_url` has no trailing slash. `chores` are tasks that go on when the call that began them
    has ended. `actor` is the one that asks for what these services are used for; `passwords` and
    `attempts` are shared by all who sign in. `oidc` is None without an OpenID provider; without
    `local_sign_in`, nobody signs in with a password.
    """

    store: Store
    deployer: DeployTriggerer
    engine: Runtime
    polls: Polls
    ingress: Ingress
    examine: Callable[[Registry, ImageName | None], Awaitable[Sequence[Check]]]
    list_images: Callable[[Registry], Awaitable[Found]]
    list_tags: Callable[[ImageName, Registry | None], Awaitable[Sequence[str]]]
    resolve: Callable[[ImageName, str, Registry | None], Awaitable[Digest]]
    inspect: Callable[[ImageRef, Registry | None], Awaitable[ImageInfo]]
    login_for: Callable[[str, str], Login]
    new_secret: Callable[[Callable[[Tx], None]], Awaitable[str]]
    redeliver: Callable[[str, Principal], Awaitable[bytes]]
    explain: Callable[[ImageRef], Awaitable[Explanation]]
    abandon: Callable[[Iterable[str]], Awaitable[None]]
    ingress_trouble: Callable[[], Awaitable[str | None]] | None
    disks: Callable[[], Awaitable[Sequence[Disk]]]
    code_classes: Callable[[], Awaitable[Mapping[str, CodeClasses]]]
    clock: Callable[[], datetime]
    counters: Counters
    base_domain: str
    public_url: str
    host_path: Callable[[str], str] = no_host_path
    compares_paths: bool = True
    chores: set[asyncio.Task[None]] = field(default_factory=set)
    actor: Principal = SERVER
    passwords: Passwords = field(default_factory=Passwords)
    attempts: SignInAttempts = field(default_factory=SignInAttempts)
    oidc: OidcService | None = None
    local_sign_in: bool = True

    def record(
        self,
        tx: Tx,
        action: AuditAction,
        subject: AuditSubject,
        changes: tuple[FieldChange, ...] = (),
        note: str = "",
    ) -> None:
        """Record in the audit what `actor` changes, in the transaction that changes it.

        A change of fields that leaves all as they were is not recorded.
        """
        if action.changes_fields and not changes:
            return
        tx.record_audit(audit_entry(self.actor, self.clock(), action, subject, changes, note))

    def webhook_url(self, secret: str) -> str:
        """Return the URL that senders call, which ends with the secret."""
        return f"{self.public_url}/api/webhook/{secret}"
