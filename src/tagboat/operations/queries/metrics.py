"""The numbers of one moment that monitoring reads.

Nothing here walks through history: what has ended is counted as it ends, and the rest is read by
indexes, in a number of statements that does not grow with what there is.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from msgspec import Struct

from tagboat.core.catalog import Project, Stage
from tagboat.core.counters import Counters, Durations, Series
from tagboat.core.deploy import DeployStatus, InstanceState
from tagboat.core.errors import StoreUnavailableError
from tagboat.core.health import Trouble
from tagboat.core.ports import Reader
from tagboat.core.request_counts import CodeClasses
from tagboat.core.stage_refs import iter_stages
from tagboat.operations.health import DATABASE, WELL, HealthChecks
from tagboat.operations.image_space import IMAGES_BYTES
from tagboat.operations.queries.machine import MachineQueries
from tagboat.operations.services import OperationServices

DEPLOYS_ENDED = "tagboat_deploys_total"
# Registries have a metric of their own.
_NO_COMPONENTS = frozenset({"registries"})
_UNWELL_S = 1.0


class StageNumbers(Struct, frozen=True, kw_only=True):
    """The numbers of one stage, with the names of its project and itself.

    `live` and `troubled` count live instances, all and those that need a person. `ended` counts
    deploys since the start by status. `answers` are those of the ingress by class of status code,
    None where there is no ingress, or it cannot be asked.
    """

    project: str
    stage: str
    live: int = 0
    troubled: int = 0
    held: bool = False
    stopped: bool = False
    last_success: datetime | None = None
    ended: Mapping[str, int]
    answers: CodeClasses | None = None


class MetricsSnapshot(Struct, frozen=True, kw_only=True):
    """Numbers at one moment.

    `open_deploys` are counted by status, `components` and `registries` are True where they work, by
    name. `counts` and `durations` are those since the start. `images_bytes` is what the images
    took that Tagboat pulled, when it was last measured.
    """

    open_deploys: Mapping[str, int]
    stages: Sequence[StageNumbers]
    components: Mapping[str, bool]
    registries: Mapping[str, bool]
    counts: Mapping[Series, int]
    durations: Mapping[Series, Durations]
    images_bytes: float


class MetricsQuery(Struct, frozen=True):
    """Reads of the numbers for monitoring."""

    services: OperationServices
    health: HealthChecks

    async def read(self) -> MetricsSnapshot:
        """Return the numbers of now."""
        counters = self.services.counters
        health, answers = await asyncio.gather(
            self.health.check(), MachineQueries(self.services).answers()
        )
        counts = dict(counters.read())
        ended = take_ended(counts)

        def work(reader: Reader) -> tuple[list[StageNumbers], Counter[str], dict[str, bool]]:
            places = list(iter_stages(reader))
            open_deploys = Counter(one.status.value for one in reader.all_open_deploys())
            hosts = {project.image.host for project, _ in places}
            numbers = stage_numbers(reader, places, answers, ended)
            return numbers, open_deploys, registries_up(reader, hosts)

        stages, open_deploys, registries = list[StageNumbers](), Counter[str](), dict[str, bool]()
        is_well = health.checks[DATABASE] == "ok"
        # Without it, the rest is told all the same: first of all that it is away. A database that
        # can only be read is asked, but not waited for a second time.
        try:
            async with asyncio.timeout(None if is_well else _UNWELL_S):
                stages, open_deploys, registries = await self.services.store.read(work)
        except (StoreUnavailableError, TimeoutError):
            is_well = False
        return MetricsSnapshot(
            open_deploys=open_deploys,
            stages=stages,
            components={
                name: state == "ok"
                for name, state in health.checks.items()
                # What is not wanted is neither up nor down.
                if name not in _NO_COMPONENTS and (state == "ok" or state not in WELL)
            }
            | {DATABASE: is_well},
            registries=registries,
            counts=counts,
            durations=counters.durations(),
            images_bytes=counters.value(IMAGES_BYTES),
        )


def count_end(counters: Counters, stage_id: str, status: DeployStatus) -> None:
    """Count a deploy that has come to an end."""
    # By id: names may change, and are those of the record when the numbers are read.
    counters.count(DEPLOYS_ENDED, stage_id=stage_id, status=status.value)


def take_ended(counts: dict[Series, int]) -> Mapping[str, Counter[str]]:
    """Take the counts of deploys out of `counts`; return them by stage id and status."""
    ended: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for series in [series for series in counts if series[0] == DEPLOYS_ENDED]:
        labels = dict(series[1])
        ended[labels["stage_id"]][labels["status"]] += counts.pop(series)
    return ended


def stage_numbers(
    reader: Reader,
    places: Iterable[tuple[Project, Stage]],
    answers: Mapping[str, CodeClasses] | None,
    ended: Mapping[str, Mapping[str, int]],
) -> list[StageNumbers]:
    """Return the numbers of all stages; `answers` and `ended` are by their ids."""
    live = reader.instances(states=[InstanceState.LIVE])
    vitals = reader.vitals([one.id for one in live]).values()
    unwell = {one.instance_id for one in vitals if one.trouble is not Trouble.NONE}
    running = Counter(one.stage_id for one in live)
    troubled = Counter(one.stage_id for one in live if one.id in unwell)
    successes = reader.last_successes()
    # Zeros too: a series that is gone looks to Prometheus like a server that is gone.
    return [
        StageNumbers(
            project=project.name,
            stage=stage.name,
            live=running[stage.id],
            troubled=troubled[stage.id],
            held=stage.held,
            stopped=stage.stopped,
            last_success=successes.get(stage.id),
            ended={
                status.value: ended.get(stage.id, {}).get(status.value, 0)
                for status in DeployStatus
                if status.final
            },
            answers=None if answers is None else answers.get(stage.id, {}),
        )
        for project, stage in places
    ]


def registries_up(reader: Reader, used: AbstractSet[str]) -> dict[str, bool]:
    """Return whether registries work: configured ones by name, others in `used` by host."""
    failing = {one.host for one in reader.failing_registries()}
    configured = reader.registries()
    others = used - {one.host for one in configured}
    return {host: host not in failing for host in sorted(others)} | {
        one.name: one.host not in failing for one in configured
    }
