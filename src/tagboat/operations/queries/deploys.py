"""Deploys and instances."""

from collections.abc import Collection
from datetime import timedelta

from msgspec import Struct

from tagboat.core.audit import AuditFilter
from tagboat.core.deploy import Deploy, DeployStatus, InstanceState
from tagboat.core.errors import FieldError, NotFoundError
from tagboat.core.ids import made_at
from tagboat.core.ports import Reader
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.queries.stage_history import StageHistory, read_stage_history
from tagboat.operations.services import OperationServices
from tagboat.operations.views import DeployView, InstanceView, Views

_QUEUED_WITHIN = timedelta(hours=1)
_SEE_AUDIT = "the page Audit says when, and by whom"


class DeployQueries(Struct, frozen=True):
    """Reads of deploys and instances. Single things raise NotFoundError where they do not exist.

    Lists come newest first, from the first older than the id `before`.
    """

    services: OperationServices

    async def deploys(
        self, only: StageFilter, statuses: Collection[DeployStatus], before: str, limit: int
    ) -> list[DeployView]:
        """Return deploys. Raises FieldError for a name that several stages have."""

        def work(reader: Reader) -> list[DeployView]:
            found = resolve(reader, only)
            if found is None:
                return []
            return self._views(reader).deploys(
                reader.deploys(
                    project_id=found.project,
                    stage_id=found.stage,
                    statuses=statuses,
                    before=before,
                    limit=limit,
                )
            )

        return await self.services.store.read(work)

    async def deploy(self, deploy_id: str) -> DeployView:
        """Return one deploy."""
        (found,) = await self.services.store.read(
            lambda reader: self._views(reader).deploys([find_deploy(reader, deploy_id)])
        )
        return found

    async def instances(
        self, only: StageFilter, states: Collection[InstanceState], before: str, limit: int
    ) -> list[InstanceView]:
        """Return instances. Raises FieldError for a name that several stages have."""

        def work(reader: Reader) -> list[InstanceView]:
            found = resolve(reader, only)
            if found is None:
                return []
            return self._views(reader).instances(
                reader.instances(
                    project_id=found.project,
                    stage_id=found.stage,
                    states=states,
                    before=before,
                    limit=limit,
                )
            )

        return await self.services.store.read(work)

    async def instance(self, instance_id: str) -> InstanceView:
        """Return one instance."""
        (found,) = await self.services.store.read(
            lambda reader: self._views(reader).instances([reader.instance(instance_id)])
        )
        return found

    async def stage_history(self, stage_id: str, before: str, limit: int) -> StageHistory:
        """Return what was live in a stage, newest first, from the first older than an instance.

        `before` is the id of that instance, empty for the start.
        """
        return await self.services.store.read(
            lambda reader: read_stage_history(reader, self.services, stage_id, before, limit)
        )

    def _views(self, reader: Reader) -> Views:
        return Views(reader, self.services)


def find_deploy(reader: Reader, deploy_id: str) -> Deploy:
    """Return the deploy of an id; raise NotFoundError, which says if it existed."""
    try:
        return reader.deploy(deploy_id)
    except NotFoundError as error:
        # A link that worked once, such as one in a chat, deserves more than a 404.
        raise NotFoundError(_gone_words(reader, deploy_id) or str(error)) from None


def _gone_words(reader: Reader, deploy_id: str) -> str:
    """Return what became of a deploy by the audit, which outlives it; empty if that has none."""
    queued_at = made_at(deploy_id)
    if queued_at is None:
        return ""
    near = AuditFilter(
        subject=deploy_id, since=queued_at - _QUEUED_WITHIN, until=queued_at + _QUEUED_WITHIN
    )
    for entry in reader.audit_entries(near, None, 1):
        project_id, stage_id = entry.project_id or "", entry.stage_id or ""
        what = f"the deploy of {entry.subject_name} in {entry.project_name} {entry.stage_name}"
        if project_id not in reader.projects_by_id([project_id]):
            return f"{what} was deleted with its project; {_SEE_AUDIT}"
        if stage_id not in reader.stages_by_id([stage_id]):
            return f"{what} was deleted with its stage; {_SEE_AUDIT}"
        return f"{what} is not kept any more; the page of the stage has the later ones"
    return ""


def resolve(reader: Reader, only: StageFilter) -> StageFilter | None:
    """Return the filter with ids for names, None where nothing can be found by it.

    Raises FieldError for the name of a stage that several projects have.
    """
    project_id = only.project
    if only.project is not None:
        named = reader.project_by_name(only.project)
        if named is not None:
            project_id = named.id
        elif only.project not in reader.projects_by_id([only.project]):
            return None
    if only.stage is None:
        return StageFilter(project_id, None)
    # An id has the form of a name; it is looked for first, since nobody chooses ids.
    if only.stage in reader.stages_by_id([only.stage]):
        return StageFilter(project_id, only.stage)
    if project_id is not None:
        found = [one for one in reader.stages(project_id) if one.name == only.stage]
    else:
        # Two are enough to know that the name alone does not say which.
        found = reader.stages_page(stage=only.stage, limit=2)
    if len(found) > 1:
        raise FieldError(
            "stage", f"several projects have a stage named {only.stage}: add project=NAME"
        )
    return StageFilter(project_id, found[0].id) if found else None
