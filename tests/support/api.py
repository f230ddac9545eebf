"""The API over a real SQLite store, with an engine that is a memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
from starlette.types import ASGIApp

from tagboat.api.services import ApiServices
from tagboat.core.catalog import Registry
from tagboat.core.counters import Counters
from tagboat.core.errors import NotAnImageError, RegistryError, RegistryNotFoundError
from tagboat.core.host_access import no_host_path
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef, parse_digest
from tagboat.core.ingress import Ingress
from tagboat.core.keeping import Disk
from tagboat.core.polling import PollReport
from tagboat.core.principal import SERVER, Principal, PrincipalKind
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.traffic import Traffic
from tagboat.front import build_front
from tagboat.http.client_address import ClientAddress
from tagboat.http.event_hub import EventHub
from tagboat.http.identification import Authenticator, FixedTokens, fixed_principal
from tagboat.http.own_hosts import OwnHosts
from tagboat.http.session_cookie import SessionCookie
from tagboat.ingress.none import NoIngress
from tagboat.operations.operations import Operations
from tagboat.operations.queries.metrics import count_end
from tagboat.operations.services import Check, OidcService, OperationServices
from tagboat.operations.sign_in_attempts import SignInAttempts
from tagboat.registry.docker_config import login_for
from tagboat.runtime.memory import MemoryRuntime
from tagboat.store import SqlStore, open_store
from tagboat.webhook import WebhookHandler, regenerate_webhook_secret
from tests.support.asgi import Caller

TOKEN = "the-token"
OTHER_TOKEN = "the-other-token"
VERSION = "1.2.3"
BASE_DOMAIN = "apps.example.com"
PUBLIC_URL = "https://tagboat.example.com"
ADMIN = fixed_principal(PrincipalKind.ADMIN_TOKEN, "TAGBOAT_ADMIN_TOKEN")
UNSAID = {
    "secrets": [],
    "secret_files": [],
    "volumes": {},
    "memory": 0,
    "cpus": 0.0,
    "pids": 0,
    "command": [],
    "user": "",
    "networks": [],
    "labels": {},
    "image_labels": None,
    "stop_signal": "",
    "stop_timeout_s": None,
    "release_command": [],
    "release_timeout_s": None,
    "entrypoint": [],
    "extra_hosts": {},
    "shm_size": 0,
    "init": None,
    "tmpfs": {},
    "read_only": None,
    "cap_add": [],
    "devices": [],
    "binds": [],
    "publish": [],
}
"""How an app is run where nobody has said how."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A check of a registry."""

    name: str
    ok: bool
    detail: str


@dataclass(slots=True)
class Polled:
    """A poller that answers what it is told to."""

    report: PollReport = field(
        default_factory=lambda: PollReport(first_poll=True, new_tags=("v1",))
    )
    due: datetime | None = None
    asked: list[str] = field(default_factory=list)
    actors: list[Principal] = field(default_factory=list)

    async def poll_now(self, project_id: str, actor: Principal = SERVER) -> PollReport:
        """Note who was asked about."""
        self.asked.append(project_id)
        self.actors.append(actor)
        return self.report

    def next_at(self) -> datetime | None:
        """The next poll."""
        return self.due

    async def settle(self) -> None:
        """It is settled."""


@dataclass(slots=True)
class Registries:
    """What registries have, whichever is asked; `error` is raised instead where there is one.
    `asked` is what for.

    `examined` are the images with which one was tested.
    """

    images: tuple[ImageName, ...] = (ImageName("git.example.com", "acme/app"),)
    whole: bool = True
    tags: tuple[str, ...] = ("v1", "v2")
    error: RegistryError | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    examined: list[ImageName | None] = field(default_factory=list)
    digests: dict[str, Digest] = field(default_factory=dict)

    async def list_images(self, registry: Registry) -> "Registries":
        """The images, as they stand."""
        self.asked.append(("images", registry.name))
        if self.error:
            raise self.error
        return self

    async def list_tags(self, image: ImageName, registry: Registry | None) -> Sequence[str]:
        """The tags of every image."""
        self.asked.append((str(image), registry.name if registry else None))
        if self.error:
            raise self.error
        return self.tags

    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest:
        """The digest of the tag, else the one asked for: it is there."""
        self.asked.append((f"{image}@{tag}", registry.name if registry else None))
        if self.error:
            raise self.error
        return self.digests.get(tag) or parse_digest(tag)


@dataclass(slots=True)
class Ways:
    """An ingress that says what is wrong with it. A real one need not run for that."""

    trouble: str | None = None
    asked: int = 0

    async def ask(self) -> str | None:
        """What is wrong."""
        self.asked += 1
        return self.trouble


class NoInspector:
    """Knows no image."""

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo:
        """Never found."""
        raise RegistryNotFoundError(f"there is no {image_ref}")

    async def inspect_at_registry(
        self, image_ref: ImageRef, _registry: Registry | None
    ) -> ImageInfo:
        """Never found there either."""
        return await self.inspect_image(image_ref)


