"""Fields of the API that people give as options, and whole things shown as a list of their fields."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.client import Answer
from tagboat.core.errors import TagboatError

Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help="Any other field; VALUE is JSON or a text. Repeatable."
    ),
]


def value_of(text: str) -> object:
    """The JSON value that a person means: what is JSON as that, all else as a string."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def given_fields(
    options: Mapping[str, object | None], sets: Sequence[str] | None
) -> dict[str, object]:
    """Return the fields of those options that were given, and of each `FIELD=VALUE`. Raises TagboatError."""
    fields = {name: value for name, value in options.items() if value is not None}
    for pair in sets or ():
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise TagboatError("--set takes FIELD=VALUE, such as --set memory=512m")
        fields[name] = value_of(text)
    return fields


def need_change(fields: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields. Raises typer.BadParameter where there is none."""
    if not fields:
        raise typer.BadParameter("say what to change; --help lists it all", param_hint="OPTIONS")
    return fields


def show_record(answer: Mapping[str, object], *, without: Sequence[str] = ()) -> None:
    """Print a thing, a line for each of its fields."""
    show.table(
        ("field", "value"),
        ((name, _text(value)) for name, value in answer.items() if name not in without),
    )


def warn(answer: Answer) -> None:
    """Say on stderr what will not go as one might think."""
    for warning in answer.get("warnings", ()):
        show.progress(f"warning: {warning}")


def _text(value: object) -> object:
    if isinstance(value, Mapping) and set(value) == {"id", "name"}:
        return value["name"]
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False) if value else None
    return json.dumps(value) if isinstance(value, bool) else value
