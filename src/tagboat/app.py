"""The one place that builds and joins everything, in the order in which it starts and stops."""

import asyncio
import contextlib
import gc
import os
import resource
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog
import uvloop
from msgspec import Struct

from tagboat import __version__
from tagboat.api.services import ApiServices
from tagboat.callers import (
    build_authenticator,
    build_oidc,
    end_sessions_with_passwords,
    offer_setup,
    own_hosts,
)
from tagboat.core.counters import Counters
from tagboat.data_dir import DataDir, open_data_dir
from tagboat.deploy.edges import Edges
from tagboat.deploy.engine_identity import claim_engine, once_claimed
from tagboat.deploy.history import keep_forgetting
from tagboat.deploy.images import keep_tidying
from tagboat.deploy.logins import keep_logins_fresh
from tagboat.deploy.networks import keep_networks_tidy
from tagboat.deploy.presence import keep_present
from tagboat.deploy.queue import DeployQueue
from tagboat.deploy.reconcile import run_reconciler
from tagboat.deploy.removal import Removal
from tagboat.deploy.services import DeployServices
from tagboat.deploy.traffic import Traffic
from tagboat.deploy.vigil import keep_vigil
from tagboat.deploy.worker import Worker
from tagboat.disks import look_at_disks
from tagboat.engine_choice import RegistrySource, choose_engine
from tagboat.first_start import open_backed_up, patiently, prepare, set_up_once
from tagboat.front import build_front
from tagboat.host_paths import host_paths
from tagboat.http.client_address import ClientAddress
from tagboat.http.event_hub import EventHub
from tagboat.http.server import HttpServer, most_connections
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.none import NoIngress
from tagboat.ingress_choice import choose_ingress, require_two_addresses
from tagboat.installation.claim import claim_installation
from tagboat.intake.admit import Admission
from tagboat.intake.inspector import EngineThenRegistry
from tagboat.intake.prune import keep_pruning
from tagboat.listener import bind_listener
from tagboat.logs import LogCall
from tagboat.loops import keep_going
from tagboat.operations.image_space import keep_measuring
from tagboat.operations.operations import Operations
from tagboat.operations.queries.metrics import count_end
from tagboat.operations.services import OidcService, OperationServices
from tagboat.polling.poller import Poller
from tagboat.process import run_process, stop_signals
from tagboat.registry.client import RegistryClient
from tagboat.registry.docker_config import login_for
from tagboat.registry.login_pin import pin_login_service
from tagboat.registry.password_command import bare_environment
from tagboat.registry.passwords import CommandedPasswords
from tagboat.registry.renewing_client import RenewingClient
from tagboat.runtime.engines import Engines
from tagboat.settings import IN_THE_CLEAR, Settings
from tagboat.store import SqlStore
from tagboat.webhook import WebhookHandler, regenerate_webhook_secret

if TYPE_CHECKING:
    from tagboat.runtime.swarm.runtime import SwarmRuntime

DEPLOYS_GRACE_S = 4.0
COLLECT_AFTER = 10_000
"""Objects created and not yet dropped at which the garbage collector runs.

An open call holds some forty. At Python's default of 700, a few dozen calls at a time would start
it again and again, and it would find nothing.
"""

log = structlog.get_logger("tagboat.app")


def serve(settings: Settings) -> int:
    """Run the server until one of `stop_signals`; return 0, or 1 if it could not start or go on."""

    def work(log_call: LogCall) -> int:
        require_two_addresses(settings)
        # Lock and port first: a second server must not touch the database of the one that runs.
        with open_data_dir(settings.data_dir) as data_dir, bind_listener(settings) as listener:
            prepare(settings)
            return uvloop.run(_serve(settings, data_dir, listener, log_call))

    return run_process(settings, work)


async def _serve(
    settings: Settings, data_dir: DataDir, listener: socket.socket, log_call: LogCall
) -> int:
    store = open_backed_up(settings)
    try:
        async with _building(settings, data_dir, store, log_call) as built:
            return await _serve_until_stopped(settings, data_dir, listener, built)
    finally:
        store.close()


class _Built(Struct, frozen=True):
    """The parts that run: the server that answers, and the background work."""

    server: HttpServer
    worker: Worker
    poller: Poller
    parts: DeployServices
    ingress: HaproxyIngress | NoIngress
    operations: Operations
    token: str
    replica: str
    claim_engine: Callable[[], Awaitable[bool]]


