"""Projects and stages by name, each with everything that its page shows, in one transaction."""

from msgspec import Struct

from tagboat.core.catalog import Project, Registry, Stage, run_config
from tagboat.core.changes import ConfigChange, config_changes
from tagboat.core.deploy import Deploy, DeployStatus, Instance
from tagboat.core.errors import ConflictError, NotFoundError
from tagboat.core.polling import PollState
from tagboat.core.ports import Reader
from tagboat.core.project_webhook import ProjectWebhook
from tagboat.core.storage import stage_volumes
from tagboat.operations.queries.comparisons import PendingChanges, pending_changes
from tagboat.operations.queries.matrix import (
    FAILED_LATELY,
    MatrixRow,
    ProjectState,
    StageCell,
    matrix_rows,
    projects_in_state,
)
from tagboat.operations.queries.stage_history import (
    StageHistory,
    read_stage_history,
    release_warning,
)
from tagboat.operations.registry_lookup import registry_among
from tagboat.operations.services import OperationServices
from tagboat.operations.views import InstanceView, ProjectView, StageView, Views
from tagboat.operations.way_back import find_way_back, live_in

_NAME_SHOWN = 80


class PolledRow(Struct, frozen=True):
    """A project with its stages as they are now, and the state of its polls."""

    row: MatrixRow
    poll: PollState


class ProjectListing(Struct, frozen=True):
    """A page of projects by name. `more` is True if there are others beyond; `projects` is all."""

    rows: tuple[PolledRow, ...]
    more: bool
    projects: int


class StageOnPage(Struct, frozen=True):
    """A stage as it is now.

    `lags` is True if its live instance was started with another configuration than is saved.
    """

    view: StageView
    cell: StageCell
    lags: bool


class ProjectOverview(Struct, frozen=True, kw_only=True):
    """A project with its stages, in the order in which they are tried.

    `registry` is the one that its image is in, None for one that is not configured. `volumes` are
    the engine's names of the volumes of all stages.
    """

    view: ProjectView
    stages: tuple[StageOnPage, ...]
    registry: Registry | None
    hooks: tuple[ProjectWebhook, ...]
    volumes: tuple[str, ...]

    @property
    def project(self) -> Project:
        """The project itself."""
        return self.view.project


class StageDetail(Struct, frozen=True, kw_only=True):
    """A stage with its instances, its history, and what is saved and not live.

    `others` are the other stages of its project. `volumes` are the engine's names of its volumes.
    `way_back` is the instance that a rollback would bring back, None where there is none.
    """

    view: StageView
    cell: StageCell
    live: tuple[InstanceView, ...]
    history: StageHistory
    pending: PendingChanges
    others: tuple[StageCell, ...]
    volumes: tuple[str, ...]
    way_back: Instance | None

    @property
    def project(self) -> Project:
        """The project of the stage."""
        return self.view.project

    @property
    def stage(self) -> Stage:
        """The stage itself."""
        return self.view.stage


class RollbackPreview(Struct, frozen=True, kw_only=True):
    """The effect of a rollback of a stage, before it is ordered.

    `target` is the instance that comes back with its `deploy`; None where there is none, and then
    `reason` says why. `live` is what serves now. `changes` are the fields by which the
    configuration of then differs from that of `live`. `cancels` is the deploy under way that is
    taken back for it. `warning` is what it cannot undo, empty for nothing.
    """

    project: Project
    stage: Stage
    live: Instance | None
    target: Instance | None = None
    deploy: Deploy | None = None
    changes: tuple[ConfigChange, ...] = ()
    cancels: Deploy | None = None
    warning: str = ""
    reason: str = ""


