"""Reading values that others have written: those that a schema refuses are taken out, and named."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
_MOST_REFUSED = 200


class TooMuchRefusedError(ValueError):
    """A document of which hardly anything can be used."""


def accepted_part(
    model: type[Model], document: dict[str, Any]
) -> tuple[Model, list[tuple[tuple[str, ...], str]]]:
    """Return `document` as a model, and the path and the reason of each value that is taken out.

    `document` is changed. Raises TooMuchRefusedError.
    """
    refused: list[tuple[tuple[str, ...], str]] = []
    for _ in range(_MOST_REFUSED):
        try:
            return model.model_validate(document), refused
        except ValidationError as error:
            # One by one: a value that is taken out moves the places of others.
            first = error.errors(include_url=False)[0]
            steps = list(_steps_into(document, first["loc"]))
            path = tuple(str(step) for _, step in steps)
            reason = str(first.get("ctx", {}).get("error") or first["msg"])
            refused.append((path or tuple(map(str, first["loc"])), reason))
            if not steps:
                break
            holder, key = steps[-1]
            del holder[key]
    raise TooMuchRefusedError("; ".join(f"{'.'.join(path)}: {why}" for path, why in refused[-3:]))


def _steps_into(document: Any, place: Sequence[object]) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any JSON
    holder = document
    for key in place:
        is_there = (
            key in holder
            if isinstance(holder, dict)
            else isinstance(holder, list) and isinstance(key, int) and key < len(holder)
        )
        if not is_there:
            return
        yield holder, key
        holder = holder[key]
