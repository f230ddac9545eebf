"""The overview: what runs where, what is under way, and what needs a person."""

from starlette.responses import Response

from tagboat.core.errors import InvalidValueError
from tagboat.core.events import EventTopic
from tagboat.operations.queries.matrix import MatrixFilter, ProjectState
from tagboat.web.cell_words import column_names, row_line, shown_row
from tagboat.web.deploy_words import step_sentence, trigger_words
from tagboat.web.need_words import need_line
from tagboat.web.routing import PageRouter
from tagboat.web.templates import filled_part
from tagboat.web.visits import LiveFilter, Visit

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
    text, state = visit.query("q"), visit.query("state")
    if state and state not in set(ProjectState):
        known = ", ".join(ProjectState)
        raise InvalidValueError(f"there is no state {state!r}; known are {known}")
    page = await visit.operations.overview_page.read(
        MatrixFilter(text, ProjectState(state) if state else None, visit.query("after"), _PROJECTS),
        None if visit.query("needs") == "all" else _MOST_NEEDS,
    )
    matrix = page.matrix
    # By all projects, not by this page: the columns stay when somebody turns it.
    columns = column_names(matrix.rows, matrix.names)
    lines = [row_line(row, columns) for row in matrix.rows]
    has_others = any(line.others for line in lines)
    return visit.show(
        "overview.html",
        {
            "matrix": matrix,
            "columns": columns,
            "has_others": has_others,
            "rows": [
                # By its words, not by the clock: nearly all are as they were when last read.
                filled_part("matrix_row.html", "row", shown_row(line, visit.now), has_others)
                for line in lines
            ],
            # Words are made here, so that templates decide nothing.
            "needs": [need_line(need) for need in page.needs.first],
            "all_needs": page.needs.count,
            "q": text,
            "state": state,
            "states": tuple(ProjectState),
            "step_sentence": step_sentence,
            "trigger_words": trigger_words,
        },
        live=LiveFilter(page.last_event, _OVERVIEW_TOPICS),
    )