class ProjectPageQueries(Struct, frozen=True):
    """Reads for the pages of projects and stages. All raise NotFoundError for unknown names."""

    services: OperationServices

    async def projects(
        self, text: str, state: ProjectState | None, after: str, limit: int
    ) -> ProjectListing:
        """Return projects by name beyond `after`, whose name contains `text`, in that state."""
        now = self.services.clock()

        def work(reader: Reader) -> ProjectListing:
            among = None if state is None else projects_in_state(reader, state, now - FAILED_LATELY)
            # One more than is shown tells if there is another page.
            found = reader.projects_page(text, among, after, limit + 1)
            polls = reader.poll_states([project.id for project in found])
            rows = matrix_rows(reader, found[:limit], DeployStatus.FAILED)
            return ProjectListing(
                tuple(PolledRow(row, polls[row.project.id]) for row in rows),
                len(found) > limit,
                reader.count_projects(),
            )

        return await self.services.store.read(work)

    async def project(self, name: str) -> ProjectOverview:
        """Return a project with its stages."""

        def work(reader: Reader) -> ProjectOverview:
            project = named_project(reader, name)
            views = Views(reader, self.services)
            (view,) = views.projects([project])
            (row,) = matrix_rows(reader, [project])
            cells = {cell.stage.id: cell for cell in row.cells}
            stages = [cell.stage for cell in row.cells]
            return ProjectOverview(
                view=view,
                stages=tuple(
                    StageOnPage(one, cells[one.stage.id], _lags(project, cells[one.stage.id]))
                    for one in views.warned_stages(stages)
                ),
                registry=registry_among(reader.registries(), project),
                hooks=tuple(sorted(reader.hooks(project.id), key=lambda hook: hook.name)),
                volumes=tuple(name for stage in stages for name in _volumes(project, stage)),
            )

        return await self.services.store.read(work)

    async def stage(
        self, project_name: str, stage_name: str, before: str, limit: int
    ) -> StageDetail:
        """Return a stage; its history goes on from the first older than the instance `before`."""

        def work(reader: Reader) -> StageDetail:
            project, stage = named_stage(reader, project_name, stage_name)
            views = Views(reader, self.services)
            (view,) = views.warned_stages([stage])
            # Of the whole project: the other stages are shown beside, and cost no statement more.
            (row,) = matrix_rows(reader, [project])
            cell = next(one for one in row.cells if one.stage.id == stage.id)
            return StageDetail(
                view=view,
                cell=cell,
                live=tuple(views.instances(cell.live)),
                history=read_stage_history(reader, self.services, stage.id, before, limit),
                pending=pending_changes(reader, project, stage),
                others=tuple(one for one in row.cells if one.stage.id != stage.id),
                volumes=tuple(_volumes(project, stage)),
                way_back=_way_back(reader, stage),
            )

        return await self.services.store.read(work)

    async def rollback(self, project_name: str, stage_name: str, to: str | None) -> RollbackPreview:
        """Return what a rollback to what the deploy `to` brought would do, None as in the order.

        The engine and the registry are asked for its image only by the order itself.
        """

        def work(reader: Reader) -> RollbackPreview:
            project, stage = named_stage(reader, project_name, stage_name)
            live = live_in(reader, stage)
            try:
                way = find_way_back(reader, stage, to)
            except ConflictError as error:
                return RollbackPreview(project=project, stage=stage, live=live, reason=str(error))
            # Of an instance from before configurations were recorded there is none to compare.
            before = reader.deploy_config(live.deploy_id) if live else None
            return RollbackPreview(
                project=project,
                stage=stage,
                live=live,
                target=way.target,
                deploy=reader.deploy(way.target.deploy_id),
                changes=config_changes(before, way.config) if before else (),
                cancels=way.cancels,
                warning=release_warning(way.target, reader.newest_release(stage.id)),
            )

        return await self.services.store.read(work)

    async def find_project(self, name: str) -> Project:
        """Return the project of a name."""
        return await self.services.store.read(lambda reader: named_project(reader, name))

    async def find_stage(self, project: str, stage: str) -> tuple[Project, Stage]:
        """Return the stage of a name, with its project."""
        return await self.services.store.read(lambda reader: named_stage(reader, project, stage))


def named_project(reader: Reader, name: str) -> Project:
    """Return the project of a name; raise NotFoundError, which says if it was deleted."""
    found = reader.project_by_name(name)
    if found is not None:
        return found
    # From the address, where it may have any length.
    shown = name[:_NAME_SHOWN]
    # By the audit, which outlives it: a link that worked once deserves more than a 404.
    if reader.deleted_project(name):
        raise NotFoundError(
            f"the project {shown} was deleted; the page Audit says when, and by whom"
        )
    raise NotFoundError(f"there is no project {shown!r}")


def named_stage(reader: Reader, project_name: str, name: str) -> tuple[Project, Stage]:
    """Return the stage of a name in a project, with the project; raise NotFoundError."""
    project = named_project(reader, project_name)
    stages = reader.stages(project.id)
    # A project has few stages, and the error names them.
    found = next((one for one in stages if one.name == name), None)
    if found is None:
        others = ", ".join(one.name for one in stages[:10]) or "none yet"
        raise NotFoundError(
            f"the project {project.name} has no stage {name[:_NAME_SHOWN]!r}; it has: {others}"
        )
    return project, found


def _lags(project: Project, cell: StageCell) -> bool:
    # The fingerprint is enough to know that it differs; the page of the stage says in what.
    saved = run_config(project, cell.stage).fingerprint
    return bool(cell.live) and cell.live[0].fingerprint != saved


def _way_back(reader: Reader, stage: Stage) -> Instance | None:
    try:
        return find_way_back(reader, stage).target
    except ConflictError:
        return None


def _volumes(project: Project, stage: Stage) -> dict[str, str]:
    return stage_volumes(stage, run_config(project, stage))
