"""Fields of the API as options, and objects of the API shown as a list of their fields."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.client_errors import InvalidFieldsError
from tagboat.core.errors import TagboatError

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Any other field; VALUE is JSON or a string. Repeatable.",
    ),
]

_UNKNOWN_FIELD = "there is no such field"  # as the API words it


def parse_value(text: str) -> object:
    """Return the JSON value in `text`, or `text` itself if it is not JSON."""
    try:
        return json.loads(text)
    # So that --set name=app needs no quotes within quotes.
    except ValueError:
        return text


def given_fields(
    options: Mapping[str, object | None], sets: Sequence[str] | None
) -> dict[str, object]:
    """Return the fields of the options that were given, and of each FIELD=VALUE of `--set`.

    Raises typer.BadParameter if one of these has no equals sign, or a field has two values.
    """
    # typer passes None for options that are not on the command line.
    fields = {name: value for name, value in options.items() if value is not None}
    for pair in sets or ():
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise typer.BadParameter(
                "--set takes FIELD=VALUE, such as --set memory=512m", param_hint="--set"
            )
        if name in fields:
            raise typer.BadParameter(
                f"{name} has two values; leave one of them out", param_hint="--set"
            )
        fields[name] = parse_value(text)
    return fields


def require_change(fields: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields. Raises typer.BadParameter if there are none."""
    if not fields:
        raise typer.BadParameter("say what to change; --help lists it all", param_hint="OPTIONS")
    return fields


@contextmanager
def fields_as_options(
    options: Mapping[str, str], known: Callable[[], Iterable[str]] = tuple
) -> Iterator[None]:
    """Name refused fields in errors as the command line does.

    `options` maps fields of the API to their options; others were given by `--set`. `known`
    returns the names of fields, of which the nearest is suggested for an unknown one.
    """
    try:
        yield
    except InvalidFieldsError as error:
        # The sentence of the server names fields, so it is built again.
        messages = []
        for field, message in error.errors.items():
            said = f"{options.get(field, field)}: {message}"
            if message == _UNKNOWN_FIELD and (near := get_close_matches(field, known(), n=1)):
                said += f"; did you mean {near[0]}?"
            messages.append(said)
        raise TagboatError("; ".join(messages)) from None


def body_fields(client: Client, method: str, path: str) -> list[str]:
    """Return the fields that the body of a call may have, as the API describes itself.

    `path` is a template such as /api/stages/{stage_id}. Empty if the server cannot say.
    """
    try:
        document = client.get("/api/openapi.json")
        content = document["paths"][path][method]["requestBody"]["content"]
        schema = next(iter(content.values()))["schema"]["$ref"].rpartition("/")[2]
        return list(document["components"]["schemas"][schema]["properties"])
    except (TagboatError, TypeError, StopIteration):
        # A suggestion is not worth a second error.
        return []


def show_fields(answer: Mapping[str, object], *, without: Sequence[str] = ()) -> None:
    """Print an object, a line for each of its fields, beginning with its id."""
    rows: list[tuple[str, object]] = []
    names = list(answer)
    # The API lists run options first, and most of them are empty.
    begin = names.index("id") if "id" in names else 0
    for name in names[begin:] + names[:begin]:
        value = answer[name]
        shown = value
        # A reference to another object: people know it by its name.
        if isinstance(value, Mapping) and set(value) == {"id", "name"}:
            shown = value["name"]
        elif isinstance(value, Mapping | list):
            shown = json.dumps(value, ensure_ascii=False) if value else None
        elif isinstance(value, bool):
            shown = json.dumps(value)
        if name not in without:
            rows.append((name, shown))
    show.table(("field", "value"), rows)


def show_warnings(answer: ApiObject) -> None:
    """Print the warnings that came with an answer to stderr, and which pushes go elsewhere now."""
    for warning in answer.get("warnings", ()):
        show.progress(f"warning: {warning}")
    if preview := answer.get("preview"):
        show.progress(f"note: {preview['summary']}")
