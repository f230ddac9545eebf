"""The space that images take, measured in the background for monitoring."""

from functools import partial

import structlog

from tagboat.core.counters import Counters
from tagboat.core.ports import Store, Topic
from tagboat.loops import PeriodicTask
from tagboat.operations.queries.machine import MachineQueries

IMAGES_BYTES = "tagboat_images_bytes"
MEASURE_EVERY_S = 900.0
MEASURE_MIN_INTERVAL_S = 5.0
MEASURE_REST_SHARE = 20
"""The engine looks at all of its disk: it rests so many times longer than it took."""

log = structlog.get_logger("tagboat.images")


async def keep_measuring(machine: MachineQueries, store: Store, counters: Counters) -> None:
    """Measure what images take, at once, after deploys, and each quarter of an hour."""

    async def measure() -> float:
        taken = await machine.space_taken()
        counters.set(IMAGES_BYTES, taken.images_bytes)
        return MEASURE_EVERY_S

    task = PeriodicTask(
        measure,
        retry_s=MEASURE_EVERY_S,
        warn=partial(log.warning, "images not measured", action="measure"),
        rest_s=lambda took_s: max(MEASURE_MIN_INTERVAL_S, MEASURE_REST_SHARE * took_s),
    )
    store.listen(Topic.DEPLOYS, task.wake)
    await task.run()
