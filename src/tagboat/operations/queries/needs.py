"""Everything that needs a person, as one list."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from tagboat.core.catalog import Project, Stage
from tagboat.core.delivery import Named
from tagboat.core.deploy import Deploy, Instance, InstanceState
from tagboat.core.errors import TagboatError
from tagboat.core.excerpt import as_sentence
from tagboat.core.health import Vitals
from tagboat.core.heard import Silence
from tagboat.core.keeping import Disk
from tagboat.core.page_port import WaitingPushes
from tagboat.core.ports import Reader
from tagboat.core.shell_words import shell_words
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.queries.connect import HeardRegistry, silent_registries
from tagboat.operations.queries.deliveries import senders_needing_you
from tagboat.operations.services import OperationServices

FAILED_WITHIN = timedelta(hours=24)
MOST_OF_A_KIND = 50
"""The most needs of one kind that are listed."""
DISKS_WITHIN_S = 0.5


class NeedKind(StrEnum):
    """The kind of a need."""

    FAILED = "failed"
    UNHEALTHY = "unhealthy"
    HELD = "held"
    WAITING = "waiting"
    SENDER = "sender"
    SILENT = "silent"
    REGISTRY = "registry"
    DISK = "disk"


class NeedTarget(StrEnum):
    """The kind of page where a need can be dealt with."""

    DEPLOY = "deploy"
    STAGE = "stage"
    DELIVERY = "delivery"
    REGISTRY = "registry"
    DISK = "disk"


class Need(Struct, frozen=True, kw_only=True):
    """A thing that needs a person.

    `sentence` says what is wrong, without project and stage; `todo` what to do, as a command or in
    words. `since` is None where that is not known. `target_id` is the id that belongs to `target`:
    of a deploy, stage, delivery or registry (a host if it is not configured), the name of a disk.
    """

    kind: NeedKind
    project: Named | None = None
    stage: Named | None = None
    sentence: str
    since: datetime | None = None
    todo: str
    target: NeedTarget
    target_id: str


class Needs(Struct, frozen=True):
    """The `first` things that need a person; `count` is the number of all of them."""

    first: tuple[Need, ...]
    count: int


class NeedQueries(Struct, frozen=True):
    """Reads of what needs a person."""

    services: OperationServices

    async def read(self, only: StageFilter, most: int | None = None) -> Needs:
        """Return what needs a person: deploys and instances first, then waiting pushes, the rest.

        Of a project or stage only with a filter; what belongs to none is left out then. With `most`
        no more than the first ones are made.
        """
        now = self.services.clock()
        disks = [] if only.project or only.stage else await low_disks(self.services)
        found = await self.services.store.read(lambda reader: read_needs(reader, only, now, most))
        return with_disks(found, disks, most)


async def low_disks(services: OperationServices) -> Sequence[Disk]:
    """Return the disks that will soon be full; none where the engine does not answer."""
    # Not on record, and the engine's disk is asked of the engine, which may hang.
    try:
        async with asyncio.timeout(DISKS_WITHIN_S):
            return [disk for disk in await services.disks() if disk.low]
    except (TimeoutError, TagboatError):
        return []


def with_disks(found: Needs, disks: Sequence[Disk], most: int | None) -> Needs:
    """Return the needs on record with those of disks after them, at `most` so many of them."""
    return Needs((*found.first, *map(_disk_need, disks))[:most], found.count + len(disks))


def read_needs(reader: Reader, only: StageFilter, now: datetime, most: int | None = None) -> Needs:
    """Return the needs on record, the latest of each kind first, at `most` so many of them."""
    failed = reader.failures(now - FAILED_WITHIN, MOST_OF_A_KIND)
    troubled = reader.troubled_instances(MOST_OF_A_KIND)
    waiting = reader.waiting_pushes(MOST_OF_A_KIND)
    count = len(failed) + len(troubled) + len(waiting)
    # Names decide what passes the filter, so that all of them are needed.
    if most is not None and not (only.project or only.stage):
        failed = failed[:most]
        troubled = troubled[: most - len(failed)]
        waiting = waiting[: most - len(failed) - len(troubled)]
    failing = {one.stage_id for one in failed}
    others = {*(one.stage_id for one, _ in troubled), *(one.stage_id for one in waiting)}
    # Read for all kinds at once: the number of statements does not depend on the needs.
    stages = reader.stages_by_id(failing | others)
    projects = reader.projects_by_id({stage.project_id for stage in stages.values()})
    places = {key: _Place(projects[stage.project_id], stage) for key, stage in stages.items()}
    deploys = reader.deploys_by_id([one.deploy_id for one in failed])
    serving = reader.instances_in(failing, [InstanceState.LIVE])
    live = {one.stage_id: one for one in reversed(serving)}
    found = [
        *(
            _failure_need(places[one.stage_id], deploys[one.deploy_id], live.get(one.stage_id))
            for one in failed
        ),
        *(_health_need(places[one.stage_id], one, vitals) for one, vitals in troubled),
        *(_waiting_need(places[one.stage_id], one) for one in waiting),
    ]
    if only.project or only.stage:
        kept = tuple(need for need in found if _is_of(need, only))
        return Needs(kept[:most], len(kept))
    general = list(_general_needs(reader, now))
    return Needs((*found, *general)[:most], count + len(general))


class _Place(Struct, frozen=True):
    project: Project
    stage: Stage

    @property
    def words(self) -> str:
        """Project and stage as commands take them."""
        return f"{self.project.name} {self.stage.name}"

    def need(
        self,
        kind: NeedKind,
        sentence: str,
        todo: str,
        *,
        since: datetime | None,
        target: tuple[NeedTarget, str],
    ) -> Need:
        """Return a need of this stage."""
        return Need(
            kind=kind,
            project=Named(self.project.id, self.project.name),
            stage=Named(self.stage.id, self.stage.name),
            sentence=sentence,
            since=since,
            todo=todo,
            target=target[0],
            target_id=target[1],
        )


def _failure_need(place: _Place, deploy: Deploy, serving: Instance | None) -> Need:
    still = f"{serving.tag} serves." if serving else "Nothing serves."
    reason = as_sentence(deploy.reason or "no reason is on record")
    return place.need(
        NeedKind.FAILED,
        f"{deploy.tag} failed: {reason} {still}",
        f"tagboat deploys show {deploy.id}",
        since=deploy.finished_at,
        target=(NeedTarget.DEPLOY, deploy.id),
    )


def _health_need(place: _Place, instance: Instance, vitals: Vitals) -> Need:
    return place.need(
        NeedKind.UNHEALTHY,
        f"{instance.tag}: {vitals.detail}",
        f"tagboat logs {place.words}",
        since=vitals.changed_at,
        target=(NeedTarget.STAGE, instance.stage_id),
    )


def _waiting_need(place: _Place, waiting: WaitingPushes) -> Need:
    held, stopped = place.stage.held, place.stage.stopped
    one = waiting.pushes == 1
    number = "1 push" if one else f"{waiting.pushes} pushes"
    newest = waiting.newest if one else f"newest {waiting.newest}"
    release = f"tagboat release {place.words}{'' if held else ' --including'}"
    return place.need(
        NeedKind.HELD if held else NeedKind.WAITING,
        f"The stage is {'stopped' if stopped else 'held'}; {number} came meanwhile: {newest}."
        if held or stopped
        else f"{number} {'waits' if one else 'wait'} for a person: {newest}.",
        f"tagboat start {place.words}" if stopped else release,
        since=waiting.since,
        target=(NeedTarget.STAGE, place.stage.id),
    )


def _general_needs(reader: Reader, now: datetime) -> Iterator[Need]:
    """Yield the needs that belong to no stage."""
    for row in senders_needing_you(reader):
        yield Need(
            kind=NeedKind.SENDER,
            sentence=f"the sender {row.delivery.sender}: {row.reason}",
            since=row.delivery.received_at,
            todo=f"tagboat deliveries show {row.delivery.id}",
            target=NeedTarget.DELIVERY,
            target_id=row.delivery.id,
        )
    for heard in silent_registries(reader, now):
        if heard.silence:
            yield _silence_need(heard, heard.silence)
    failures = reader.failing_registries()
    # A host without a registry entry can fail, too.
    names = {one.host: one for one in reader.registries()} if failures else {}
    for failing in failures:
        registry = names.get(failing.host)
        yield Need(
            kind=NeedKind.REGISTRY,
            sentence=f"polls of {registry.name if registry else failing.host} fail: "
            f"{failing.error}",
            todo=f"tagboat registries test {shell_words(registry.name)}"
            if registry
            else "tagboat doctor",
            target=NeedTarget.REGISTRY,
            target_id=registry.id if registry else failing.host,
        )


def _silence_need(heard: HeardRegistry, silence: Silence) -> Need:
    return Need(
        kind=NeedKind.SILENT,
        sentence=heard.silent,
        since=silence.last_call or silence.since,
        todo="Check the webhook at the registry: 'tagboat webhook url' shows the URL to call.",
        target=NeedTarget.REGISTRY,
        target_id=heard.registry.id if heard.registry else heard.host,
    )


def _disk_need(disk: Disk) -> Need:
    return Need(
        kind=NeedKind.DISK,
        sentence=f"the disk of the {disk.name} ({disk.path}) has {disk.free >> 20} MiB free of "
        f"{disk.total >> 20} MiB",
        todo="tagboat doctor",
        target=NeedTarget.DISK,
        target_id=disk.name,
    )


def _is_of(need: Need, only: StageFilter) -> bool:
    def fits(named: Named | None, wanted: str | None) -> bool:
        return wanted is None or (named is not None and wanted in {named.id, named.name})

    return fits(need.project, only.project) and fits(need.stage, only.stage)
