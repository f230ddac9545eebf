"""The known tags of a project, with what became of each and why, and where each is live."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct

from tagboat.core.catalog import KnownTag, Project, Stage
from tagboat.core.decision import decide, unless_lower, unless_taken_back
from tagboat.core.delivery import Named
from tagboat.core.deploy import Deploy, DeployStatus, InstanceState, TakenBack
from tagboat.core.image import parse_digest
from tagboat.core.page_port import TagPlace
from tagboat.core.ports import Reader
from tagboat.core.push import Outcome, Source
from tagboat.core.serving import Serving, serving_among
from tagboat.operations.services import OperationServices

_BY_POLL = (
    "a poll deploys a known tag only if its digest changes while it is live or a pattern names it"
)


class TagView(Struct, frozen=True):
    """A known tag; its verdict says what became of it and why, None if that is not on record.

    `reason` says what a push of it would do now, and why; `live_in` are the stages where an
    instance of this tag is live. `status` is that of the verdict's deploy; None if there was none,
    or if it is not kept any more.
    """

    tag: KnownTag
    reason: str
    live_in: tuple[Named, ...] = ()
    status: DeployStatus | None = None


class TagQueries(Struct, frozen=True):
    """Reads of known tags. All raise NotFoundError for a project that does not exist."""

    services: OperationServices

    async def tags(self, project_id: str, text: str, after: str, limit: int) -> list[TagView]:
        """Return known tags in order of their text, from the first beyond `after`.

        With `text` only those that contain it, in any case.
        """
        return await self.services.store.read(
            lambda reader: _viewed(
                reader, project_id, reader.known_tags(project_id, after, limit, text)
            )
        )

    async def tags_view(
        self, project_id: str, text: str, after: TagPlace | None, limit: int
    ) -> list[TagView]:
        """Return the known tags that contain `text`, in any case, those first seen last first.

        They begin after the place `after`; None for the start.
        """
        return await self.services.store.read(
            lambda reader: _viewed(
                reader, project_id, reader.tags_page(project_id, text, after, limit)
            )
        )


class StageFacts(Struct, frozen=True):
    """The tags that a stage has or will have, and the versions that were taken back there."""

    serving: Sequence[Serving]
    taken_back: Sequence[TakenBack]


def _viewed(reader: Reader, project_id: str, tags: Sequence[KnownTag]) -> list[TagView]:
    project, stages = reader.project(project_id), reader.stages(project_id)
    ids = [stage.id for stage in stages]
    live = reader.instances_in(ids, [InstanceState.LIVE])
    open_deploys, back = reader.open_deploys_in(ids), reader.taken_back_in(ids)
    # Read for all stages at once, and not once for each of up to 200 tags.
    has = {
        stage_id: StageFacts(
            serving_among(
                [one for one in live if one.stage_id == stage_id],
                [one for one in open_deploys if one.stage_id == stage_id],
            ),
            [one for one in back if one.stage_id == stage_id],
        )
        for stage_id in ids
    }
    live_in: dict[str, list[Named]] = defaultdict(list)
    for stage in stages:
        # Two instances of a tag, old and new, make it live there once.
        for tag in dict.fromkeys(one.tag for one in live if one.stage_id == stage.id):
            live_in[tag].append(Named(stage.id, stage.name))
    # What became of a push is what became of its deploy, once that has ended.
    deploys = reader.deploys_by_id(
        {tag.verdict.deploy for tag in tags if tag.verdict and tag.verdict.deploy}
    )
    return [
        TagView(
            tag,
            _reason(tag, project, stages, has),
            tuple(live_in.get(tag.tag, ())),
            _status(tag, deploys),
        )
        for tag in tags
    ]


def _reason(
    tag: KnownTag, project: Project, stages: Sequence[Stage], has: dict[str, StageFacts]
) -> str:
    decision = decide(project, stages, tag.tag)
    if stage := decision.stage:
        decision = unless_lower(decision, tag.tag, Source.WEBHOOK, has[stage.id].serving)
        digest = parse_digest(tag.digest) if tag.digest else None
        decision = unless_taken_back(decision, digest, has[stage.id].taken_back, tag.tag)
    if decision.outcome is Outcome.QUEUED and decision.stage:
        deployed = f"a push of it is deployed to the stage {decision.stage.name}"
        return f"{decision.reason}: {deployed}, while {_BY_POLL}"
    return decision.reason


def _status(tag: KnownTag, deploys: Mapping[str, Deploy]) -> DeployStatus | None:
    found = deploys.get(tag.verdict.deploy or "") if tag.verdict else None
    return found.status if found else None
