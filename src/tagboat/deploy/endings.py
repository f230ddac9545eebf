"""How an instance's end is written down."""

from dataclasses import replace
from datetime import datetime, timedelta

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.ports import Reader

_ENDED = (InstanceState.STOPPED, InstanceState.FAILED)
_NEXT = timedelta(microseconds=1)


def ended(reader: Reader, instance: Instance, state: InstanceState, now: datetime) -> Instance:
    """`instance`, ended at `now` in that final state, and in any case after every other of its stage.

    What was live last is found by when it ended; a clock that was set back must not make it an earlier one.
    """
    latest = reader.recent_instances(instance.stage_id, _ENDED, 1)
    earliest = max(
        (one.stopped_at + _NEXT for one in latest if one.stopped_at is not None), default=now
    )
    return replace(instance, state=state, stopped_at=max(now, earliest))
