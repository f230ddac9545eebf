"""The words of one cell of the overview: what a stage serves, and what is the matter with it."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.deploy import Deploy, DeployStatus
from tagboat.core.health import Trouble
from tagboat.operations.queries.matrix import MatrixRow, StageCell
from tagboat.web.deploy_words import running_step
from tagboat.web.durations import age
from tagboat.web.messages import Tone

# More columns than these would be empty for most projects.
COLUMNS = 3
"""Names of stages that have a column; all others share one."""
# The usual way of a tag, for stages of equal position: not the alphabet.
_USUAL_ORDER = (
    ("pr", "preview", "review", "feature"),
    ("dev", "develop", "development", "main", "edge", "nightly"),
    ("test", "testing", "qa", "ci"),
    ("staging", "stage", "uat", "demo", "canary", "preprod", "beta"),
    ("prod", "production", "live", "stable"),
)
_TROUBLE_WORDS = {
    Trouble.DOWN: "down",
    Trouble.PAUSED: "paused",
    Trouble.CRASH_LOOP: "restarting",
    Trouble.UNHEALTHY: "unhealthy",
}


class CellWords(Struct, frozen=True, kw_only=True):
    """The words of a cell.

    `text` is what is served, or is about to be; `since` when that began, None where it says
    nothing. `pill` is what a person should know, empty for nothing; `title` says it in a sentence.
    `state` says in a word what the colour `tone` means.
    """

    tone: Tone
    state: str
    text: str
    since: datetime | None = None
    pill: str = ""
    pill_tone: Tone = Tone.PLAIN
    title: str = ""
    deploy_id: str | None = None


class RowLine(Struct, frozen=True):
    """A project's cells by column, None where it has no such stage, and those without a column."""

    project: str
    cells: tuple[tuple[str, StageCell | None], ...]
    others: tuple[StageCell, ...]


class ShownCell(Struct, frozen=True):
    """The words of the cell of a stage; `age` is how long that has been so, empty if not said."""

    stage: str
    said: CellWords
    age: str


class ShownRow(Struct, frozen=True):
    """A line in words alone; `other` is the one cell without a column, if there is just one."""

    project: str
    cells: tuple[tuple[str, ShownCell | None], ...]
    others: int
    other: ShownCell | None


def shown_row(line: RowLine, now: datetime) -> ShownRow:
    """Return the words of a line at a moment."""

    def shown(cell: StageCell) -> ShownCell:
        said = cell_words(cell)
        known = "" if said.since is None else age(said.since, now)
        return ShownCell(cell.stage.name, said, known)

    return ShownRow(
        line.project,
        tuple((name, shown(cell) if cell else None) for name, cell in line.cells),
        len(line.others),
        shown(line.others[0]) if len(line.others) == 1 else None,
    )


def row_line(row: MatrixRow, columns: Sequence[str]) -> RowLine:
    """Return the cells of a project, laid out in the columns of these names."""
    by_name = {cell.stage.name: cell for cell in row.cells}
    return RowLine(
        row.project.name,
        tuple((name, by_name.get(name)) for name in columns),
        tuple(cell for cell in row.cells if cell.stage.name not in columns),
    )


def cell_words(cell: StageCell) -> CellWords:
    """Return the words of a cell: a deploy under way first, then trouble, then what is live."""
    # What happens now is what somebody looks for who has just pushed.
    if cell.under_way:
        # Of several the last one is what the stage will have in the end.
        return _under_way(cell, cell.under_way[-1])
    if not cell.live:
        return _nothing_live(cell)
    newest = cell.live[0]
    # With several side by side, such as previews, their number says more than one of them.
    text = newest.tag if len(cell.live) == 1 else f"{len(cell.live)} live"
    if cell.trouble is not None:
        # A kind of trouble that comes later still has a word.
        word = _TROUBLE_WORDS.get(cell.trouble.trouble, "needs you")
        return CellWords(
            tone=Tone.BAD,
            state=word,
            text=text,
            # Since when it is ill, not since when it runs.
            since=cell.trouble.changed_at,
            pill=word,
            pill_tone=Tone.BAD,
            title=cell.trouble.detail,
        )
    pill, tone, title = _notice(cell)
    return CellWords(
        tone=Tone.OK,
        state="live",
        text=text,
        since=newest.started_at,
        pill=pill,
        pill_tone=tone,
        title=title,
    )


