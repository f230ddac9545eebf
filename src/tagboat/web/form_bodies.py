"""Forms read by the rules of the API's bodies, and the version of what a form was made for."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from pydantic import ValidationError

from tagboat.api.answers import named_problems
from tagboat.api.bodies import RequestModel
from tagboat.api.etags import etag_of, fields_changed_since
from tagboat.core.errors import ConflictError
from tagboat.web.forms import Form, RefusedFieldsError

_MAX_TYPED = 80
VERSION = "version"
"""The hidden field with the ETag of what the form shows."""
Body = TypeVar("Body", bound=RequestModel)


class ChangedMeanwhileError(ConflictError):
    """Somebody else has changed the fields `moved` since the form was made."""

    def __init__(self, moved: Iterable[str]) -> None:
        named = ", ".join(moved) or "something"
        super().__init__(
            f"Somebody else has changed this since you opened the form: {named}. Nothing of yours"
            " is saved yet, and nothing is lost: compare, and save again to replace it."
        )


def by_line(_value: object, place: str) -> str:
    """Return a place in a field: an entry of a list by its line, from 1."""
    return f"line {int(place) + 1}" if place.isdecimal() else place


def as_typed(value: object, place: str) -> str:
    """Return a place in a field: an entry of a list as it was typed, for lists with empty lines."""
    if isinstance(value, list) and place.isdecimal() and int(place) < len(value):
        return f"'{str(value[int(place)])[:_MAX_TYPED]}'"
    return place


def as_body(
    model: type[Body],
    values: Mapping[str, object],
    named: Callable[[object, str], str] = by_line,
) -> Body:
    """Return `values` as the API reads such a body; raise RefusedFieldsError.

    There is one rule for what a value may be. `named` names a place in the value of a field.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # As FastAPI places them: the words for them are those of the API.
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        refused: dict[str, str] = {}
        for place, message in named_problems(found):
            name, _, rest = place.partition(".")
            # The first for each field: a form has one place next to it.
            where = named(values.get(name), rest)
            refused.setdefault(name, f"{where}: {message}" if where else message)
        raise RefusedFieldsError(refused) from None


def check_version(form: Form) -> Callable[[object], None]:
    """Return the check that what is changed is still what the form was made for.

    It raises ChangedMeanwhileError, which names the fields that differ.
    """

    def check(present: object) -> None:
        before = form.text(VERSION)
        # In the transaction that saves: nobody can come in between.
        if before == etag_of(present):
            return
        raise ChangedMeanwhileError(fields_changed_since(before, present))

    return check


def whole_or_text(text: str) -> int | str:
    """Return a whole number, or the text itself, which the API's rules refuse in their words."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else text
