"""Groups of commands that are their `list` where no command is named."""

from typing import Any

from typer.core import TyperGroup


class ListGroup(TyperGroup):
    """Takes the options of `list` without that word, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer keeps its type to itself
        """Return what is left after the options of the group itself. Raises a usage error."""
        own = {name for option in self.get_params(ctx) for name in option.opts}
        given = {word.partition("=")[0] for word in args if word.startswith("-")}
        # What follows an option is a place to list: a mistyped command mostly comes first.
        takes_place = any(one.param_type_name == "argument" for one in self.commands["list"].params)
        is_place = takes_place and args[:1] != [] and args[0].startswith("-")
        is_place = is_place and given.isdisjoint(self.get_help_option_names(ctx))
        if (is_place or given - own) and self.commands.keys().isdisjoint(args):
            args = ["list", *args]
        return super().parse_args(ctx, args)
