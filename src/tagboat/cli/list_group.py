"""Groups of commands that are their `list` where no command is named."""

from typing import Any

from typer.core import TyperGroup


class ListGroup(TyperGroup):
    """Takes the options of `list` without that word, too, and those of a command before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer keeps its type to itself
        """Return what is left after the options of the group itself. Raises a usage error."""
        own = {name for option in self.get_params(ctx) for name in option.opts}
        given = {word.partition("=")[0] for word in args if word.startswith("-")}
        options_first = args[:1] != [] and args[0].startswith("-")
        options_first = options_first and given.isdisjoint(self.get_help_option_names(ctx))
        named = next((number for number, word in enumerate(args) if word in self.commands), None)
        # What follows an option is a place to list: a mistyped command mostly comes first.
        takes_place = any(one.param_type_name == "argument" for one in self.commands["list"].params)
        if named is None and ((options_first and takes_place) or given - own):
            args = ["list", *args]
        elif named and options_first:
            # They are meant for the command, and the group would take them for its list's.
            args = [args[named], *args[:named], *args[named + 1 :]]
        return super().parse_args(ctx, args)
