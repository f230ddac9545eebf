"""Values that are frozen, whether their class is a struct of msgspec or a dataclass.

Most are structs: the class of one is made forty times faster than a dataclass, which a start
feels, and takes a fraction of its memory. A dataclass is what hides a field from `repr`, leaves one
out of `==`, or is read by its fields.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    # mypy knows this function, and checks the names and types of `changes`, for structs too.
    from dataclasses import replace as replace  # noqa: PLC0414 - this name is exported
else:

    def replace(value: Any, /, **changes: Any) -> Any:  # noqa: ANN401 - any of our values
        """Return a copy of `value`, a frozen struct or dataclass, with `changes` by field name.

        Raises TypeError for a name that is no field.
        """
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.replace(value, **changes)
        return dataclasses.replace(value, **changes)


def field_names(kind: type) -> tuple[str, ...]:
    """Return the names of the fields of a struct or a dataclass, in their order."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]  # a dataclass, as said
