"""A pattern before it is saved: which known tags match, and what it would have changed."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.catalog import Project, Stage
from tagboat.core.decision import shadowed
from tagboat.core.delivery import Named, PastPush
from tagboat.core.deploy import Trigger
from tagboat.core.errors import FieldError
from tagboat.core.natural import natural_key
from tagboat.core.newest import Candidate, Order
from tagboat.core.past_pushes import Diverted, find_diverted, in_order
from tagboat.core.ports import Reader
from tagboat.core.tags import TagPattern
from tagboat.core.unmatchable import unmatchable
from tagboat.core.values import replace
from tagboat.operations.registry_lookup import registry_among
from tagboat.operations.services import OperationServices

MATCHES_SHOWN = 20
PUSHES_LOOKED_AT = 200
TAGS_LOOKED_AT = 10_000
"""Known tags that a pattern is tried on: those first seen last."""
_NAMED_IN_SUMMARY = 3
_COMPARED, _PAIRED = 300, 60
_NEW = ""
"""The id of a stage that is not saved yet."""


class PatternPreview(Struct, frozen=True, kw_only=True):
    """The effect of a pattern of a stage on what has been.

    `matching` is how many of `tags` known tags match, and `newest` are the first of them, newest
    first. `elsewhere` are the pushes among the last `pushes` that would have gone to another stage
    than they did, newest first; `summary` says so in a sentence, empty if there is none.
    """

    matching: int
    tags: int
    newest: tuple[str, ...]
    pushes: int
    elsewhere: tuple[Diverted, ...]
    summary: str
    warnings: tuple[str, ...]


class PatternQueries(Struct, frozen=True):
    """Tries patterns on the tags and pushes that are on record. Changes nothing."""

    services: OperationServices

    async def preview_pattern(
        self,
        project_id: str,
        stage_id: str | None,
        pattern: TagPattern,
        position: int | None = None,
        name: str | None = None,
    ) -> PatternPreview:
        """Return the effect that `pattern` would have in a stage, None for a new one.

        `position` and `name` are those of the stage where they are None; of a new one, 0 and a name
        after all others. Raises NotFoundError, and FieldError for a stage of another project.
        """

        def work(reader: Reader) -> PatternPreview:
            project, stages = reader.project(project_id), reader.stages(project_id)
            if stage_id is None:
                stage = Stage(
                    id=_NEW,
                    project_id=project.id,
                    name=name or "~",
                    pattern=pattern,
                    position=position or 0,
                    created_at=self.services.clock(),
                )
            else:
                old = next((one for one in stages if one.id == stage_id), None)
                if old is None:
                    raise FieldError("stage", "is not a stage of this project")
                stage = replace(
                    old,
                    pattern=pattern,
                    position=old.position if position is None else position,
                    name=name or old.name,
                )
            return preview_stage(reader, project, stages, stage, self.services.clock())

        return await self.services.store.read(work)


def preview_stage(
    reader: Reader, project: Project, stages: Sequence[Stage], stage: Stage, now: datetime
) -> PatternPreview:
    """Return the effect of `stage`, saved or not, among the other `stages` of its project."""
    known = reader.tag_names(project.id, TAGS_LOOKED_AT)
    matching = [(tag, seen) for tag, seen in known if stage.pattern.matches(tag)]
    # What is refused was no image, and went nowhere by any pattern.
    pushes = last_pushes(reader, project.id)
    tried = in_order(stages, stage)
    elsewhere = find_diverted(project, tried, pushes)
    registry = registry_among(reader.registries(), project)
    never = unmatchable(stage.pattern, registry.kind if registry else None)
    return PatternPreview(
        matching=len(matching),
        tags=len(known),
        newest=newest_of(stage.pattern, matching, now),
        pushes=len(pushes),
        elsewhere=tuple(elsewhere),
        summary=summary_of(elsewhere, len(pushes)),
        warnings=(never,) if never else tuple(shadowed(stage, tried)),
    )


def newest_of(
    pattern: TagPattern, found: Sequence[tuple[str, datetime]], now: datetime
) -> tuple[str, ...]:
    """Return the newest tags of those `found`, which come with the time when they were."""
    candidates = [Candidate(tag, found=at.timestamp()) for tag, at in found[:_COMPARED]]
    order = Order(pattern, candidates, now)
    pool = order.contenders(MATCHES_SHOWN)
    # The exact order compares all pairs: of names without versions, the last found are enough.
    pool.sort(key=lambda one: (one.found, natural_key(one.tag)), reverse=True)
    return tuple(one.tag for one in order.only(pool[:_PAIRED]).first(MATCHES_SHOWN))


def last_pushes(reader: Reader, project_id: str) -> list[PastPush]:
    """Return the last pushes of a project by webhook and by poll, newest first."""
    called = reader.last_pushes(project_id, PUSHES_LOOKED_AT)
    # Of polls, only what they deployed is on record push by push.
    deploys = reader.deploys(project_id=project_id, limit=PUSHES_LOOKED_AT)
    stages = {stage.id: Named(stage.id, stage.name) for stage in reader.stages(project_id)}
    polled = [
        PastPush(one.tag, stages[one.stage_id], one.created_at)
        for one in deploys
        if one.trigger is Trigger.POLL
    ]
    both = sorted([*called, *polled], key=lambda push: push.at, reverse=True)
    return both[:PUSHES_LOOKED_AT]


def summary_of(elsewhere: Sequence[Diverted], pushes: int) -> str:
    """Return how many of the last `pushes` would have gone elsewhere, empty for none."""
    if not elsewhere:
        return ""
    shown = elsewhere[:_NAMED_IN_SUMMARY]
    ways = [(one.tag, _stage_words(one.went_to), _stage_words(one.would_go_to)) for one in shown]
    examples = [f"{tag} went to {went} and would go to {would}" for tag, went, would in ways]
    more = len(elsewhere) - len(examples)
    rest = f", and {more} more" if more else ""
    return (
        f"of the last {pushes} pushes, {len(elsewhere)} would have gone elsewhere:"
        f" {', '.join(examples)}{rest}"
    )


def _stage_words(stage: Named | None) -> str:
    if stage is None:
        return "no stage"
    return stage.name if stage.id else "the new stage"
