"""Groups of commands that are their `list` where no command is named."""

from typing import Any

from typer.core import TyperGroup


class ListGroup(TyperGroup):
    """Takes the options of `list` without that word, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer keeps its type to itself
        """Return what is left after the options of the group itself. Raises a usage error."""
        own = {name for option in self.get_params(ctx) for name in option.opts}
        given = {word.partition("=")[0] for word in args if word.startswith("-")}
        if given - own and self.commands.keys().isdisjoint(args):
            args = ["list", *args]
        return super().parse_args(ctx, args)
