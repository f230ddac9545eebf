"""A pattern held against what has been: the known tags, and the last pushes."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.catalog import Project, Stage
from tagboat.core.decision import decide
from tagboat.core.delivery import Named, PastPush


class Diverted(Struct, frozen=True):
    """A push that would have gone to another stage than it did; None stands for no stage."""

    tag: str
    at: datetime
    went_to: Named | None
    would_go_to: Named | None


def in_order(stages: Sequence[Stage], changed: Stage) -> list[Stage]:
    """Return the stages in the order of being tried, with `changed` in place of itself."""
    # As the store sorts them: two rules for one order would differ some day.
    others = [stage for stage in stages if stage.id != changed.id]
    return sorted([*others, changed], key=lambda stage: (stage.position, stage.name))


def find_diverted(
    project: Project, stages: Sequence[Stage], pushes: Sequence[PastPush]
) -> list[Diverted]:
    """Return the pushes that would go to another of `stages` (in order) than they went to."""
    diverted = []
    for push in pushes:
        chosen = decide(project, stages, push.tag).stage
        # By id: a stage that was renamed since is still the same.
        if (chosen.id if chosen else None) != (push.stage.id if push.stage else None):
            would_go_to = Named(chosen.id, chosen.name) if chosen else None
            diverted.append(Diverted(push.tag, push.at, push.stage, would_go_to))
    return diverted
