"""The removal of an installation: all its traces, found first, and then removed."""

import asyncio
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from tagboat.core.errors import EngineError, SettingsError
from tagboat.core.runtime import Runtime
from tagboat.ingress.process import end_haproxy, our_processes
from tagboat.ingress.run_lock import end_runner, run_lock_holder
from tagboat.installation.layout import own_entries
from tagboat.installation.traces import (
    EngineTraces,
    InstallationRecord,
    RemovedTraces,
    find_traces,
    read_installation,
    remove_traces,
)
from tagboat.store.database import DATABASE_FILE, HEAD
from tagboat.store.snapshot import DatabasePlace, matching_key, read_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class UninstallPlan:
    """All traces that were found.

    `record` is None where no server has used the data directory. `engine` is None where that is so,
    or where the engine could not be asked: then `why_not` says why. `haproxy` are processes,
    `runner` is that of `tagboat ingress run`, None without one. `entries` are in the data
    directory; others have put `foreign_entries` there. `login` is the file of a login at this
    server, None without one.
    """

    data_dir: Path
    record: InstallationRecord | None = None
    engine: EngineTraces | None = None
    why_not: str = ""
    haproxy: tuple[int, ...] = ()
    runner: int | None = None
    entries: tuple[Path, ...] = ()
    foreign_entries: tuple[Path, ...] = ()
    login: Path | None = None

    @property
    def is_empty(self) -> bool:
        """True where there is nothing to remove."""
        return not (self.haproxy or self.runner or self.entries or self.login)


async def plan_uninstall(
    place: DatabasePlace, runtime: Runtime, login: Path | None
) -> UninstallPlan:
    """Find all traces; nothing is changed. `login` is the file of a login at this server.

    Raises SettingsError where the record is of another release, and StoreUnavailableError where it
    cannot be read.
    """
    ingress = _ingress_folder(place.data_dir)
    entries = own_entries(place.data_dir)
    there = list(place.data_dir.iterdir()) if place.data_dir.exists() else []
    plan = UninstallPlan(
        data_dir=place.data_dir,
        haproxy=tuple(our_processes(ingress)),
        runner=run_lock_holder(ingress),
        entries=tuple(entries),
        foreign_entries=tuple(sorted(set(there) - set(entries))),
        login=login,
    )
    is_used = place.url is not None or (place.data_dir / DATABASE_FILE).exists()
    return await _with_engine(plan, place, runtime) if entries and is_used else plan


async def carry_out(plan: UninstallPlan, runtime: Runtime, *, volumes: bool) -> RemovedTraces:
    """Remove all traces of the plan, and with `volumes` the data of the apps.

    The caller holds the lock of the data directory. If something on the engine cannot be removed,
    the data directory stays, by whose record it is found again.
    """
    ingress = _ingress_folder(plan.data_dir)
    if plan.runner:
        await asyncio.to_thread(end_runner, plan.runner, ingress)
    # After its runner, which would start it again.
    await asyncio.to_thread(end_haproxy, ingress)
    # Without an answer of the engine, what it has stays: the person was told so before.
    removed = RemovedTraces()
    if plan.engine is not None and plan.record is not None:
        installation = plan.record.installation
        removed = await remove_traces(runtime, installation, plan.engine, volumes=volumes)
    # The record is needed to find again what could not be removed.
    if removed.failures:
        return removed
    return RemovedTraces(_remove_files(plan), removed.in_use)


async def _with_engine(
    plan: UninstallPlan, place: DatabasePlace, runtime: Runtime
) -> UninstallPlan:
    """Return the plan with the record, and with the traces on the engine if that answers."""
    facts = read_facts(place)
    # Not migrated for that: a plan changes nothing.
    if facts.revision != HEAD:
        raise SettingsError(
            f"the database is of another release (schema {facts.revision}; this one has {HEAD}), "
            "and only that release knows what it has made: uninstall with it"
        )
    key = matching_key(place.data_dir, facts)
    record = read_installation(place, key, facts.installation)
    engine, why_not = None, ""
    try:
        engine = await find_traces(runtime, place, key, record)
    except EngineError as error:
        why_not = str(error)
    return replace(plan, record=record, engine=engine, why_not=why_not)


def _remove_files(plan: UninstallPlan) -> tuple[str, ...]:
    """Remove the files of the plan; return failures in words."""
    failures = []
    # The lock last: it keeps a server from starting.
    for path in sorted(plan.entries, key=lambda one: one.name == "lock"):
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            failures.append(f"{error.filename or path} cannot be removed: {error.strerror}")
    if plan.login is not None:
        plan.login.unlink(missing_ok=True)
    try:
        if not failures and not plan.foreign_entries:
            plan.data_dir.rmdir()
    except OSError:
        # The directory of a service, or a mounted disk: empty, it is no trace.
        pass
    return tuple(failures)


def _ingress_folder(data_dir: Path) -> Path:
    return (data_dir / "ingress").resolve()
