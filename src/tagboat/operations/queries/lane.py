"""The way of a tag from one stage of a project to the next, and what is between the two."""

from enum import StrEnum

from msgspec import Struct

from tagboat.core.deploy import Instance
from tagboat.operations.queries.matrix import StageCell


class GapReason(StrEnum):
    """The reason why a stage does not serve what the stage before it serves."""

    NOTHING_BEFORE = "nothing before"
    SAME = "same"
    UNDER_WAY = "under way"
    HELD = "held"
    STOPPED = "stopped"
    UNWELL = "unwell"
    NO_MATCH = "no match"
    BY_HAND = "by hand"
    NOT_YET = "not yet"


class Gap(Struct, frozen=True):
    """The difference between two stages.

    `offered` is the instance whose digest can be promoted, None where there is nothing to promote.
    """

    reason: GapReason
    offered: Instance | None = None


def gap_between(before: StageCell, after: StageCell) -> Gap:
    """Return why `after` does not serve what `before` serves, the reason that matters first."""
    if not before.live:
        return Gap(GapReason.NOTHING_BEFORE)
    newest = before.live[0]
    # By digest: one version may have several tags, and a tag may move on.
    if any(one.digest == newest.digest for one in after.live):
        return Gap(GapReason.SAME)
    return Gap(_reason_between(before, after, newest), newest)


def _reason_between(before: StageCell, after: StageCell, newest: Instance) -> GapReason:
    if any(deploy.digest == newest.digest for deploy in after.under_way if deploy.digest):
        return GapReason.UNDER_WAY
    if after.stage.stopped:
        return GapReason.STOPPED
    if after.stage.held:
        return GapReason.HELD
    if before.trouble is not None:
        return GapReason.UNWELL
    if not after.stage.pattern.matches(newest.tag):
        return GapReason.NO_MATCH
    return GapReason.NOT_YET if after.stage.auto_deploy else GapReason.BY_HAND
