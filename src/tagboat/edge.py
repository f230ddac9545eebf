"""An edge: the ingress as a process of its own, which follows the routes that servers record.

It has no API, no engine and no secrets, and writes nothing but its row of `edges`.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
import uvloop

from tagboat.core.errors import SettingsError, StoreUnavailableError
from tagboat.data_dir import DataDir, open_data_dir
from tagboat.deploy.edges import Edges
from tagboat.deploy.traffic import Traffic
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress_choice import choose_ingress
from tagboat.loops import keep_going, next_to
from tagboat.process import run_process, stop_signals
from tagboat.settings import IngressKind, Settings
from tagboat.store.edge_store import EdgeStore

SCHEMA_LOOK_S = 1.0

log = structlog.get_logger("tagboat.edge")


def run_edge(settings: Settings, ready: Callable[[], None]) -> int:
    """Run an edge until one of `stop_signals`; return 0, or 1 if it could not start or go on.

    `ready` is called once HAProxy follows the routes on record. HAProxy keeps running at the end.
    """

    def work(_: object) -> int:
        url = _usable_database(settings)
        with open_data_dir(settings.data_dir) as data_dir:
            ingress = choose_ingress(settings)
            if not isinstance(ingress, HaproxyIngress):
                raise SettingsError(ingress.why or settings.why_no_ingress)
            with contextlib.closing(EdgeStore(url)) as store:
                return uvloop.run(_run_until_stopped(settings, data_dir, store, ingress, ready))

    return run_process(settings, work)


def _usable_database(settings: Settings) -> str:
    """Return the URL of the database. Raises SettingsError for settings that no edge can have."""
    if settings.ingress is not IngressKind.HAPROXY:
        # Before anything else: `serve` would end a HAProxy that still runs.
        raise SettingsError(
            settings.why_no_ingress
            if settings.ingress_is_missing
            else f"TAGBOAT_INGRESS={settings.ingress} makes no sense for 'tagboat edge', which is "
            "the ingress, by HAProxy: leave it out, or set TAGBOAT_INGRESS=haproxy"
        )
    if settings.database_url is None:
        raise SettingsError(
            "'tagboat edge' follows servers by PostgreSQL: set TAGBOAT_DATABASE_URL to the database"
            " of the servers. With SQLite the one server has its ingress built in ('tagboat serve')"
        )
    return settings.database_url


async def _run_until_stopped(
    settings: Settings,
    data_dir: DataDir,
    store: EdgeStore,
    ingress: HaproxyIngress,
    ready: Callable[[], None],
) -> int:
    # A stop may come at any moment, while the database is waited for too.
    work = asyncio.create_task(_follow_servers(settings, data_dir, store, ingress, ready))
    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    log.info("stopped", action="stop")
    return 0


async def _follow_servers(
    settings: Settings,
    data_dir: DataDir,
    store: EdgeStore,
    ingress: HaproxyIngress,
    ready: Callable[[], None],
) -> None:
    """Follow the routes on record; until cancelled.

    With routes of an earlier run, HAProxy serves these before the database answers.
    """
    traffic = Traffic(
        store, ingress, settings.base_domain, edges=Edges(store, own=data_dir.replica)
    )
    is_ready = False

    def applied() -> None:
        nonlocal is_ready
        if not is_ready:
            is_ready = True
            place = "{}:{}".format(*settings.ingress_listen)
            print(f"tagboat edge {data_dir.replica[:8]} ready on http://{place}", flush=True)  # noqa: T201 - as `serve` has it
            ready()

    async def follow() -> None:
        await traffic.run(applied)

    if not ingress.has_routes:
        # Every answer would be a 404.
        await _until_schema_fits(store)
    await ingress.start()
    async with next_to(keep_going("ingress", ingress.run)):
        await _until_schema_fits(store)
        await keep_going("routes", follow)


async def _until_schema_fits(store: EdgeStore) -> None:
    """Return once the database can be used. Raises SettingsError if a newer release has made it."""
    said = ""
    while True:
        try:
            await store.require_schema()
        except StoreUnavailableError as error:
            # Once: it may last.
            if str(error) != said:
                log.warning("waiting for the database", action="start", reason=str(error))
            said = str(error)
            await asyncio.sleep(SCHEMA_LOOK_S)
        else:
            return