def tag_change(old: str, new: str) -> str:
    """Return a change of tags as `v1.4.8 → v1.5.0`; the part before the last common dash once."""
    common = 0
    for index, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            break
        # Only whole parts: rc2 and rc3 have letters in common that say nothing alone.
        if one == "-":
            common = index + 1
    short = new[common:]
    return f"{old} → {short}" if short else f"{old} → {new}"


def column_names(rows: Sequence[MatrixRow], names: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """Return the names of stages that get a column, in the usual way of a tag.

    `names` are the most common ones with their number. Where few are in use, all of those in
    `rows` get one.
    """
    # By names that most projects have: a column for each would be mostly empty.
    here = {cell.stage.name for row in rows for cell in row.cells}
    common = [name for name, _ in names[:COLUMNS]]
    rest = [name for name, _ in names[COLUMNS : COLUMNS + 1] if name in here]
    # One name more needs no more room than the column for all others would.
    chosen = common + rest if len(here - set(common)) <= 1 else common
    return tuple(sorted(chosen, key=usual_place))


def usual_place(name: str) -> tuple[int, str]:
    """Return the place of a stage on the usual way of a tag, by its name."""
    ranks = (rank for rank, names in enumerate(_USUAL_ORDER) if name.lower() in names)
    # Unknown names stand before what is last everywhere.
    return next(ranks, len(_USUAL_ORDER) - 1), name


def has_usual_name(name: str) -> bool:
    """Return whether a stage of that name has a known place on the way of a tag."""
    return any(name.lower() in names for names in _USUAL_ORDER)


def _under_way(cell: StageCell, deploy: Deploy) -> CellWords:
    live = cell.live[0].tag if cell.live else ""
    text = tag_change(live, deploy.tag) if live and live != deploy.tag else deploy.tag
    step = running_step(deploy)
    is_queued = deploy.status is DeployStatus.QUEUED
    pill = "queued" if is_queued else step.name if step else "running"
    # The step goes on until the worker has seen the order.
    if deploy.cancelling:
        pill = "cancelling"
    tone = Tone.WAIT if is_queued else Tone.RUN
    return CellWords(
        tone=tone,
        state=deploy.status,
        text=text,
        pill=pill,
        pill_tone=tone,
        title=step.detail if step else "",
        deploy_id=deploy.id,
    )


def has_failed(cell: StageCell) -> bool:
    """Return whether the newest deploy of a stage failed, and nobody has stopped it since."""
    newest = cell.newest
    if newest is None or newest.status is not DeployStatus.FAILED:
        return False
    # Who has stopped it since then knows; a start that failed is news.
    return not cell.stage.stopped_since(newest.finished_at)


def _nothing_live(cell: StageCell) -> CellWords:
    newest = cell.newest
    # Without a failure it is a new stage, a stopped one, or one whose instance was removed.
    if newest is not None and has_failed(cell):
        return CellWords(
            tone=Tone.BAD,
            state="failed",
            text=newest.tag,
            since=newest.finished_at,
            pill="failed",
            pill_tone=Tone.BAD,
            title=newest.reason or "",
            deploy_id=newest.id,
        )
    if cell.stage.stopped:
        by = f"Stopped by {cell.stage.stopped_by}." if cell.stage.stopped_by else "Stopped."
        return CellWords(
            tone=Tone.PLAIN,
            state="stopped",
            text="stopped",
            since=cell.stage.stopped_at,
            title=f"{by} Pushes wait until it is started.",
        )
    pill, tone, title = _notice(cell)
    return CellWords(
        tone=Tone.PLAIN, state="empty", text="nothing live", pill=pill, pill_tone=tone, title=title
    )


def _notice(cell: StageCell) -> tuple[str, Tone, str]:
    """Return the most important thing to know of a stage that is well, with its sentence."""
    newest = cell.newest
    if newest is not None and newest.status is DeployStatus.FAILED:
        return f"{newest.tag} failed", Tone.BAD, newest.reason or ""
    # A failure comes first: a push that waits may be the cure.
    waiting = len(cell.waiting)
    if cell.stage.held:
        came = f"{waiting} came since" if waiting else "Pushes and polls deploy nothing here."
        return (f"held, {waiting} wait" if waiting else "held"), Tone.WAIT, came
    if waiting:
        tag = cell.waiting[-1].tag
        text = f"{tag} waits" if waiting == 1 else f"{waiting} newer wait"
        return text, Tone.WAIT, f"Waiting for a person; newest {tag}."
    return "", Tone.PLAIN, ""
