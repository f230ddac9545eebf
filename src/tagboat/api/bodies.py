"""What all bodies have in common, those sent to us and those we send."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Asked(BaseModel):
    """A body that is sent to us: nothing is converted, and no unknown field accepted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def given(self, **renamed: str) -> dict[str, Any]:
        """The fields that were sent, under the names of the core's values where those differ."""
        return {
            renamed.get(name, name): getattr(self, name) for name in sorted(self.model_fields_set)
        }


class Answer(BaseModel):
    """A body that we send."""

    model_config = ConfigDict(frozen=True)


def unset() -> Any:  # noqa: ANN401 - stands where a value of any type was not sent
    """A field that may be left out, though null is no value for it. `given` does not show it then."""
    return Field(default_factory=lambda: None)


def write_only() -> Any:  # noqa: ANN401 - as above
    """The same for a field whose value must not be seen, not even where the body is printed."""
    return Field(default_factory=lambda: None, repr=False, json_schema_extra={"writeOnly": True})
