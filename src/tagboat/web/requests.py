"""Values of forms, read by the schemas of the API: there is one rule for what a value may be."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

from pydantic import ValidationError

from tagboat.api.answers import named_problems
from tagboat.api.bodies import RequestModel
from tagboat.core.errors import InvalidValueError, TagboatError
from tagboat.web.forms import FormErrors, form_errors

_MAX_TYPED = 80
Model = TypeVar("Model", bound=RequestModel)


class FieldsError(InvalidValueError):
    """Fields that cannot be used; `fields` says why, by name."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {why}" for name, why in fields.items()))
        self.fields = fields


def read_request(model: type[Model], values: Mapping[str, object]) -> Model:
    """Return the values as the API would read them in a body; raise FieldsError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
    errors: dict[str, str] = {}
    for place, message in named_problems(found):
        name, _, rest = place.partition(".")
        # The first for each field: a form has one place beside it.
        where = _entry(values.get(name), rest)
        errors.setdefault(name, f"{where}: {message}" if where else message)
    raise FieldsError(errors)


def _entry(value: object, place: str) -> str:
    """Return what a person knows a place in a field by: an entry of a list as it was typed."""
    if isinstance(value, list) and place.isdecimal() and int(place) < len(value):
        return f"'{str(value[int(place)])[:_MAX_TYPED]}'"
    return place


def request_errors(error: TagboatError) -> FormErrors:
    """Return what a form shows for an error of `read_request`, or of an operation."""
    if isinstance(error, FieldsError):
        return FormErrors(error.fields, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    return form_errors(error, {})
