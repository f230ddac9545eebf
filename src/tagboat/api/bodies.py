"""The common base of all bodies of requests and responses.

Validators are built at the first use: three megabytes that a server may never need.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class RequestModel(BaseModel):
    """The body of a request: nothing is converted, and an unknown field is refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    def given(self, **renamed: str) -> dict[str, Any]:
        """Return the fields that were sent; `renamed` gives names of the core that differ."""
        # Sorted: a set has another order in each process, and errors name the first field.
        return {
            renamed.get(name, name): getattr(self, name) for name in sorted(self.model_fields_set)
        }


class ResponseModel(BaseModel):
    """The body of a response."""

    model_config = ConfigDict(frozen=True, defer_build=True)


def unset() -> Any:  # noqa: ANN401 - stands where a value of any type was not sent
    """Return a field that may be left out, but not be null. `given` omits it then."""
    # A factory: a default would stand in the published schema, where null is not a value.
    return Field(default_factory=lambda: None)


def write_only() -> Any:  # noqa: ANN401 - as above
    """Return such a field for a secret: it is not shown even where the body is printed."""
    return Field(default_factory=lambda: None, repr=False, json_schema_extra={"writeOnly": True})


def with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a stage with tuples for its lists: values of the core are immutable."""
    lists = ("domains", "constraints")
    return {name: tuple(one) if name in lists else one for name, one in fields.items()}
