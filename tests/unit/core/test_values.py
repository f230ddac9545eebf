"""Copies with changes, and names of fields, of structs and dataclasses."""

from dataclasses import dataclass, field

import pytest
from msgspec import Struct

from tagboat.core.values import field_names, replace


class Place(Struct, frozen=True):
    host: str
    port: int = 80


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str = field(default="", repr=False)


@pytest.mark.parametrize(
    ("value", "changes", "wanted"),
    [
        (Place("a"), {"port": 81}, Place("a", 81)),
        (Place("a", 81), {}, Place("a", 81)),
        (Login("ada"), {"password": "x"}, Login("ada", "x")),
    ],
)
def test_a_copy_has_the_changes_and_the_rest(
    value: Place | Login, changes: dict[str, object], wanted: Place | Login
) -> None:
    before = repr(value)
    assert replace(value, **changes) == wanted  # type: ignore[arg-type]  # of either kind
    assert repr(value) == before


@pytest.mark.parametrize("value", [Place("a"), Login("ada")])
def test_a_name_that_is_no_field_is_refused(value: Place | Login) -> None:
    with pytest.raises(TypeError, match="nope"):
        replace(value, nope=1)  # type: ignore[call-arg]  # that is the point


def test_the_fields_are_named_in_their_order() -> None:
    assert field_names(Place) == ("host", "port")
    assert field_names(Login) == ("user", "password")
