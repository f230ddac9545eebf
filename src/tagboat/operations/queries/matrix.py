"""All projects with their stages, side by side: what runs where."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from tagboat.core.catalog import HeldPush, Project, Stage
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState
from tagboat.core.health import Vitals
from tagboat.core.ports import Reader
from tagboat.operations.services import OperationServices
from tagboat.operations.views import DeployView, Views

# A burst of pushes must not hide what runs where.
MOST_UNDER_WAY = 8
"""Deploys under way that are listed one by one."""
_MOST_NAMES = 12
# A page shows few of them; without a limit a bad day would be read whole.
_MOST_IN_STATE = 500
FAILED_LATELY = timedelta(hours=24)


class ProjectState(StrEnum):
    """A state by which projects are looked for: one of their stages is in it."""

    DEPLOYING = "deploying"
    FAILED = "failed"
    UNHEALTHY = "unhealthy"
    HELD = "held"
    WAITING = "waiting"


class StageCell(Struct, frozen=True, kw_only=True):
    """A stage as it is now.

    `live` comes newest first, `under_way` (queued and running) and `waiting` (pushes that wait for
    a person) oldest first. `newest` is the newest deploy, None before the first; in lists of
    projects it is there only where it failed. `trouble` are the vitals of a live instance that
    needs a person, None if all are well.
    """

    stage: Stage
    live: tuple[Instance, ...] = ()
    under_way: tuple[Deploy, ...] = ()
    newest: Deploy | None = None
    waiting: tuple[HeldPush, ...] = ()
    trouble: Vitals | None = None


class MatrixFilter(Struct, frozen=True):
    """The projects of a page: `limit` by name beyond `after`, in a state, None for any.

    Their names contain `text`.
    """

    text: str = ""
    state: ProjectState | None = None
    after: str = ""
    limit: int = 50


class MatrixRow(Struct, frozen=True):
    """A project with its stages, in the order in which they are tried."""

    project: Project
    cells: tuple[StageCell, ...]


class Matrix(Struct, frozen=True, kw_only=True):
    """A page of projects.

    `more` is True if there are projects beyond these. `names` are the most common names of stages
    with how many projects have them, `projects` is the number of all. `under_way` are the newest
    deploys under way, of all projects.
    """

    rows: tuple[MatrixRow, ...]
    more: bool
    names: tuple[tuple[str, int], ...]
    projects: int
    under_way: tuple[DeployView, ...]


def read_matrix(
    reader: Reader, services: OperationServices, wanted: MatrixFilter, now: datetime
) -> Matrix:
    """Return a page of projects, in a number of statements that does not grow with them."""
    since = now - FAILED_LATELY
    among = None if wanted.state is None else projects_in_state(reader, wanted.state, since)
    found = reader.projects_page(wanted.text, among, wanted.after, wanted.limit + 1)
    newest = reader.newest_open_deploys(MOST_UNDER_WAY)
    return Matrix(
        # Of the newest deploys a cell shows the failed; the others are most of the page.
        rows=matrix_rows(reader, found[: wanted.limit], DeployStatus.FAILED),
        more=len(found) > wanted.limit,
        names=tuple(reader.stage_names(_MOST_NAMES)),
        projects=reader.count_projects(),
        under_way=tuple(Views(reader, services).deploys(newest)),
    )


def projects_in_state(reader: Reader, state: ProjectState, failed_since: datetime) -> set[str]:
    """Return the ids of projects that are in a state; failures count from `failed_since` on."""
    match state:
        case ProjectState.DEPLOYING:
            return reader.deploying_projects()
        case ProjectState.HELD:
            return reader.held_projects()
        case ProjectState.FAILED:
            return {one.project_id for one in reader.failures(failed_since, _MOST_IN_STATE)}
        case ProjectState.UNHEALTHY:
            troubled = reader.troubled_instances(_MOST_IN_STATE)
            return {instance.project_id for instance, _ in troubled}
        case ProjectState.WAITING:
            waiting = [one.stage_id for one in reader.waiting_pushes(_MOST_IN_STATE)]
            return {stage.project_id for stage in reader.stages_by_id(waiting).values()}


def matrix_rows(
    reader: Reader, projects: Sequence[Project], newest_status: DeployStatus | None = None
) -> tuple[MatrixRow, ...]:
    """Return projects with their stages as they are now; the statements do not grow with them.

    With `newest_status`, the newest deploys are those only that have it.
    """
    stages = reader.stages_by_project({project.id for project in projects})
    # All at once from here on: a page of projects is as many statements as one.
    ids = [stage.id for project in projects for stage in stages[project.id]]
    live: dict[str, list[Instance]] = defaultdict(list)
    for instance in reader.instances_in(ids, [InstanceState.LIVE]):
        live[instance.stage_id].append(instance)
    troubles = reader.vitals([one.id for found in live.values() for one in found], troubled=True)
    under_way: dict[str, list[Deploy]] = defaultdict(list)
    for deploy in reader.open_deploys_in(ids):
        under_way[deploy.stage_id].append(deploy)
    waiting: dict[str, list[HeldPush]] = defaultdict(list)
    for push in reader.held_pushes_in(ids):
        waiting[push.stage_id].append(push)
    newest = reader.newest_deploys(ids, newest_status)

    def cell(stage: Stage) -> StageCell:
        return StageCell(
            stage=stage,
            live=tuple(live[stage.id]),
            under_way=tuple(under_way[stage.id]),
            newest=newest.get(stage.id),
            waiting=tuple(waiting[stage.id]),
            trouble=next((troubles[one.id] for one in live[stage.id] if one.id in troubles), None),
        )

    return tuple(
        MatrixRow(project, tuple(cell(stage) for stage in stages[project.id]))
        for project in projects
    )
