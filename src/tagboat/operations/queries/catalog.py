"""Projects, stages, registries, webhook URLs, and what a push of each known tag would do."""

from collections.abc import Sequence
from dataclasses import dataclass

from tagboat.core.catalog import KnownTag, Project, Registry, Stage
from tagboat.core.decision import decide, unless_lower, unless_taken_back
from tagboat.core.deploy import InstanceState, TakenBack
from tagboat.core.image import parse_digest
from tagboat.core.ports import Reader
from tagboat.core.push import Outcome, Source
from tagboat.core.serving import Serving, serving_among
from tagboat.core.store_port import StagePlace
from tagboat.operations.services import OperationServices
from tagboat.operations.views import ProjectView, StageView, Views
from tagboat.operations.webhooks import WebhookView

_BY_POLL = (
    "a poll deploys a known tag only if its digest changes while it is live or a pattern names it"
)


@dataclass(frozen=True, slots=True)
class TagView:
    """A known tag; `reason` says what a push of it would do now, and why."""

    tag: KnownTag
    reason: str


@dataclass(frozen=True, slots=True)
class StageFilter:
    """Limits a list to a project, a stage or both, by id or by name. None: to no one."""

    project: str | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class CatalogQueries:
    """Reads of the catalog. Single things raise NotFoundError where they do not exist.

    A page starts after the name `after` and has at most `limit` items.
    """

    services: OperationServices

    async def projects(self, after: str, limit: int) -> list[ProjectView]:
        """Return projects in order of name."""
        return await self.services.store.read(
            lambda reader: self._views(reader).projects(reader.projects(after, limit))
        )

    async def project(self, project_id: str) -> ProjectView:
        """Return one project."""
        (found,) = await self.services.store.read(
            lambda reader: self._views(reader).projects([reader.project(project_id)])
        )
        return found

    async def stages_of(self, project_id: str) -> list[StageView]:
        """Return the stages of a project in the order in which they are tried."""

        def work(reader: Reader) -> list[StageView]:
            project = reader.project(project_id)
            return self._views(reader).stages(reader.stages(project.id))

        return await self.services.store.read(work)

    async def stages(
        self, only: StageFilter, after: StagePlace | None, limit: int
    ) -> list[StageView]:
        """Return stages of all projects, in order of project name, position and name."""

        def work(reader: Reader) -> list[StageView]:
            found = reader.stages_page(
                project=only.project, stage=only.stage, after=after, limit=limit
            )
            return self._views(reader).stages(found)

        return await self.services.store.read(work)

    async def stage(self, stage_id: str) -> StageView:
        """Return one stage."""
        (found,) = await self.services.store.read(
            lambda reader: self._views(reader).stages([reader.stage(stage_id)])
        )
        return found

    async def registries(self, after: str, limit: int) -> list[Registry]:
        """Return registries in order of name."""
        return await self.services.store.read(lambda reader: reader.registries(after, limit))

    async def registry(self, registry_id: str) -> Registry:
        """Return one registry."""
        return await self.services.store.read(lambda reader: reader.registry(registry_id))

    async def webhooks(self, project_id: str) -> list[WebhookView]:
        """Return the webhook URLs of a project, in order of name."""

        def work(reader: Reader) -> list[WebhookView]:
            project = reader.project(project_id)
            hooks = sorted(reader.hooks(project.id), key=lambda hook: hook.name)
            return [WebhookView(hook, project) for hook in hooks]

        return await self.services.store.read(work)

    async def webhook(self, webhook_id: str) -> WebhookView:
        """Return one webhook URL."""

        def work(reader: Reader) -> WebhookView:
            hook = reader.hook(webhook_id)
            return WebhookView(hook, reader.project(hook.project_id))

        return await self.services.store.read(work)

    async def tags(self, project_id: str, after: str, limit: int) -> list[TagView]:
        """Return the known tags of a project, in order of their text."""

        def work(reader: Reader) -> list[TagView]:
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
            return [
                TagView(tag, _reason(tag, project, stages, has))
                for tag in reader.known_tags(project.id, after, limit)
            ]

        return await self.services.store.read(work)

    def _views(self, reader: Reader) -> Views:
        return Views(reader, self.services)


@dataclass(frozen=True, slots=True)
class StageFacts:
    """The tags that a stage has or will have, and the versions that were taken back there."""

    serving: Sequence[Serving]
    taken_back: Sequence[TakenBack]


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
