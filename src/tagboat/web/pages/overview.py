"""The overview: what runs where, what is under way, and what needs a person."""

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import Response

from tagboat.core.errors import InvalidValueError
from tagboat.core.events import EventTopic
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.queries.matrix import ProjectState, StageCell
from tagboat.web.cell_words import cell_words, column_names, row_line
from tagboat.web.deploy_words import step_sentence, trigger_words
from tagboat.web.durations import age
from tagboat.web.need_words import need_line
from tagboat.web.routing import PageRouter
from tagboat.web.templates import filled_part
from tagboat.web.visits import LiveFilter, Visit

if TYPE_CHECKING:
    from markupsafe import Markup

_OVERVIEW_TOPICS = (
    EventTopic.DEPLOY,
    EventTopic.STEP,
    EventTopic.INSTANCE,
    EventTopic.STAGE,
    EventTopic.PROJECT,
    EventTopic.DELIVERY,
    EventTopic.POLL,
)
# Two screens: whoever has more projects filters.
_PROJECTS = 30
# More would push the projects off the screen.
_MOST_NEEDS = 6

router = PageRouter()


@router.page("/")
async def overview_page(visit: Visit) -> Response:
    """Show projects and stages, and above them what is under way and what needs a person."""
    # Before the page is read, so that nothing is missed.
    last_event = await visit.last_event()
    text, state = visit.query("q"), visit.query("state")
    if state and state not in set(ProjectState):
        known = ", ".join(ProjectState)
        raise InvalidValueError(f"there is no state {state!r}; known are {known}")
    # The needs look at disks, too, which may take a moment.
    matrix, needs = await asyncio.gather(
        visit.operations.matrix.read(
            text, ProjectState(state) if state else None, visit.query("after"), _PROJECTS
        ),
        visit.operations.needs.read(
            StageFilter(None, None), None if visit.query("needs") == "all" else _MOST_NEEDS
        ),
    )
    # By all projects, not by this page: the columns stay when somebody turns it.
    columns = column_names(matrix.rows, matrix.names)
    lines = [(row, row_line(row, columns)) for row in matrix.rows]

    def stage_link(project: str, cell: StageCell) -> "Markup":
        said = cell_words(cell)
        # By its words, not by the clock: nearly all are as they were when the page was last read.
        known = "" if said.since is None else age(said.since, visit.now)
        return filled_part("cell.html", "stage_link", project, cell.stage.name, said, known)

    return visit.show(
        "overview.html",
        {
            "matrix": matrix,
            "columns": columns,
            "lines": lines,
            "has_others": any(line.others for _, line in lines),
            "stage_link": stage_link,
            # Words are made here, so that templates decide nothing.
            "needs": [need_line(need) for need in needs.first],
            "all_needs": needs.count,
            "q": text,
            "state": state,
            "states": tuple(ProjectState),
            "step_sentence": step_sentence,
            "trigger_words": trigger_words,
        },
        live=LiveFilter(last_event, _OVERVIEW_TOPICS),
    )
