"""`tagboat poll`."""

from tagboat.cli import show
from tagboat.cli.client import LONG_TIMEOUT_S, Answer, Client
from tagboat.cli.names import find_project
from tagboat.cli.projects import NONE_YET
from tagboat.core.errors import TagboatError

_TAGS_SHOWN = 5
_TAGS_EXPLAINED = 20
_COLUMNS = ("project", "new tags", "deploys", "note")
_TAG_COLUMNS = ("project", "tag", "news", "stage", "outcome", "why")


def poll(client: Client, project: str | None, *, as_json: bool) -> int:
    """Poll one project, or all; 1 if any poll failed."""
    wanted = (
        [find_project(client, project)] if project is not None else client.items("/api/projects")
    )
    reports = [_poll(client, item) for item in wanted]
    if as_json:
        show.as_json(reports)
    elif reports:
        show.table(_COLUMNS, map(_row, reports))
        _explain(reports)
    else:
        show.line(NONE_YET)
    return 1 if any(report["error"] for report in reports) else 0


def _poll(client: Client, project: Answer) -> Answer:
    """What came of one poll. One that could not even be asked for is an error like the others, and stops none of them."""
    show.progress(f"polling {project['image']}")
    try:
        report = client.post(f"/api/projects/{project['id']}/poll", timeout_s=LONG_TIMEOUT_S)
    except TagboatError as error:
        report = Answer(first_poll=False, new_tags=[], deploys=[], tags=[], error=str(error))
    return Answer(project=project["name"], **report)


def _row(report: Answer) -> tuple[object, ...]:
    note = "first poll: tags are recorded, nothing is deployed" if report["first_poll"] else ""
    return (
        report["project"],
        _some(report["new_tags"]),
        ", ".join(report["deploys"]),
        f"failed: {report['error']}" if report["error"] else note,
    )


def _explain(reports: list[Answer]) -> None:
    """Say of each tag why it was or was not deployed. What a first poll did is said in its note already."""
    told = [report for report in reports if report["tags"] and not report["first_poll"]]
    if told:
        show.line("")
        show.table(
            _TAG_COLUMNS,
            [_tag_row(report, tag) for report in told for tag in report["tags"][-_TAGS_EXPLAINED:]],
        )
    for report in told:
        if (count := len(report["tags"])) > _TAGS_EXPLAINED:
            show.progress(
                f"of {count} tags of {report['project']} the last {_TAGS_EXPLAINED} are shown; --json has all"
            )


def _tag_row(report: Answer, tag: Answer) -> tuple[object, ...]:
    stage = tag["stage"]
    return (
        report["project"],
        tag["tag"],
        tag["change"],
        stage and stage["name"],
        tag["outcome"],
        tag["reason"],
    )


def _some(tags: list[str]) -> str:
    """A first poll may bring hundreds; the API lists them all."""
    shown = ", ".join(tags[:_TAGS_SHOWN])
    return f"{shown} and {len(tags) - _TAGS_SHOWN} more" if len(tags) > _TAGS_SHOWN else shown
