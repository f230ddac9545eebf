import re
from typing import Any

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.core.secret_refs import (
    REFERENCE_PATTERN,
    RefKind,
    SecretRef,
    parse_secret_ref,
    secret_places,
)


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("keep", SecretRef(None)),
        ("env:DB_PASSWORD", SecretRef(RefKind.ENV, "DB_PASSWORD")),
        ("env:DB or keep", SecretRef(RefKind.ENV, "DB", or_keep=True)),
        ("file:/run/secrets/a b", SecretRef(RefKind.FILE, "/run/secrets/a b")),
        ("exec:pass show x | head -1", SecretRef(RefKind.EXEC, "pass show x | head -1")),
    ],
)
def test_references_are_read(text: str, ref: SecretRef) -> None:
    assert parse_secret_ref(text) == ref
    assert re.search(REFERENCE_PATTERN, text)


@pytest.mark.parametrize(
    "text", ["", "hunter2-hunter2", "env:", "env:A B", "env:1A", "http:x", "file: "]
)
def test_anything_else_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_secret_ref(text)
    assert "hunter2" not in str(caught.value)


def test_each_secret_has_a_variable_of_its_own() -> None:
    def one() -> dict[str, Any]:
        return {"secrets": {"C": None}, "secret_files": {"C": None}}

    projects = {
        "a": one() | {"stages": {"b": one(), "odd": 5}},
        "a-b": one(),
        "a.b": one(),
        "9": one(),
        "odd": [],
    }
    document = {"registries": {"r": {"password": None}, "public": {}}, "projects": projects}
    names = [place.variable for place in secret_places(document)]
    assert names == [
        "REGISTRY__R__PASSWORD",
        *("A__C", "A__C_2", "A__B__C", "A__B__C_2", "A_B__C", "A_B__C_2"),
        *("A_B__C_3", "A_B__C_4", "_9__C", "_9__C_2"),
    ]
    assert len(names) == len(set(names))
