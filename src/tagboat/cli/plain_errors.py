"""Wrong usage in plain words: the library that reads values has words of its own."""

from typing import Any

import typer
from typer.core import TyperGroup

_WANTED_TYPES = {"int_parsing": "a whole number", "float_parsing": "a number"}


class PlainErrorGroup(TyperGroup):
    """The whole command line, whose errors of usage say nothing of that library."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer keeps its type to itself
        """Do the command. Raises a usage error."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = plain_message(error)
            raise


def plain_message(error: typer.BadParameter) -> str:
    """Return what is wrong with a value, without the words of the library that has read it."""
    cause: Any = error.__cause__
    found = cause.errors() if hasattr(cause, "errors") else []
    if found and (kind := _WANTED_TYPES.get(found[0]["type"])):
        return f"{found[0]['input']!r} is not {kind}."
    return error.message.removeprefix("Value error, ")
