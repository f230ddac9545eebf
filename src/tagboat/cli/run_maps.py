"""Environment variables and secrets of a project or a stage: maps that are changed by name."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from tagboat.cli import show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.client_errors import StaleVersionError
from tagboat.cli.fields import fields_as_options
from tagboat.cli.names import find_project, find_stage, no_such_stage
from tagboat.cli.options import connect
from tagboat.cli.prompts import read_piped_text, read_text_file
from tagboat.cli.rollout import Rollout
from tagboat.core.errors import InvalidValueError, NotFoundError, TagboatError
from tagboat.core.naming import parse_name

FromFileOption = Annotated[
    Path | None,
    typer.Option(
        "--from-file",
        metavar="FILE",
        # Not checked by typer, which would look for a file called "-".
        help="Take the lines NAME=VALUE of a .env file; - is standard input.",
    ),
]
STANDARD_INPUT = Path("-")
_TRIES = 5
_NAMES_IN_WORDS = 20

Changes = Mapping[str, Mapping[str, str | None]]
"""Values by name for each field of the API; None removes a name."""


class MapHolder(Struct, frozen=True):
    """A project, or with a `stage` that stage of it, as the API answers them."""

    project: ApiObject
    stage: ApiObject | None

    @property
    def own(self) -> ApiObject:
        """The one whose maps are meant."""
        return self.project if self.stage is None else self.stage

    @property
    def path(self) -> str:
        """The path of that one in the API."""
        return f"/api/{'projects' if self.stage is None else 'stages'}/{self.own['id']}"

    @property
    def words(self) -> str:
        """The words that name it on the command line."""
        stage = "" if self.stage is None else f" {self.stage['name']}"
        return f"{self.project['name']}{stage}"


def find_holder(client: Client, project: str, stage: str | None) -> MapHolder:
    """Return the project, or the stage of it. Raises NotFoundError that lists the names."""
    found = find_project(client, project)
    return MapHolder(found, None if stage is None else find_stage(client, project, stage))


def choose_holder(
    client: Client, project: str, words: Sequence[str], known: Sequence[str], *, alone: bool
) -> tuple[MapHolder, Sequence[str]]:
    """Return the holder and the names, of words that may begin with a stage.

    `known` are fields whose names are taken for names even if they could be a stage's. With
    `alone`, a single word is a name. Raises NotFoundError for what looks like a misspelt stage.
    """
    found = find_project(client, project)
    first, *rest = words or ("",)
    # Without words, and for an empty one, which names nothing.
    if not first:
        return MapHolder(found, None), ()
    stages = client.items(f"/api/projects/{found['id']}/stages")
    if stage := next((one for one in stages if one["name"] == first), None):
        return MapHolder(found, stage), rest
    is_known = any(first in found[field] for field in known)
    # A misspelt stage must not become a variable of all stages. A name in capitals is none.
    if not is_known and _can_be_stage(first) and (rest or not alone):
        raise no_such_stage(project, first, stages)
    return MapHolder(found, None), words


def change_maps(
    client: Client, holder: MapHolder, plan: Callable[[ApiObject], Changes]
) -> ApiObject:
    """Change the maps of `holder` by what `plan` makes of their present state; return it as saved.

    Names that are not in the plan stay. If somebody else changes the same at that time, it is
    planned again. Raises TagboatError that names the field for what the server refuses.
    """
    for _ in range(_TRIES):
        now, version = client.get_versioned(holder.path)
        changes = {field: values for field, values in plan(now).items() if values}
        # An empty change would be an entry in the audit that says nothing.
        if not changes:
            return now
        try:
            with fields_as_options({}):
                return client.patch(holder.path, changes, version=version)
        except StaleVersionError:
            continue
    raise TagboatError(
        f"{holder.words} was changed by others at the same time, again and again: nothing is"
        " changed. Run the command again"
    )


def remove_names(
    project: str, words: Sequence[str], fields: Sequence[str], rollout: Rollout
) -> None:
    """Remove the names in `words`, which may begin with a stage, from the maps `fields`.

    Raises NotFoundError if one of them is in none of the maps; nothing is removed then.
    """
    client = connect()
    holder, names = choose_holder(client, project, words, fields, alone=True)
    if not names:
        raise typer.BadParameter(
            f"{words[0]} is a stage of {project}: say what to remove there", param_hint="NAME"
        )

    def plan(now: ApiObject) -> Changes:
        have = sorted({name for field in fields for name in now[field]})
        # All or nothing: a misspelt name may be the one that mattered.
        if missing := [name for name in names if name not in have]:
            there = f"it has: {names_in_words(have)}" if have else "it has none"
            inherited = {name for field in fields for name in holder.project[field]}
            if inherited.issuperset(missing):
                there = f"the project {project} has it, for all its stages"
            raise NotFoundError(f"{holder.words} has no {names_in_words(missing)}; {there}")
        return {field: {name: None for name in names if name in now[field]} for field in fields}

    saved = change_maps(client, holder, plan)
    finish_change(client, holder, saved, names, "removed", fields, rollout)


def read_pairs(file: Path) -> dict[str, str]:
    """Return the values of a `.env` file, or of standard input for `-`.

    Raises TagboatError that names a line which is not NAME=VALUE, and never repeats it.
    """
    from io import StringIO

    from dotenv.parser import parse_stream

    is_piped = file == STANDARD_INPUT
    source = "standard input" if is_piped else str(file)
    text = read_piped_text(source) if is_piped else read_text_file(file)
    found: dict[str, str] = {}
    # Editors on Windows write a byte order mark.
    for binding in parse_stream(StringIO(text.removeprefix("\ufeff"))):
        if binding.error or (binding.key is not None and binding.value is None):
            # The parser counts from the empty lines before it on.
            began = binding.original.string
            line = binding.original.line + began[: -len(began.lstrip())].count("\n")
            raise TagboatError(f"{source}:{line}: not NAME=VALUE")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found


def names_in_words(names: Sequence[str]) -> str:
    """Return names as a part of a sentence, with the number of those that are left out."""
    more = [f"{len(names) - _NAMES_IN_WORDS} more"] if len(names) > _NAMES_IN_WORDS else []
    shown = [*names[:_NAMES_IN_WORDS], *more]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def finish_change(
    client: Client,
    holder: MapHolder,
    saved: ApiObject,
    names: Sequence[str],
    what: str,
    fields: Sequence[str],
    rollout: Rollout,
) -> None:
    """Print that names are `what`, and how that becomes live; deploy it if that is asked for.

    `saved` is the holder as it is now, `fields` the maps in which a stage may have its own value.
    Raises TagboatError if a deploy does not succeed.
    """
    path = f"/api/projects/{holder.project['id']}/stages"
    stages = client.items(path) if holder.stage is None else [holder.stage]
    if names and not rollout.as_json:
        verb = "is" if len(names) == 1 else "are"
        show.line(f"{names_in_words(names)} of {holder.words} {verb} {what}")
        for stage in stages if holder.stage is None else ():
            # Else somebody waits for a change that this stage never gets.
            if own := [name for name in names if any(name in stage[field] for field in fields)]:
                show.progress(f"note: the stage {stage['name']} has its own {names_in_words(own)}")
    if rollout.is_asked:
        rollout.finish(client, stages, saved)
    elif rollout.as_json:
        show.as_json(saved)
    elif names and holder.stage is None and stages:
        restart = f"'tagboat restart {holder.words} STAGE'"
        show.line(f"live in each stage from its next deploy on: {restart} starts one")
    elif names and client.get("/api/instances", stage=holder.own["id"], state="live")["items"]:
        show.line(f"live from the next deploy on: 'tagboat restart {holder.words}' starts one")


def _can_be_stage(word: str) -> bool:
    try:
        parse_name(word)
    except InvalidValueError:
        return False
    return True
