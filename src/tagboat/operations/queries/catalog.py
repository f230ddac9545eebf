"""Projects, stages, registries, webhook URLs, and what a push of each known tag would do."""

from msgspec import Struct

from tagboat.core.catalog import Registry
from tagboat.core.page_port import StagePlace
from tagboat.core.ports import Reader
from tagboat.operations.services import OperationServices
from tagboat.operations.views import ProjectView, StageView, Views
from tagboat.operations.webhooks import WebhookView


class StageFilter(Struct, frozen=True):
    """Limits a list to a project, a stage or both, by id or by name. None: to no one."""

    project: str | None = None
    stage: str | None = None


class CatalogQueries(Struct, frozen=True):
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

    def _views(self, reader: Reader) -> Views:
        return Views(reader, self.services)
