"""Lists of environment variables and secrets, with where each comes from."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from tagboat.cli import show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.run_maps import find_holder


class MapEntry(Struct, frozen=True):
    """A name in the map `field` of a project, or of a stage of it, None for the project itself.

    `is_own` is false for what a stage has from its project, `overrides` true for what replaces the
    project's. `value` is None for a secret, which is never shown.
    """

    project: str
    stage: str | None
    field: str
    name: str
    value: str | None
    is_own: bool = True
    overrides: bool = False

    @property
    def source(self) -> str:
        """The holder that it comes from: `project` or `stage`."""
        return "stage" if self.stage is not None and self.is_own else "project"

    def as_json(self) -> dict[str, object]:
        """Return the entry for programs, without its value."""
        return {
            "project": self.project,
            "stage": self.stage,
            "name": self.name,
            "from": self.source,
            "overrides": self.overrides,
        }


def list_entries(
    client: Client, project: str | None, stage: str | None, fields: Sequence[str]
) -> list[MapEntry]:
    """Return the names in the maps `fields`: of a stage all that it gets, else what each has.

    Without `project` they are those of all projects and stages.
    """
    if project is not None:
        # Names are checked first: a misspelt one is an error, not an empty list.
        holder = find_holder(client, project, stage)
        if holder.stage is not None:
            return list(_effective(holder.project, holder.stage, fields))
        return list(_own(holder.project, None, fields))
    # Two lists, however many projects there are.
    stages: dict[str, list[ApiObject]] = {}
    for each in client.items("/api/stages"):
        stages.setdefault(each["project"]["id"], []).append(each)
    return [
        entry
        for one in client.items("/api/projects")
        for part in (None, *stages.get(one["id"], ()))
        for entry in _own(one, part, fields)
    ]


def place_columns(entries: Sequence[MapEntry], *, of_one: bool) -> Iterator[tuple[str | None, ...]]:
    """Yield the first columns of a table, with their heads: of one project, or of all."""
    yield ("name", "from") if of_one else ("project", "stage", "name")
    for entry in entries:
        if not of_one:
            yield entry.project, entry.stage, entry.name
        elif entry.overrides:
            yield entry.name, "stage (overrides)"
        else:
            yield entry.name, entry.source


def _own(project: ApiObject, stage: ApiObject | None, fields: Sequence[str]) -> Iterator[MapEntry]:
    for field in fields:
        own = _values((project if stage is None else stage)[field])
        for name in sorted(own):
            overrides = stage is not None and name in project[field]
            of = None if stage is None else stage["name"]
            yield MapEntry(project["name"], of, field, name, own[name], overrides=overrides)


def _effective(project: ApiObject, stage: ApiObject, fields: Sequence[str]) -> Iterator[MapEntry]:
    for field in fields:
        inherited, own = _values(project[field]), _values(stage[field])
        # As a deploy merges them: the stage's value goes first.
        for name, value in sorted({**inherited, **own}.items()):
            yield MapEntry(
                project["name"],
                stage["name"],
                field,
                name,
                value,
                is_own=name in own,
                overrides=name in own and name in inherited,
            )


def _values(found: Mapping[str, str] | Sequence[str]) -> Mapping[str, str | None]:
    # Of secrets, the API answers a list of their names.
    return found if isinstance(found, Mapping) else dict.fromkeys(found)


def show_entries(
    entries: Sequence[MapEntry], more: tuple[str, Sequence[str]], *, of_one: bool
) -> None:
    """Print the entries as a table, with `more` as its last column: the heading and the cells."""
    heading, cells = more
    head, *rows = place_columns(entries, of_one=of_one)
    show.table(
        (*map(str, head), heading), ((*row, cell) for row, cell in zip(rows, cells, strict=True))
    )