@dataclass(slots=True)
class Inspected:
    """Knows the images in `found`, by name and tag, and no other."""

    found: dict[str, ImageInfo | NotAnImageError] = field(default_factory=dict)

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo:
        """What it is told to say."""
        found = self.found.get(str(image_ref), RegistryNotFoundError(f"there is no {image_ref}"))
        if isinstance(found, RegistryError):
            raise found
        return found

    async def inspect_at_registry(
        self, image_ref: ImageRef, _registry: Registry | None
    ) -> ImageInfo:
        """The same."""
        return await self.inspect_image(image_ref)


@dataclass(slots=True)
class Api:
    """The application and what it stands on. `abandoned` are the stages that the worker was told
    to let go.
    """

    store: SqlStore
    engine: MemoryRuntime
    polls: Polled
    counters: Counters
    app: ASGIApp
    events: EventHub
    caller: Caller
    abandoned: list[str]
    checks: list[Looked]
    registries: Registries
    ways: Ways
    inspector: Inspected
    end_streams: Callable[[], None]
    operations: Operations
    traffic: Traffic

    @property
    def anonymous(self) -> Caller:
        """Somebody without a token."""
        return Caller(self.app)


@contextmanager
def running_api(
    data_dir: Path,
    ingress: Ingress | None = None,
    host_path: Callable[[str], str] = no_host_path,
    oidc: OidcService | None = None,
    *,
    local_sign_in: bool = True,
    database_url: str | None = None,
) -> Iterator[Api]:
    """Build everything in `data_dir`; without an `ingress` there is none, and its health is
    nobody's concern. `oidc` is the OpenID provider to sign in at. Without a
    `database_url` the database is SQLite.
    """
    store, engine, polls, counters = (
        open_store(database_url, data_dir),
        MemoryRuntime(),
        Polled(),
        Counters(),
    )
    abandoned: list[str] = []
    registries, ways = Registries(), Ways()
    checks = [
        Looked("url", ok=True, detail="fine"),
        Looked("login", ok=False, detail="the password was refused"),
    ]

    async def abandon(stages: Iterable[str]) -> None:
        abandoned.extend(stages)

    async def disks() -> Sequence[Disk]:
        return [
            Disk("data", str(data_dir), 5 << 30, 10 << 30),
            Disk("engine", "/var/lib/docker", 1 << 20, 10 << 30),
        ]

    async def examine(_registry: Registry, image: ImageName | None) -> Sequence[Check]:
        registries.examined.append(image)
        return checks

    inspector = Inspected()

    async def inspect(image: ImageRef, _registry: Registry | None) -> ImageInfo:
        return await inspector.inspect_image(image)

    deployer = DeployQueue(lambda: datetime.now(UTC))
    addresses = ClientAddress(["127.0.0.0/8"])
    store.on_deploy_end(partial(count_end, counters))
    webhook = WebhookHandler(store, deployer, inspector, addresses=addresses, counters=counters)
    events = EventHub(store)
    traffic = Traffic(store, ingress or NoIngress(), BASE_DOMAIN)
    operations = Operations(
        OperationServices(
            store=store,
            deployer=deployer,
            engine=engine,
            polls=polls,
            ingress=ingress or NoIngress(),
            examine=examine,
            list_images=registries.list_images,
            list_tags=registries.list_tags,
            resolve=registries.resolve,
            inspect=inspect,
            login_for=login_for,
            new_secret=partial(regenerate_webhook_secret, store),
            redeliver=webhook.redeliver,
            explain=webhook.explain,
            abandon=abandon,
            ingress_trouble=ways.ask if ingress else None,
            disks=disks,
            code_classes=traffic.code_classes,
            clock=lambda: datetime.now(UTC),
            counters=counters,
            base_domain=BASE_DOMAIN,
            public_url=PUBLIC_URL,
            host_path=host_path,
            oidc=oidc,
            local_sign_in=local_sign_in,
            # Else a slow machine makes attempts that are too many look like patient ones.
            attempts=SignInAttempts(lambda: 0.0),
        )
    )
    services = ApiServices(
        operations=operations,
        store=store,
        webhook=webhook.router(),
        events=events,
        authenticator=Authenticator(
            FixedTokens((token, ADMIN) for token in (TOKEN, OTHER_TOKEN)),
            operations.tokens.find,
            operations.sessions.find,
            SessionCookie(secure=True),
            addresses,
        ),
        hosts=OwnHosts(PUBLIC_URL, frozenset(), BASE_DOMAIN),
        public_url=PUBLIC_URL,
        version=VERSION,
    )
    app = build_front(services, lambda: datetime.now(UTC), _log_call)
    try:
        yield Api(
            store,
            engine,
            polls,
            counters,
            app,
            events,
            Caller(app, TOKEN),
            abandoned,
            checks,
            registries,
            ways,
            inspector,
            services.end_streams,
            operations,
            traffic,
        )
    finally:
        store.close()


def _log_call(
    method: str, path: str, status: int, milliseconds: float, client: str, request_id: str
) -> None:
    structlog.get_logger("tagboat.http").info(
        "call",
        method=method,
        path=path,
        status=status,
        ms=milliseconds,
        client=client,
        request_id=request_id,
    )
