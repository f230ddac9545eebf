"""The removal of an installation: all its traces, found first, and then removed."""

import asyncio
import errno
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tagboat.core.errors import (
    ConflictError,
    EngineError,
    SettingsError,
    StoreUnavailableError,
)
from tagboat.core.runtime import Runtime
from tagboat.core.values import replace
from tagboat.deploy.edges import GRACE_S
from tagboat.deploy.presence import Sighting
from tagboat.ingress.process import our_processes
from tagboat.ingress.run_lock import end_ingress, require_runner_here, run_lock_holder
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
from tagboat.store.rotation import KEY_FILE
from tagboat.store.snapshot import DatabasePlace, matching_key, read_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class UninstallPlan:
    """All traces that were found.

    `record` is None where no server has used the data directory, or its database cannot be read.
    `engine` is None where that is so, or where the engine could not be asked: then `why_not` says
    why, unless there was no server. `haproxy` are processes,
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
        # Each command that locks the directory makes these two; an empty folder is a mount point.
        held = [
            path
            for path in self.entries
            if path.name not in {"lock", "replica"} and (not path.is_dir() or any(path.iterdir()))
        ]
        return not (self.haproxy or self.runner or held or self.login)

    def require_removable(self, *, without_engine: bool) -> None:
        """Raise TagboatError where nothing must be removed now.

        With `without_engine`, what an engine has that does not answer may stay there.
        """
        require_runner_here(_ingress_folder(self.data_dir))
        if self.record is not None and self.record.others:
            last = min(one.age_s for one in self.record.others)
            raise ConflictError(
                f"others use the same database ({', '.join(other_words(self.record.others))}), and"
                " their apps would be removed. Stop all servers and edges on it first; if they are"
                f" stopped, try again in {GRACE_S - last:.0f} s. To remove this server alone, stop"
                f" it and delete {self.data_dir}"
            )
        if self.why_not and not without_engine:
            raise ConflictError(
                f"{self.why_not}. Without that, what Tagboat has on the engine would stay there, "
                "and the record of it be deleted. Mend that first, or use --without-engine"
            )


async def plan_uninstall(
    place: DatabasePlace, runtime: Runtime, login: Path | None
) -> UninstallPlan:
    """Find all traces; nothing is changed. `login` is the file of a login at this server.

    Raises SettingsError where the record is of another release.
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
    # Without these two no server has used it, such as that of `tagboat ingress run` alone.
    is_used = any(place.url or path.name in {DATABASE_FILE, KEY_FILE} for path in entries)
    return await _with_engine(plan, place, runtime) if is_used else plan


async def carry_out(
    plan: UninstallPlan, runtime: Runtime, *, volumes: bool, without_engine: bool = False
) -> RemovedTraces:
    """Remove all traces of the plan, and with `volumes` the data of the apps.

    The caller holds the lock of the data directory. If something on the engine cannot be removed,
    the data directory stays, by whose record it is found again. Raises as `require_removable`.
    """
    plan.require_removable(without_engine=without_engine)
    await asyncio.to_thread(end_ingress, _ingress_folder(plan.data_dir))
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
    if place.url is None and not (place.data_dir / DATABASE_FILE).exists():
        return replace(plan, why_not=f"{DATABASE_FILE} is missing in {place.data_dir}")
    record = None
    try:
        facts = read_facts(place)
        record = InstallationRecord(installation=facts.installation) if facts.installation else None
        if facts.revision is None:
            return replace(plan, why_not="the database has no tables")
        key = matching_key(place.data_dir, facts)
        # Not migrated for that: a plan changes nothing.
        if facts.revision == HEAD:
            record = read_installation(place, key, facts.installation)
            engine = await find_traces(runtime, place, key, record)
            return replace(plan, record=record, engine=engine)
    except (EngineError, SettingsError, StoreUnavailableError) as error:
        return replace(plan, record=record, why_not=str(error))
    raise SettingsError(
        f"the database is of another release (schema {facts.revision}; this one has {HEAD}), "
        "and only that release knows what it has made: uninstall with it"
    )


def other_words(others: Sequence[Sighting]) -> list[str]:
    """Return for each other server, or edge, its id and when it was last seen."""
    return [f"server {one.id[:8]}, seen {one.age_s:.0f} s ago" for one in others]


def _remove_files(plan: UninstallPlan) -> tuple[str, ...]:
    """Remove the files of the plan; return failures in words."""
    failures: list[str] = []
    # The record late, by which this can be done again; the lock last: it keeps a server away.
    last = (KEY_FILE, DATABASE_FILE, "lock")
    for path in sorted(plan.entries, key=lambda one: (one.name in last, last[-1] == one.name)):
        if failures and path.name in last:
            break
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            # A mount point, such as a container's, is emptied and stays.
            if error.errno == errno.EBUSY and path.is_dir() and not any(path.iterdir()):
                continue
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