class Adapters(Struct, frozen=True):
    """The implementations of ports, and the values that all rooms share."""

    store: SqlStore
    engine: "Engines | SwarmRuntime"
    registry: RenewingClient
    ingress: HaproxyIngress | NoIngress
    traffic: Traffic
    queue: DeployQueue
    counters: Counters
    clock: Callable[[], datetime]
    host_path: Callable[[str], str]


def build_adapters(settings: Settings, store: SqlStore, replica: str) -> Adapters:
    """Build the implementations that the settings ask for; none is connected yet."""
    edges = None if store.exclusive else Edges(store, replica)
    clock, ingress = partial(datetime.now, UTC), choose_ingress(settings)
    passwords = CommandedPasswords(bare_environment(os.environ), clock)
    counters = Counters()
    store.on_deploy_end(partial(count_end, counters))
    client = RegistryClient(proxies=settings.proxies, pin=partial(pin_login_service, store))
    registry = RenewingClient(client, passwords)
    return Adapters(
        store=store,
        engine=choose_engine(settings, RegistrySource(store, registry), passwords),
        registry=registry,
        ingress=ingress,
        traffic=Traffic(store, ingress, settings.base_domain, edges),
        queue=DeployQueue(clock),
        counters=counters,
        clock=clock,
        host_path=host_paths(settings.bind_roots, settings.docker.url, settings.data_dir).where,
    )


def deploy_services(settings: Settings, adapters: Adapters, installation: str) -> DeployServices:
    """Return what deploys need."""
    return DeployServices(
        store=adapters.store,
        runtime=adapters.engine,
        tag_source=adapters.registry,
        clock=adapters.clock,
        installation=installation,
        counters=adapters.counters,
        traffic=adapters.traffic,
        base_domain=settings.base_domain,
        front_proto=settings.public_url.partition(":")[0],
        host_path=adapters.host_path,
    )


def operation_services(
    settings: Settings,
    adapters: Adapters,
    worker: Worker,
    poller: Poller,
    webhook: WebhookHandler,
    oidc: OidcService | None,
) -> OperationServices:
    """Return what operations need."""
    engine, registry, ingress = adapters.engine, adapters.registry, adapters.ingress
    has_trouble = isinstance(ingress, HaproxyIngress) or ingress.why
    is_local = settings.docker.url.startswith("unix://") and not engine.is_cluster
    return OperationServices(
        store=adapters.store,
        deployer=adapters.queue,
        engine=engine,
        polls=poller,
        ingress=ingress,
        examine=partial(registry.examine, log_in=engine.log_in),
        list_images=registry.list_images,
        list_tags=registry.list_tags,
        resolve=registry.resolve,
        inspect=registry.inspect,
        login_for=login_for,
        new_secret=partial(regenerate_webhook_secret, adapters.store),
        redeliver=webhook.redeliver,
        explain=webhook.explain,
        abandon=worker.abandon,
        ingress_trouble=ingress.trouble if has_trouble else None,
        disks=partial(look_at_disks, settings.data_dir, engine, is_local=is_local),
        code_classes=adapters.traffic.code_classes,
        clock=adapters.clock,
        counters=adapters.counters,
        base_domain=settings.base_domain,
        public_url=settings.public_url,
        host_path=adapters.host_path,
        oidc=oidc,
        local_sign_in=settings.local_sign_in,
    )


@contextlib.asynccontextmanager
async def _building(
    settings: Settings, data_dir: DataDir, store: SqlStore, log_call: LogCall
) -> AsyncIterator[_Built]:
    if settings.docker.is_exposed:
        log.warning(IN_THE_CLEAR, action="start", engine=settings.docker.url)
    installation = await patiently(store, partial(set_up_once, settings, store))
    replica = data_dir.replica
    # Servers that share a database share the installation, and take turns.
    database = await patiently(store, store.database_id)
    claimed = claim_installation(installation, database, replica)
    adapters = build_adapters(settings, store, replica)
    engine, registry, queue = adapters.engine, adapters.registry, adapters.queue
    clock, counters = adapters.clock, adapters.counters
    polled = registry.rate_limited_view()
    parts = deploy_services(settings, adapters, installation)
    worker = Worker(parts, replica)
    poller = Poller(
        store,
        lambda tx, now: Admission(tx, queue, now),
        registry,
        clock=clock,
        holder=replica,
        counters=counters,
        scheduled_source=polled,
    )
    addresses = ClientAddress(settings.ingress_trusted)
    webhook = WebhookHandler(
        store,
        queue,
        EngineThenRegistry(engine, registry, store, checks=polled),
        clock=clock,
        counters=counters,
        addresses=addresses,
    )
    room = most_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    # New at each start: one that leaked with an earlier process opens nothing.
    token = secrets.token_urlsafe(32)
    oidc = build_oidc(settings)
    operations = Operations(operation_services(settings, adapters, worker, poller, webhook, oidc))
    services = ApiServices(
        operations=operations,
        store=store,
        webhook=webhook.router(),
        events=EventHub(store),
        authenticator=build_authenticator(settings, operations, addresses, token),
        hosts=own_hosts(settings),
        public_url=settings.public_url,
        version=__version__,
    )
    try:
        server = HttpServer(build_front(services, clock, log_call), room)
        server.on_stop = services.end_streams
        claim, ingress = partial(claim_engine, store, engine, settings.engine_id), adapters.ingress
        yield _Built(server, worker, poller, parts, ingress, operations, token, replica, claim)
    finally:
        claimed.close()
        if oidc:
            await oidc.provider.close()
        await registry.close()
        await engine.close()


async def _serve_until_stopped(
    settings: Settings, data_dir: DataDir, listener: socket.socket, built: _Built
) -> int:
    """Answer and work until stopped; then finish requests, and finish or park deploys."""
    server = built.server
    store = built.parts.store
    is_known = await patiently(store, built.claim_engine)
    if isinstance(built.ingress, HaproxyIngress):
        await built.ingress.start()
    # Last: a start that fails is one line, without a link that leads nowhere.
    begin = offer_setup if settings.local_sign_in else end_sessions_with_passwords
    await patiently(store, partial(begin, built.operations))
    loop = asyncio.get_running_loop()
    stopped_at = float("inf")

    def stop() -> None:
        nonlocal stopped_at
        stopped_at = min(stopped_at, loop.time())
        server.stop()

    for signal_number in stop_signals():
        loop.add_signal_handler(signal_number, stop)
    work = [asyncio.create_task(keep_going(name, part)) for name, part in _work(built, is_known)]
    for task in work:
        task.add_done_callback(server.stop_after_fault)
    server.on_ready = partial(_ready, settings, data_dir, built.token)
    try:
        await server.serve([listener])
    finally:
        # First: no command must begin with a server that is going away.
        data_dir.withdraw_server()
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        # Last, when nothing can wake it any more. What it has to leave, the next start goes on
        # with.
        took_s = max(0.0, loop.time() - stopped_at)
        await built.worker.close(max(0.0, DEPLOYS_GRACE_S - took_s))
    log.info("stopped", action="stop")
    return 1 if server.faulty else 0


def _work(built: _Built, is_known: bool) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Yield the background work, by name; without a known engine, what uses that waits."""
    parts = built.parts
    yield "present", partial(keep_present, parts.store, built.replica)
    networks = partial(keep_networks_tidy, parts.store, parts.runtime, parts.installation)
    on_engine: dict[str, Callable[[], Awaitable[None]]] = {
        "work": built.worker.run,
        "sweep": partial(run_reconciler, parts, built.replica),
        "vigil": partial(keep_vigil, parts),
        "tidy": partial(keep_tidying, parts),
        "networks": networks,
        "logins": partial(keep_logins_fresh, parts.runtime, parts.installation),
        "remove": partial(_go_on_removing, built),
    }
    for name, work in on_engine.items():
        yield name, work if is_known else partial(once_claimed, built.claim_engine, work)
    yield "poll", built.poller.run
    yield "measure", partial(keep_measuring, built.operations.machine, parts.store, parts.counters)
    yield "forget", partial(keep_forgetting, built.parts.store, built.parts.clock)
    yield "prune", partial(keep_pruning, built.parts.store, built.parts.clock)
    if built.ingress.routes_traffic:
        yield "routes", built.parts.traffic.run
    if isinstance(built.ingress, HaproxyIngress):
        yield "ingress", built.ingress.run


async def _go_on_removing(built: _Built) -> None:
    """Finish, once, the deletions that a crash cut off."""
    parts = built.parts
    await Removal(parts.store, parts.runtime, built.worker.abandon, parts.clock).go_on()
    # A background part that ends counts as broken down.
    await asyncio.Event().wait()


def _ready(settings: Settings, data_dir: DataDir, token: str) -> None:
    # Before the line: whoever waits for that may give a command at once.
    data_dir.announce_server(settings.listen_url, token)
    # What exists by now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    print(f"tagboat ready on {settings.listen_url}", flush=True)  # noqa: T201 - the contract's line
